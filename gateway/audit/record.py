"""The audit trail as the rest of the gateway knows it, wherever its lines are written."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from gateway.core.exchange import Exchange


class Record(Protocol):
    """Keeps the record of what happened: `trail.Trail` in a file, `relay.Relay` through the process that has the file."""

    def ensure_room(self) -> None:
        """Raises Unavailable (audit-full) while evidence of a request could not be kept."""
        ...

    def record(self, ended: Iterable[tuple[Exchange, float]]) -> None:
        """Write down the events of requests, each with its duration in seconds. Never waits."""
        ...

    def event(self, name: str, /, **fields: Any) -> None:
        """Write another event of the catalogue down."""
        ...

    def reopen(self) -> None:
        """Open the file anew."""
        ...

    def status(self) -> Mapping[str, Any]:
        """How it does, for operators."""
        ...

    async def start(self) -> None: ...
    async def flush(self, timeout: float = 5.0) -> None: ...
    async def close(self, timeout: float = 5.0) -> None: ...
