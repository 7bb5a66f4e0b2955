"""Of a piece of a document, what leaves: stretches of it as they came, and what stands in place of others."""


class Leaving:
    """`hidden`: nothing leaves until `show`, not even of pieces yet to come. Places are offsets in the piece."""

    __slots__ = ("_mark", "_parts", "_piece", "hidden")

    def __init__(self) -> None:
        self._piece = b""
        self._parts: list[bytes] = []
        self._mark = 0
        self.hidden = False

    def begin(self, piece: bytes) -> None:
        """Another piece."""
        self._piece = piece
        self._mark = 0

    def end(self, place: int) -> bytes:
        """All that leaves of the piece, which goes up to here."""
        self.flush(place)
        parts, self._parts, self._piece = self._parts, [], b""
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def flush(self, place: int) -> None:
        """All up to here leaves as it came, unless it is hidden."""
        if not self.hidden:
            if self._mark < place:
                self._parts.append(self._piece[self._mark : place])
            self._mark = place

    def skip(self, place: int) -> None:
        """What was not flushed does not leave, up to here."""
        self._mark = place

    def put(self, text: bytes) -> None:
        """This leaves here."""
        self._parts.append(text)

    def show(self, place: int) -> None:
        """From here on things leave again."""
        self.hidden = False
        self._mark = place
