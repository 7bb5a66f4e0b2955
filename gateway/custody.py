"""What a running gateway does for the secrets of its database: follows them, and moves them from old keys to the first.

Both are loops that nothing ends but the process: whatever goes wrong is logged, and the next turn tries again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from gateway.config.values import SealedSecret
from gateway.core.errors import DependencyDown
from gateway.core.ports import Clock, Metrics
from gateway.credentials.stored.source import StoredSource
from gateway.credentials.tokens import Tell
from gateway.credentials.vault.fault import Fault
from gateway.settings import Loaded
from gateway.store.bell import Bell

if TYPE_CHECKING:
    from gateway.credentials.stored.following import Following
    from gateway.credentials.stored.resealing import Done, Resealing
    from gateway.credentials.vault.model import Vault
    from gateway.credentials.vault.ring import Ring

log = logging.getLogger(__name__)

LOOK_EVERY: Final = 0.5
"""Seconds between two looks at what changed: a revocation is felt within one."""
SEAL_EVERY: Final = 60.0
"""Seconds between two looks at what is under an old key."""
SETTLED: Final = 600.0
"""Seconds for which a text stays under the key that it was sealed under: while replicas get a new configuration one by one, those
that have it and those that do not must not seal each other's texts anew."""
PAUSE: Final = 0.02
"""Seconds between two texts that are sealed anew: fifty a second at most."""
TURN: Final = "vault:reseal"
TURN_SECONDS: Final = 120.0
REMEMBERED: Final = 1000


class Custody:
    """Looks after the stored secrets of whatever configuration is live."""

    def __init__(
        self, live: Callable[[], Loaded], database: Callable[[], Any], clock: Clock, metrics: Metrics, tell: Tell, bell: Bell
    ) -> None:
        self._live = live
        self._database = database
        self._clock = clock
        self._metrics = metrics
        self._tell = tell
        self._bell = bell
        self._following: Following | None = None
        self._resealing: tuple[object, Resealing] | None = None
        self._told: set[tuple[str, tuple[str, ...], int]] = set()
        self._sources: tuple[Loaded | None, dict[str, StoredSource]] = None, {}

    async def follow(self) -> None:
        """Runs until cancelled."""
        await _forever(self._look, LOOK_EVERY, self._bell.pause)

    async def keep_sealed(self) -> None:
        """Runs until cancelled."""
        await _forever(self.reseal, SEAL_EVERY)

    async def reseal(self, settled: float = SETTLED, pause: float = PAUSE) -> None:
        """Seal under the first key what is under others, as one of all replicas; and see what each key seals."""
        loaded, database = self._live(), self._database()
        parts = _parts(loaded)
        if parts is None or database is None:
            return
        model, resealing = parts[0], self._of_database(database, parts[1])
        try:
            await self._in_turns(database, resealing, model, settled, pause)
            loaded.vault.tally = await resealing.tally(self._clock.now() - model.rotate_after)
        except DependencyDown as error:
            log.info("the database or a key is away, sealing anew waits", extra={"cause": error.detail})

    async def _in_turns(self, database: Any, resealing: "Resealing", model: "Vault", settled: float, pause: float) -> None:
        from gateway.store.sql.leases import Leases

        leases = Leases(database)
        before, overdue = self._clock.now() - settled, self._clock.now() - model.rotate_after if model.rotate == "auto" else 0.0
        while await resealing.is_due(before, overdue):
            lease = await leases.take(TURN, TURN_SECONDS)
            if lease is None:
                return
            try:
                if await resealing.misfits():
                    log.critical("the first key opens nothing that is under it: other gateways have another key of that id")
                    return
                done = await resealing.turn(before, overdue, lambda: asyncio.sleep(pause))
            finally:
                await leases.release(lease)
            self._tell_of(done)
            if not any(each.resealed for each in done):
                return

    def _tell_of(self, done: "list[Done]") -> None:
        for each in done:
            if each.resealed:
                self._metrics.count("gateway.vault.resealed", 1, table=each.table)
            elif each.fault in {Fault.ALTERED, Fault.MALFORMED}:
                self._alarm(each, each.fault)

    def _alarm(self, each: "Done", fault: Fault) -> None:
        """Once for each text. One that waits for a key of another replica is no alarm."""
        known = each.table, each.text.key, each.text.version
        if known in self._told or len(self._told) >= REMEMBERED:
            return
        self._told.add(known)
        self._metrics.count("gateway.vault.refused", 1, fault=str(fault))
        self._tell("secret.refused", entry=f"{each.table}: {each.text.key[0]}", fault=str(fault))

    def _of_database(self, database: Any, ring: "Ring") -> "Resealing":
        from gateway.credentials.stored.resealing import Resealing

        if self._resealing is None or self._resealing[0] != (id(database), id(ring)):
            self._resealing = (id(database), id(ring)), Resealing(database, ring, self._clock.now)
        return self._resealing[1]

    async def _look(self) -> None:
        loaded, database = self._live(), self._database()
        sources, parts = self._of(loaded), _parts(loaded)
        if not sources or parts is None or database is None:
            return
        from gateway.credentials.stored.following import Following
        from gateway.store.sql.secrets import SecretRows

        self._following = self._following or Following(self._clock, self._metrics, self._tell)
        await self._following.look(SecretRows(database), parts[1], sources, parts[0])

    def _of(self, loaded: Loaded) -> dict[str, StoredSource]:
        """The sources that requests of this configuration use, by name."""
        if self._sources[0] is not loaded:
            names = loaded.vault.stored.sources if loaded.vault.stored is not None else ()
            found = {name: loaded.secrets(SealedSecret(sealed=name)) for name in names}
            self._sources = loaded, {name: source for name, source in found.items() if isinstance(source, StoredSource)}
        return self._sources[1]


def _parts(loaded: Loaded) -> "tuple[Vault, Ring] | None":
    vault = loaded.vault
    return None if vault.model is None or vault.ring is None else (vault.model, vault.ring)


async def _forever(
    turn: Callable[[], Awaitable[None]], pause: float, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    while True:
        try:
            await turn()
        except Exception:  # a bug, or a database that is just being closed: the next turn is another try
            log.exception("looking after stored secrets failed")
        await sleep(pause)
