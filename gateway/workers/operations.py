"""What operators see of a gateway of several workers. Implements `admin.app.Operations`."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from gateway import __version__
from gateway.audit.trail import Trail
from gateway.core.ports import SecretSource
from gateway.operations import Entrance, described
from gateway.reload import Reload
from gateway.resources import SystemClock
from gateway.server.listener import AsgiApp
from gateway.settings import Loaded, Settings
from gateway.telemetry import logs
from gateway.telemetry.telemetry import Telemetry
from gateway.workers.blocks import together
from gateway.workers.fleet import Fleet


class Running(Protocol):
    """The parts of a supervisor that operators ask about."""

    loaded: Loaded
    fleet: Fleet
    reload: Reload
    trail: Trail
    telemetry: Telemetry
    logs: logs.Logs

    @property
    def ready(self) -> bool: ...


class Operating:
    """The operators' view of all processes."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._entrance = Entrance(self, SystemClock(), running.telemetry.metrics, running.trail.event)

    def app(self, loaded: Loaded, settings: Settings, token: SecretSource | None) -> AsgiApp:
        """The admin listener's application under a configuration. Raises ConfigError."""
        return self._entrance.app(loaded, settings, token)

    def ready(self) -> bool:
        """Somebody serves, not draining (CONTRACT 1)."""
        return self._running.ready

    async def status(self) -> Mapping[str, Any]:
        """The whole, and what each worker says of itself."""
        running = self._running
        refused = running.reload.last_error
        told = await running.fleet.pulse.ask("status")
        return {
            "version": __version__,
            "generation": running.loaded.generation,
            "last_reload": "applied" if refused is None else "refused",
            "connections": sum(each["status"]["connections"] for each in told.values()),
            "audit": running.trail.status(),
            **running.loaded.vault.status(),
            "workers": {
                str(member.slot): {"pid": member.pid, "state": member.state, **told.get(member.slot, {}).get("status", {})}
                for member in sorted(running.fleet.alive, key=lambda member: (member.slot, -member.serial))
                if running.fleet.is_in_place(member)
            },
        }

    async def metrics(self) -> bytes:
        """Everything all workers count, as of now."""
        await self._running.fleet.pulse.measure()
        return await asyncio.to_thread(self._running.telemetry.metrics.render)

    def describe(self) -> Mapping[str, Any]:
        return described(self._running.loaded)

    async def routes(self) -> list[Mapping[str, Any]]:
        """Every route as it is served: all workers have the same, but for what each was asked that a description does not know."""
        told = await self._running.fleet.pulse.ask("routes")
        return summed([each["routes"] for each in told.values()])

    async def blocks(self) -> Mapping[str, Any]:
        """Whom the workers refuse."""
        told = await self._running.fleet.pulse.ask("blocks")
        return together(each["blocks"] for each in told.values())

    async def release(self, address: str) -> bool:
        return await self._running.fleet.spread.release(address)

    async def sessions(self, issuer: str, subject: str) -> list[Mapping[str, Any]]:
        """Those that the workers know: where a store is shared, all know the same."""
        told = await self._running.fleet.pulse.ask("sessions", issuer=issuer, subject=subject)
        found = {each["session"]: each for answer in told.values() for each in answer["sessions"]}
        return sorted(found.values(), key=lambda each: each["opened_at"])

    async def end_session(self, name: str, operator: str) -> bool:
        return await self._end(("name", name), operator) > 0

    async def end_sessions(self, issuer: str, subject: str, operator: str) -> int:
        return await self._end(("who", issuer, subject), operator)

    async def _end(self, tag: Sequence[str], operator: str) -> int:
        told = await self._running.fleet.pulse.ask("end_sessions", tag=tag, operator=operator)
        return sum(each["ended"] for each in told.values())

    def tell(self, event: str, /, **fields: Any) -> None:
        self._running.trail.event(event, **fields)

    def level(self) -> str:
        return self._running.logs.level

    def set_level(self, level: str) -> None:
        """In every process; a worker that starts later has the configuration's."""
        self._running.logs.set_level(level)
        self._running.fleet.tell("level", level=level)


def summed(tables: list[list[dict[str, Any]]]) -> list[Mapping[str, Any]]:
    """The routes of all workers as one table, with the sum of the requests that descriptions do not know."""
    return [
        _summed(row, [each for table in tables for each in table if each["name"] == row["name"]]) for row in (tables or [[]])[0]
    ]


def _summed(row: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    told = [each["described"] for each in rows if each.get("described") is not None]
    if row.get("described") is None:
        return row
    counts: Counter[tuple[str, str]] = Counter()
    for each in told:
        counts.update({(kind["method"], kind["path"]): kind["count"] for kind in each["unknown"]})
    unknown = [{"method": method, "path": path, "count": count} for (method, path), count in counts.most_common()]
    beyond = sum(each["unknown_beyond"] for each in told)
    return {**row, "described": {**row["described"], "unknown": unknown, "unknown_beyond": beyond}}
