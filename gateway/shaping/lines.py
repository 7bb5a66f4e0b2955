"""Newline-delimited JSON: every line a document of its own."""

from gateway.shaping.plan import Plan
from gateway.shaping.rewriter import Rewriter
from gateway.shaping.styles import Styles


class Lines:
    """Rewrites a document a line. `redacted` as a Rewriter's."""

    __slots__ = ("_before", "_line", "_plan", "_styles")

    def __init__(self, plan: Plan, styles: Styles) -> None:
        self._plan = plan
        self._styles = styles
        self._before = 0
        self._line = Rewriter(plan, styles)

    @property
    def redacted(self) -> int:
        return self._before + self._line.redacted

    def feed(self, piece: bytes) -> bytes:
        """What may leave, now that this has come. Raises Unreadable."""
        *ended, rest = piece.split(b"\n")
        out = []
        for text in ended:
            out += [self._line.feed(text), self.end(), b"\n"]
        out.append(self._line.feed(rest))
        return b"".join(out)

    def end(self) -> bytes:
        """The rest of a line. Raises Unreadable for a document that is not complete; an empty line is none."""
        if not self._line.begun:
            return b""
        last = self._line.end()
        self._before += self._line.redacted
        self._line = Rewriter(self._plan, self._styles)
        return last
