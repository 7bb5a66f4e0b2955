"""One JSON document rewritten as it streams: what a plan leaves alone comes out byte for byte, the rest left out or replaced.

Nothing is built of the document. What is held between two pieces is bounded: the way to where the reader is, a member's name, the
beginning of a number, and of a string that is replaced what its style shows.
"""

import codecs
from typing import Final

from gateway.core.obligations import Style
from gateway.shaping.faults import Unreadable
from gateway.shaping.leaving import Leaving
from gateway.shaping.plan import Level, Node, Others, Plan
from gateway.shaping.styles import Styles, Unescaping, is_sayable, unescaped
from gateway.shaping.tokens import (
    BODY,
    CLOSE,
    HELD,
    LEAD,
    LONGEST_SCALAR,
    MAX_DEPTH,
    NESTED,
    PARTIAL_ESCAPE,
    PARTIAL_LEAD,
    PARTIAL_SCALAR,
    RUNS,
    SCALAR,
    STRING,
    WHITE,
    WHOLE_SCALAR,
)

QUOTE: Final = 0x22
OPENING: Final = {0x7B: True, 0x5B: False}
MORE: Final = -1
"""In place of a position: what there is ends within something."""


class Rewriter:
    """`redacted` counts the values that were replaced or removed."""

    __slots__ = (
        "_buffer", "_decoder", "_done", "_ends_hiding", "_held", "_hit", "_in_string", "_leaving", "_levels", "_plan", "_read",
        "_sink", "_styles", "redacted",
    )  # fmt: skip

    def __init__(self, plan: Plan, styles: Styles) -> None:
        self._plan = plan
        self._styles = styles
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._levels: list[Level] = []
        self._buffer = self._held = b""
        self._leaving = Leaving()
        self._read = 0
        self._hit = -1
        self._sink: Unescaping | None = None
        self._in_string = self._ends_hiding = self._done = False
        self.redacted = 0

    @property
    def begun(self) -> bool:
        """Whether anything but white space came."""
        return self._done or self._in_string or bool(self._levels or self._held)

    def feed(self, piece: bytes) -> bytes:
        """What may leave, now that this has come. Raises Unreadable."""
        self._ensure_utf8(piece)
        self._buffer = buffer = self._held + piece if self._held else piece
        self._leaving.begin(buffer)
        self._hit = -1
        levels = self._levels
        place, size = 0, len(buffer)
        while place < size:
            if self._in_string:
                after = self._go_on(place)
            elif levels:
                after = self._step(levels[-1], place)
            else:
                after = self._outside(place)
            if after < 0:
                break
            place = after
        self._held = buffer[place:]
        if len(self._held) > HELD + LONGEST_SCALAR:
            raise self._fault(place, f"more than {HELD} bytes between two values")
        self._read += place
        self._buffer = b""
        return self._leaving.end(place)

    def end(self) -> bytes:
        """The rest, when nothing more comes. Raises Unreadable for a document that is not complete."""
        held, self._held = self._held, b""
        self._ensure_utf8(b"", final=True)
        if held and not (self._levels or self._in_string or self._done) and WHOLE_SCALAR.match(held):
            self._done = True
            return held
        if not self._done or held:
            raise Unreadable(f"the document ends at byte {self._read} before it is complete")
        return b""

    def _outside(self, place: int) -> int:
        """Before the document or behind it."""
        buffer = self._buffer
        found = WHITE.match(buffer, place)
        start = found.end() if found is not None else place
        if start > place:
            return start
        if self._done:
            raise self._fault(start, "something follows the document")
        root = self._plan.root
        is_object = OPENING.get(buffer[start])
        if is_object is None:
            return self._alone(start, root)
        root.open()
        self._levels.append(Level(root, is_object=is_object, ends_hiding=False))
        return start + 1

    def _alone(self, start: int, root: Node) -> int:
        """A document that is no container: an allow-list cannot name what is in it."""
        buffer = self._buffer
        if not root.scalar:
            raise self._fault(start, "a value without names cannot be matched with an allow-list")
        if buffer[start] == QUOTE:
            self._in_string = True
            return start + 1
        found = SCALAR.match(buffer, start)
        if found is None:
            return self._partial_scalar(start, start)
        self._done = True
        return found.end()

    def _step(self, level: Level, place: int) -> int:
        """The next value, or several, or the end of the container."""
        node = level.node
        if level.begun:
            others = node.other_members if level.is_object else node.other_items
            if others is not Others.ASK:
                after = self._run(level, place, others)
                if after > place:
                    return after
        kind = level.is_object, level.begun
        found = LEAD[kind].match(self._buffer, place)
        if found is None:
            return self._close(level, place)
        start = found.end()
        if start == len(self._buffer):
            return MORE
        if start - place > HELD:
            raise self._fault(place, f"more than {HELD} bytes between two values")
        if node.inert:
            child = node
        elif level.is_object:
            child = node.members.get(found[1] if b"\\" not in found[1] else self._spelled(found[1], place), node.member)
        else:
            child = node.items.get(level.count, node.item)
        return self._value(level, child, place, start)

    def _run(self, level: Level, place: int, others: Others) -> int:
        """Values that need no look one by one: up to what may be a name of the paths."""
        buffer, node = self._buffer, level.node
        if not (level.kept or node.inert or others is Others.DROP):
            return place  # a comma must go before the first that is shown
        if node.inert:
            stop = len(buffer)
        elif (stop := self._hit) < place:
            hit = self._plan.hits.search(buffer, place)
            stop = self._hit = len(buffer) if hit is None else hit.start()
        deep = len(self._levels) <= MAX_DEPTH - NESTED
        found = RUNS[level.is_object, deep].match(buffer, place, stop)
        if found is None:
            return place
        after = found.end()
        if others is Others.DROP and not self._leaving.hidden:
            self._leaving.flush(place)
            self._leaving.skip(after)
        return after

    def _close(self, level: Level, place: int) -> int:
        """The end of the container, the beginning of something, or no JSON."""
        found = CLOSE[level.is_object].match(self._buffer, place)
        if found is None:
            if PARTIAL_LEAD[level.is_object, level.begun].match(self._buffer, place):
                return MORE
            raise self._fault(place, "not JSON")
        self._levels.pop()
        self._done = not self._levels
        if level.ends_hiding:
            self._leaving.show(found.end())
        return found.end()

    def _value(self, level: Level, child: Node, place: int, start: int) -> int:
        """A value that begins at `start`; what stands before it begins at `place`. Nothing is changed where it is not complete."""
        buffer = self._buffer
        is_object = OPENING.get(buffer[start])
        if is_object is not None:
            return self._open(level, child, place, start, is_object=is_object)
        is_text = buffer[start] == QUOTE
        found = (STRING if is_text else SCALAR).match(buffer, start)
        if found is None and not is_text:
            return self._partial_scalar(place, start)
        left_out = self._announce(level, place, child, shown=child.scalar and not child.hidden)
        if found is None:
            return self._begin_string(child.style, start, left_out=left_out)
        after = found.end()
        if left_out:
            self._leaving.skip(after)
        elif child.style is not None and not self._leaving.hidden:
            self._leaving.flush(start)
            self._leaving.put(self._styles.left(child.style, found[0]))
            self.redacted += 1
            self._leaving.skip(after)
        return after

    def _announce(self, level: Level, place: int, child: Node, *, shown: bool) -> bool:
        """A value comes, its comma and name from `place` on. Whether it is from here on that nothing is shown."""
        begun, level.begun = level.begun, True
        level.count += 1
        if self._leaving.hidden:
            return False
        if not shown:
            self._leaving.flush(place)
            self.redacted += child.removed
            return True
        if begun and not level.kept:
            comma = self._buffer.index(b",", place)
            self._leaving.flush(comma)
            self._leaving.skip(comma + 1)
        level.kept = True
        return False

    def _open(self, level: Level, child: Node, place: int, start: int, *, is_object: bool) -> int:
        if len(self._levels) >= MAX_DEPTH:
            raise self._fault(start, f"more than {MAX_DEPTH} levels")
        left_out = self._announce(level, place, child, shown=not child.hidden)
        self._leaving.hidden = self._leaving.hidden or left_out
        child.open()
        self._levels.append(Level(child, is_object=is_object, ends_hiding=left_out))
        return start + 1

    def _partial_scalar(self, place: int, start: int) -> int:
        if PARTIAL_SCALAR.match(self._buffer, start):
            return MORE
        raise self._fault(place, "not JSON")

    # Strings that are not here as a whole

    def _begin_string(self, style: Style | None, start: int, *, left_out: bool) -> int:
        self._in_string = True
        if style is not None and not (left_out or self._leaving.hidden):
            self._leaving.flush(start)
            self._sink = Unescaping(self._styles.sink(style))
            left_out = True
        if left_out:
            self._leaving.hidden = self._ends_hiding = True
        return start + 1

    def _go_on(self, place: int) -> int:
        """More of the string, or its end."""
        buffer = self._buffer
        found = BODY.match(buffer, place)
        after = place if found is None else found.end()
        if self._sink is not None:
            self._sink.take(buffer[place:after])
        if after == len(buffer):
            return after
        if buffer[after] == QUOTE:
            self._end_string(after + 1)
            return after + 1
        if PARTIAL_ESCAPE.match(buffer, after):
            return after if after > place else MORE
        raise self._fault(after, "not JSON")

    def _end_string(self, after: int) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            self._leaving.put(sink.end())
            self.redacted += 1
        if self._ends_hiding:
            self._ends_hiding = False
            self._leaving.show(after)
        self._in_string = False
        self._done = not self._levels

    def _spelled(self, raw: bytes, place: int) -> bytes:
        """A member's name without its escapes. Raises Unreadable for one that readers take for different names."""
        name = unescaped(raw.decode("utf-8"))
        if "\0" in name or not is_sayable(name):
            raise self._fault(place, "a member's name that holds NUL or half a surrogate pair")
        return name.encode("utf-8")

    def _ensure_utf8(self, piece: bytes, *, final: bool = False) -> None:
        try:
            self._decoder.decode(piece, final)
        except UnicodeDecodeError as error:
            raise self._fault(0, "not UTF-8") from error

    def _fault(self, place: int, problem: str) -> Unreadable:
        return Unreadable(f"{problem}, at byte {self._read + place}")
