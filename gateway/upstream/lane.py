"""One target of an upstream while the gateway runs: its addresses, its idle connections, what it bears."""

from time import monotonic
from typing import Any, Final

from gateway.upstream.accrual import Accrual
from gateway.upstream.connection import Connection
from gateway.upstream.endpoint import UNKNOWN, Endpoint
from gateway.upstream.model import Upstream
from gateway.upstream.repeated import Replies
from gateway.upstream.target import FRESH, Addresses, Resolve, Target

MOST_TRIED: Final = 3
"""Addresses of a target that are tried for one connection: with more, none would have the time a handshake needs."""


class Lane:
    """A target and what is known about it now. `open` counts connections there and on their way, `weight` what it may bear.

    `doubted` says that the pool wants to know of answers, since something failed lately.
    """

    def __init__(self, target: Target, model: Upstream, resolve: Resolve, fresh: float = FRESH) -> None:
        self.target = target
        self.authority = target.authority.encode("ascii")
        private = model.internal or model.allow_private
        self.addresses = Addresses(
            target, private=private, literal=model.allow_private, resolve=resolve, time=monotonic, fresh=fresh
        )
        self.idle: list[Connection] = []
        self.replies = Replies()
        self.open = 0
        self.weight = 1.0
        self.doubted = False
        self._detection = model.outlier_detection
        self.endpoints = {ip: self.endpoint(ip) for ip in self.addresses.known or (UNKNOWN,)}

    def endpoint(self, ip: str) -> Endpoint:
        """An address of which nothing is known yet."""
        found = self._detection
        return Endpoint(ip, Accrual(found.consecutive_failures, found.base_ejection_time, found.max_ejection_time))

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

    def cost(self) -> float:
        """Requests it has to answer and one more, for what it may bear."""
        return (self.open - len(self.idle) + 1) / self.weight

    def candidates(self) -> list[Endpoint]:
        """The addresses to try for a connection, the ones that bear least first, those that are passed over last."""
        return sorted(self.endpoints.values(), key=lambda endpoint: (endpoint.resting, endpoint.cost()))[:MOST_TRIED]

    def drop(self) -> None:
        """Close idle connections to addresses that are passed over."""
        kept = [connection for connection in self.idle if not connection.endpoint.resting]
        dropped = [connection for connection in self.idle if connection.endpoint.resting]
        self.idle[:] = kept
        for connection in dropped:
            connection.close()

    def status(self) -> dict[str, Any]:
        """For the operators."""
        return {
            "url": self.target.origin + self.target.base,
            "addresses": [endpoint.status() for endpoint in list(self.endpoints.values())],
            "connections": self.open,
            "idle": len(self.idle),
        }
