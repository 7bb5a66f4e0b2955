"""The head of a connection's last request, for the next that differs from it in nothing but the target.

A client on a kept-alive connection mostly says the same again: the same method, the same version, the same fields to the byte.
llhttp begins each message in one and the same state, so these bytes mean to it what they meant before, and it need not be
asked again. Of the target, which is new, only characters are taken that llhttp passes on untouched; anything else it is asked.
"""

import re
from typing import Any, Final

from gateway.core.message import NO_BODY, Field, Inbound
from gateway.edge.model import ListenerLimits
from gateway.server.origin import Origin

PLAIN_TARGET: Final = re.compile(rb"/[!$%&'()*+,\-./0-9:;=?@A-Z_a-z~]*")
MOST_TARGETS: Final = 8
"""Requests a connection remembers."""
LONGEST_TARGET: Final = 256
"""Bytes of a target that is remembered: what becomes of it takes many times as much."""
LINE_END: Final = b" HTTP/1.1\r\n"


class Repeat:
    """One request without a body, as llhttp read it. Its fields are one list for all requests like it: nobody changes it."""

    __slots__ = ("_came", "_end", "_headers", "_limits", "_longest", "_memo", "_method", "_shortest", "_start")

    def __init__(self, head: bytes, method: str, headers: list[Field], limits: ListenerLimits) -> None:
        """`head` is the whole head, that is from the method to the empty line, of an HTTP/1.1 request within `limits`."""
        self._method = method
        self._headers = headers
        self._memo: dict[object, Any] = {}
        self._came: dict[bytes, Inbound] = {}
        self._limits = limits
        self._start = method.encode("ascii") + b" /"
        self._end = head[head.index(LINE_END) :]
        self._shortest = len(self._start) + len(self._end)
        self._longest = limits.request_line - len(LINE_END) + 2 + len(self._end)

    def forget(self) -> None:
        """It is over: what stages noted of the head refers to the notes."""
        self._memo.clear()

    def inbound(self, data: bytes, limits: ListenerLimits, origin: Origin) -> Inbound | None:
        """The request, where `data` is the same head but for the target and nothing else; None where it is not.

        `limits` are those of now, `origin` the connection's.
        """
        if limits is not self._limits or not self._shortest <= len(data) <= self._longest:
            return None
        if not (data.endswith(self._end) and data.startswith(self._start)):
            return None
        target = data[len(self._start) - 1 : -len(self._end)]
        came = self._came
        inbound = came.get(target)
        if inbound is None and PLAIN_TARGET.fullmatch(target):
            inbound = origin.inbound(self._method, target, "1.1", self._headers, NO_BODY, None, self._memo)
            if len(target) <= LONGEST_TARGET:
                if len(came) >= MOST_TARGETS:
                    came.clear()
                came[target] = inbound
        return inbound
