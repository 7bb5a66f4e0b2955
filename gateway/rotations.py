"""What a running gateway does for secrets that rotate: twice a minute it looks whether one is due, or waits for its next step.
Nothing ends it but the process."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from gateway.core.errors import DependencyDown
from gateway.core.ports import Clock, Metrics, RevokingFetch
from gateway.credentials.tokens import Tell
from gateway.settings import Loaded
from gateway.settings.rotating import end_it, jobs

if TYPE_CHECKING:
    from gateway.credentials.rotation.job import Job
    from gateway.credentials.rotation.rotor import Rotor
    from gateway.credentials.rotation.turns import Turns
    from gateway.store.sql.secrets import SecretRows

log = logging.getLogger(__name__)

LOOK_EVERY: Final = 30.0
OVERDUE: Final = "gateway.rotation.overdue"
ORPHANED: Final = "gateway.rotation.orphaned"


class Rotations:
    """Turns what is due, of whatever configuration is live, as one of all gateways that share its database."""

    def __init__(
        self,
        live: Callable[[], Loaded],
        database: Callable[[], Any],
        fetch: RevokingFetch,
        clock: Clock,
        metrics: Metrics,
        tell: Tell,
    ) -> None:
        self._live = live
        self._database = database
        self._fetch = fetch
        self._clock = clock
        self._metrics = metrics
        self._tell = tell
        self._turns: Turns | None = None
        self._seen: frozenset[str] = frozenset()
        self._told: frozenset[str] = frozenset()

    async def watch(self, pause: float = LOOK_EVERY) -> None:
        """Runs until cancelled."""
        while True:
            try:
                await self.turn()
            except Exception:  # a bug, or a database that is just being closed: the next turn is another try
                log.exception("looking after rotations failed")
            await asyncio.sleep(pause)

    async def turn(self) -> None:
        """Look once at each. What one of them lacks keeps no other waiting."""
        loaded, database = self._live(), self._database()
        settings, ring = loaded.settings, loaded.vault.ring
        if settings is None or ring is None or database is None:
            return
        from gateway.credentials.rotation.job import Place
        from gateway.credentials.rotation.rotor import Rotor
        from gateway.credentials.rotation.turns import Turns
        from gateway.store.sql.leases import Leases
        from gateway.store.sql.secrets import SecretRows

        rows = SecretRows(database)
        self._turns = self._turns or Turns(self._clock.monotonic)
        place = Place(rows, Leases(database), self._turns, ring, self._clock, self._metrics, self._tell)
        wanted: Mapping[str, Job] = jobs(settings, self._fetch, self._clock.now)
        looked = await asyncio.gather(*(self._turned(Rotor(job, place), job) for job in wanted.values()))
        self._metrics.gauge(OVERDUE, sum(looked))
        await self._look_for_orphans(rows, wanted)

    async def _look_for_orphans(self, rows: "SecretRows", wanted: Mapping[str, "Job"]) -> None:
        """Tell of rotations that nothing goes on with, once each: when they are seen a second time, for a replica that has not
        read the configuration yet which began one is no reason."""
        from gateway.credentials.rotation.ledger import orphans

        try:
            found = await orphans(rows, wanted)
        except DependencyDown as error:
            log.warning("rotations cannot be looked for", extra={"cause": error.detail})
            return
        lasting = self._seen & found.keys()
        self._metrics.gauge(ORPHANED, len(lasting))
        for name in sorted(lasting - self._told):
            self._tell("secret.rotation.orphaned", entry=name, step=found[name], detail=end_it(name))
            log.error("nothing goes on with a rotation", extra={"entry": name, "step": found[name]})
        self._seen, self._told = frozenset(found), lasting

    async def _turned(self, rotor: "Rotor", job: "Job") -> bool:
        """Whether it is overdue all the same."""
        try:
            await rotor.turn()
            return await rotor.overdue()
        except DependencyDown as error:
            log.warning("a rotation waits", extra={"entry": job.name, "cause": error.detail})
            return False
