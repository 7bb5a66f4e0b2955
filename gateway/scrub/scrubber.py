"""Text that comes in pieces, with every injected value masked: what may be the beginning of one waits for what follows."""

from collections.abc import Sequence

from gateway.core.echoes import Echoes, Span
from gateway.scrub.needles import mask, merged


class Scrubber:
    """Takes a text in pieces and gives it without the needles. `found` counts what was masked."""

    __slots__ = ("_held", "_needles", "found")

    def __init__(self, needles: Sequence[Echoes]) -> None:
        self._needles = needles
        self._held = b""
        self.found = 0

    def feed(self, piece: bytes) -> bytes:
        """What may leave, now that this has come."""
        text = self._held + piece if self._held else piece
        spans = spans_in(text, self._needles)
        cut = len(text) - max([needles.begun(text) for needles in self._needles])
        for start, end in reversed(spans):
            if start < cut < end:
                cut = start  # one that ends within another that may have begun
        self._held = text[cut:]
        return self._masked(text[:cut], [span for span in spans if span[1] <= cut]) if spans else text[:cut]

    def end(self) -> bytes:
        """The rest: a beginning that nothing followed, or what ended within it."""
        text, self._held = self._held, b""
        return self._masked(text, spans_in(text, self._needles))

    def _masked(self, text: bytes, spans: list[Span]) -> bytes:
        self.found += len(spans)
        return masked(text, spans)


def spans_in(text: bytes, needles: Sequence[Echoes]) -> list[Span]:
    """Where any of them are."""
    found = [span for each in needles for span in each.spans(text)]
    return merged(found) if len(needles) > 1 else found


def masked(text: bytes, spans: list[Span]) -> bytes:
    """The text with as many other bytes in these places."""
    if not spans:
        return text
    changed = bytearray(text)
    for start, end in spans:
        changed[start:end] = mask(end - start)
    return bytes(changed)
