"""Makes the lines of the trail, wherever they are written, and says whether there is room for more."""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from gateway.audit.event import Events
from gateway.core.errors import Unavailable
from gateway.core.exchange import Exchange
from gateway.core.ports import Clock
from gateway.core.reason import Reason

log = logging.getLogger(__name__)


class Pen:
    """What `trail.Trail` and `relay.Relay` have in common: `put` takes the lines, each whole; `full` is theirs to say."""

    def __init__(self, events: Events, clock: Clock, put: Callable[[list[bytes]], None]) -> None:
        self._events = events
        self._clock = clock
        self._put = put
        self.full = False

    def ensure_room(self) -> None:
        """Before a request is served. Raises Unavailable (audit-full) while evidence of it could not be kept."""
        if self.full:
            raise Unavailable("the audit trail takes no more events", reason=Reason.AUDIT_FULL)

    def record(self, ended: Iterable[tuple[Exchange, float]]) -> None:
        """Write down the events of requests, each with its duration in seconds. Never waits."""
        lines: list[bytes] = []
        make, put = self._events.request, self._put
        try:
            for exchange, duration in ended:
                lines.append(make(exchange, duration))
        finally:  # a line that cannot be made must not cost those before it
            put(lines)

    def event(self, name: str, /, **fields: Any) -> None:
        """Write another event of the catalogue down. Fields the catalogue does not name are left out."""
        line = self._events.named(name, self._clock.now(), fields)
        if line is None:
            log.error("event outside the audit catalogue", extra={"event": name})
            return
        put = self._put
        put([line])
