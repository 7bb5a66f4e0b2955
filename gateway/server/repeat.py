"""The last head of each method on a connection, for the next that differs from it in nothing but the target and the body's length.

A client on a kept-alive connection mostly says the same again: the same method, the same version, the same fields to the byte.
llhttp begins each message in one and the same state, so these bytes mean to it what they meant before, and it need not be
asked again. Of the target, which is new, only characters are taken that llhttp passes on untouched; anything else it is asked.
A body is taken where all of it came with its head, and nothing behind it.
"""

import re
from typing import Any, Final

from gateway.core.message import NO_BODY, Field, Inbound
from gateway.edge.model import ListenerLimits
from gateway.server.body import WholeBody
from gateway.server.origin import Origin

PLAIN_TARGET: Final = re.compile(rb"/[!$%&'()*+,\-./0-9:;=?@A-Z_a-z~]*")
MOST_TARGETS: Final = 8
"""Requests a connection remembers."""
LONGEST_TARGET: Final = 256
"""Bytes of a target that is remembered: what becomes of it takes many times as much."""
LINE_END: Final = b" HTTP/1.1\r\n"
LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)(?=\r\n)", re.IGNORECASE)
BEGINNING: Final = 3
"""Bytes that tell methods apart well enough."""
MOST_METHODS: Final = 4
LONGEST_LENGTH: Final = 12
"""Digits of a length that is looked for."""


class Repeat:
    """One request as llhttp read it, `start` its beginning. Its fields are one list for all with that length: nobody changes it."""

    __slots__ = (
        "_after", "_before", "_came", "_digits", "_end", "_headers", "_limits", "_longest", "_memo", "_method", "_shortest",
        "start",
    )  # fmt: skip

    def __init__(self, head: bytes, method: str, headers: list[Field], limits: ListenerLimits, sized: bool = False) -> None:
        """`head` is the whole head, that is from the method to the empty line, of an HTTP/1.1 request within `limits`.

        `sized` tells that a body follows, as long as a Content-Length field says; else there is none.
        """
        self._method = method
        self._headers = headers
        self._memo: dict[object, Any] = {}
        self._came: dict[bytes, Inbound] = {}
        self._limits = limits
        self.start = method.encode("ascii") + b" /"
        self._end = head[head.index(LINE_END) :]
        self._shortest = len(self.start) + len(self._end)
        self._longest = limits.request_line - len(LINE_END) + 2 + len(self._end)
        # Around the digits of the length; where they are not found like this, nothing will be.
        found = LENGTH.search(self._end) if sized else None
        self._digits = b"" if found is None else found[1]
        self._before = b"" if found is None else self._end[: found.start(1)]
        self._after = b"" if found is None else self._end[found.end(1) :]
        if sized and found is None:
            self._shortest, self._longest = 1, 0

    def forget(self) -> None:
        """It is over: what stages noted of the head refers to the notes."""
        self._memo.clear()

    def inbound(self, data: bytes, limits: ListenerLimits, origin: Origin) -> Inbound | None:
        """The request, where `data` is the same head but for the target and nothing else; None where it is not.

        `limits` are those of now, `origin` the connection's.
        """
        if limits is not self._limits:
            return None
        if self._after:
            return self._with_body(data, limits, origin)
        if not self._shortest <= len(data) <= self._longest:
            return None
        if not (data.endswith(self._end) and data.startswith(self.start)):
            return None
        target = data[len(self.start) - 1 : -len(self._end)]
        came = self._came
        inbound = came.get(target)
        if inbound is None and PLAIN_TARGET.fullmatch(target):
            inbound = origin.inbound(self._method, target, "1.1", self._headers, NO_BODY, None, self._memo)
            if len(target) <= LONGEST_TARGET:
                if len(came) >= MOST_TARGETS:
                    came.clear()
                came[target] = inbound
        return inbound

    def _with_body(self, data: bytes, limits: ListenerLimits, origin: Origin) -> Inbound | None:
        """The request, where `data` is the same head but for the target and the length, and a body of just that length."""
        if not data.startswith(self.start):
            return None
        line = data.find(LINE_END, 0, limits.request_line + 2)
        begin = line + len(self._before)
        end = data.find(b"\r", begin, begin + LONGEST_LENGTH)
        if line < 0 or end < 0 or not (data.startswith(self._before, line) and data.startswith(self._after, end)):
            return None
        digits, target, body = data[begin:end], data[len(self.start) - 1 : line], data[end + len(self._after) :]
        fields = len(data) - len(body) - line - len(LINE_END) - 2
        if fields > limits.headers or not PLAIN_TARGET.fullmatch(target):
            return None
        if not digits.isdigit() or len(body) != int(digits) or not 0 < len(body) <= limits.body:
            return None
        if digits != self._digits:
            self._digits = digits
            self._headers = [(name, digits) if name == b"content-length" else (name, value) for name, value in self._headers]
        return origin.inbound(self._method, target, "1.1", self._headers, WholeBody(body, limits.body), None, self._memo)


class Repeats:
    """What one connection said last: `last`, by the beginning of the method."""

    __slots__ = ("last",)

    def __init__(self) -> None:
        self.last: dict[bytes, Repeat] = {}

    def note(self, repeat: Repeat) -> None:
        """Know it in place of the last one with its method."""
        beginning = repeat.start[:BEGINNING]
        if beginning in self.last:
            self.last.pop(beginning).forget()
        elif len(self.last) >= MOST_METHODS:
            self.forget()
        self.last[beginning] = repeat

    def forget(self) -> None:
        """Know nothing any more."""
        while self.last:
            self.last.popitem()[1].forget()
