"""One target of an upstream while the gateway runs: its addresses, its idle connections, its health."""

from time import monotonic
from typing import Any, Final

from gateway.upstream.connection import Connection
from gateway.upstream.model import Upstream
from gateway.upstream.repeated import Replies
from gateway.upstream.target import Addresses, Resolve, Target

EJECTED: Final = 5.0
"""Seconds a target that could not be reached is passed over, while others can."""


class Lane:
    """A target and what is known about it now."""

    def __init__(self, target: Target, model: Upstream, resolve: Resolve) -> None:
        self.target = target
        self.authority = target.authority.encode("ascii")
        private = model.internal or model.allow_private
        self.addresses = Addresses(target, private=private, literal=model.allow_private, resolve=resolve, time=monotonic)
        self.idle: list[Connection] = []
        self.replies = Replies()
        self._ejected_until = 0.0

    def take(self, repeatable: bool) -> Connection | None:
        """The idle connection used last, since it is the least likely to be stale; None when there is none to trust."""
        idle = self.idle
        while idle:
            connection = idle[-1]
            if connection.is_usable():
                if not repeatable and not connection.is_calm():
                    return None
                return idle.pop()
            idle.pop()
        return None

    def failed(self) -> None:
        """No connection could be made."""
        self._ejected_until = monotonic() + EJECTED

    def recovered(self) -> None:
        """A connection was made."""
        self._ejected_until = 0.0

    def is_ejected(self) -> bool:
        return monotonic() < self._ejected_until

    def status(self) -> dict[str, Any]:
        """For the operators."""
        return {
            "url": self.target.origin + self.target.base,
            "addresses": list(self.addresses.known),
            "idle": len(self.idle),
            "ejected": self.is_ejected(),
        }
