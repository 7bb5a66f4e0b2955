"""Judges failures by the rules. One for each process, whatever its configuration becomes.

Failures are counted here, blocks are told to the other processes. What succeeds is never refused for what others did in its name:
addresses are blocked, identities are not.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, Literal

from gateway.config.subscriber import network
from gateway.core.ports import Clock, Metrics
from gateway.detection.blocks import Block, Blocks, key_of, shown, told
from gateway.detection.identity import canonical
from gateway.detection.ledger import Entry, Ledger
from gateway.detection.model import BruteForce, Detection

log = logging.getLogger(__name__)

EVERY: Final = 1.0
"""Seconds between two looks at whose time is over."""
MOST_STRIKES: Final = 20
QUIET: Final = 60.0
"""Seconds in which the same signal about the same is told once."""
MOST_SIGNALS: Final = 4096
Signal = Literal["token.replayed", "token.reused", "session.moved"]
Told = Callable[[str, float], None]
"""Takes a network and for how many seconds it is blocked from now on; 0: it is released."""


class Guard:
    """Remembers who failed and refuses whom the rules name. Nothing here waits, and everything is bounded."""

    def __init__(self, clock: Clock, metrics: Metrics, tell: Callable[..., None]) -> None:
        """`tell` takes audit events."""
        self._clock = clock
        self._metrics = metrics
        self._tell = tell
        self._rules: tuple[BruteForce, ...] = ()
        self._signals: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._task: asyncio.Task[None] | None = None
        self.blocks = Blocks()
        self.addresses = Ledger()
        self.identities = Ledger()
        self.outward: Told | None = None
        """Tells the other workers."""
        self.shared: Told | None = None
        """Tells the other replicas."""

    def adopt(self, model: Detection) -> None:
        """Judge by these rules from now on. Without any nobody is refused, and nothing is remembered."""
        self._rules = rules = tuple(model.rules)
        window = max((rule.window for rule in rules), default=0.0)
        self.addresses.adopt(max((rule.threshold for rule in rules), default=1), window)
        self.identities.adopt(max((rule.per_identity for rule in rules), default=1), window)
        if not rules:
            self.blocks.standing.clear()
        self._measure()

    # What happened

    def failed(self, client: str, about: str | None, *, exempt: bool = False) -> None:
        """A presented credential failed; `about` is the identity that was tried, where known. An `exempt` client is not counted."""
        if not self._rules:
            return
        now = self._clock.monotonic()
        key = "" if exempt or not client else network(client)
        self._metrics.count("gateway.detection.failures", counted="yes" if key else "no")
        standing = self.blocks.standing.get(key)
        if standing is not None and not standing.delayed and standing.until > now:
            return  # it was under way when its address was blocked
        identity = "" if about is None else canonical(about)
        tried = self._note("identities", self.identities, identity, key, now) if identity else None
        entry = self._note("addresses", self.addresses, key, identity, now) if key else None
        for rule in self._rules:
            self._judge(rule, key, entry, identity, tried, now)

    def succeeded(self, client: str, about: str) -> None:
        """An identity succeeded. Where somebody failed for it, this address is trusted with it from now on, and forgiven."""
        identity = canonical(about)
        tried = self.identities.entries.get(identity)
        if tried is None or not client:
            return
        key = network(client)
        tried.prove(key)
        if key in self.addresses.entries:
            self.addresses.forgive(key, identity)
            self.identities.forgive(identity, key)

    def signal(self, kind: Signal, *, client: str, issuer: str = "", subject: str = "", **told: str | None) -> None:
        """What another part noticed: a proof or token used twice, a rotated token used again, a session in another network. Nobody
        is refused for it: whoever holds what was stolen could else lock out whom it was stolen from.

        Counted each time; told to the audit trail (`auth.…`) once a minute for the same principal, else the same address.
        """
        self._metrics.count("gateway.detection.signals", kind=kind)
        now = self._clock.monotonic()
        about = kind, f"{len(issuer)}:{issuer}{subject}" if subject else client
        last = self._signals.get(about)
        if last is not None and now - last < QUIET:
            return
        self._signals[about] = now
        self._signals.move_to_end(about)
        if len(self._signals) > MOST_SIGNALS:
            self._signals.popitem(last=False)
        self._tell(f"auth.{kind}", client=client or None, issuer=issuer or None, subject=subject or None, **told)

    # Judgement

    def _note(self, table: str, ledger: Ledger, key: str, other: str, now: float) -> Entry:
        entry, left = ledger.add(key, other, now)
        if left:
            self._metrics.count("gateway.detection.forgotten", table=table)
        return entry

    def _attacked(self, tried: Entry, now: float) -> bool:
        return any(tried.reaches(rule.per_identity, now - rule.window) for rule in self._rules)

    def _judge(self, rule: BruteForce, key: str, entry: Entry | None, identity: str, tried: Entry | None, now: float) -> None:
        since = now - rule.window
        attacked = tried is not None and tried.reaches(rule.per_identity, since)
        if tried is not None and attacked and not tried.told:
            tried.told = True
            self._tell("identity.attacked", credential_id=identity, count=len(tried.marks))
        if entry is None:
            return
        unproved = tried is not None and attacked and key not in tried.proved
        if entry.reaches(rule.threshold, since) or unproved:
            self._act(rule, key, entry, "identity" if unproved else "address", now)

    def _act(self, rule: BruteForce, key: str, entry: Entry, cause: str, now: float) -> None:
        if rule.action == "block_address":
            self._block(key, rule.for_, len(entry.marks), cause, now)
        elif rule.action == "delay":
            entry.strikes = min(entry.strikes + 1, MOST_STRIKES)
            self._metrics.count("gateway.detection.delays")
            until = now + min(2.0 ** (entry.strikes - 1), rule.for_)
            self._put(key, Block(until, len(entry.marks), True), now)
        elif not entry.told:
            entry.told = True
            self._tell("auth.token.invalid", client=shown(key), count=len(entry.marks))

    def _block(self, key: str, seconds: float, count: int, cause: str, now: float) -> None:
        self._put(key, Block(now + seconds, count, False), now)
        self.addresses.drop(key)
        self._metrics.count("gateway.detection.blocks", cause=cause)
        until = round(self._clock.now() + seconds)
        self._tell("address.blocked", client=shown(key), network=shown(key), until=until, count=count, detail=cause)
        log.warning("an address is blocked: its credentials keep failing", extra={"seconds": seconds, "cause": cause})
        self._spread(key, seconds)

    def _put(self, key: str, block: Block, now: float) -> None:
        if self.blocks.put(key, block, now):
            self._metrics.count("gateway.detection.forgotten", table="blocks")
        self._measure()

    def _measure(self) -> None:
        self._metrics.gauge("gateway.detection.blocked", len(self.blocks.standing))

    # Other processes, and operators

    def _spread(self, key: str, seconds: float) -> None:
        for tell in (self.outward, self.shared):
            if tell is not None:
                tell(key, seconds)

    def take(self, key: str, seconds: float) -> None:
        """What another process tells: a network that is blocked for so long, or released (0)."""
        if not self._rules:
            return
        if seconds > 0:
            now = self._clock.monotonic()
            known = self.blocks.standing.get(key)
            if known is not None and not known.delayed and known.until > now + seconds - EVERY:
                return  # this process's own word comes back to it
            self._put(key, Block(now + seconds, 0, False), now)
        else:
            self.forget(key)

    def standing(self) -> dict[str, float]:
        """Whom is blocked, and for how many seconds from now."""
        now = self._clock.monotonic()
        return {key: block.until - now for key, block in self.blocks.standing.items() if not block.delayed and block.until > now}

    def forget(self, key: str) -> bool:
        """Refuse a network no more, and forget its failures; whether it was refused."""
        self.addresses.drop(key)
        released = self.blocks.release(key)
        self._measure()
        return released

    def release(self, address: str) -> bool:
        """An operator's word, for all processes: whether the address was refused here. Raises ValueError for what is no address."""
        key = key_of(address)
        released = self.forget(key)
        if released:
            self._tell("address.released", client=shown(key), network=shown(key), detail="operator")
        self._spread(key, 0.0)
        return released

    def listing(self) -> dict[str, Any]:
        """For operators: who is refused, and which identities somebody keeps failing for."""
        now, time = self._clock.monotonic(), self._clock.now()
        blocked = [told(key, block, now, time) for key, block in self.blocks.standing.items() if block.until > now]
        attacked = [
            {"identity": key, "failures": len(entry.marks)}
            for key, entry in self.identities.entries.items()
            if self._attacked(entry, now)
        ]
        return {"addresses": blocked, "identities": attacked}

    def status(self) -> dict[str, Any]:
        """For the operators' page."""
        return {"rules": len(self._rules), "blocked": len(self.blocks.standing), "failing": len(self.addresses.entries)}

    # Time

    def sweep(self) -> None:
        """Let in whose time is over, forget who has been quiet."""
        now = self._clock.monotonic()
        for key, block in self.blocks.sweep(now):
            if block.count and not block.delayed:
                self._tell("address.released", client=shown(key), network=shown(key), detail="time")
        self.addresses.sweep(now)
        self.identities.sweep(now)
        self._measure()

    def start(self) -> None:
        """Look at the time now and then, until `close`. Calling it again is harmless."""
        if self._task is None:
            self._task = asyncio.create_task(self._watch(), name="detection")

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            try:
                self.sweep()
            except Exception:
                log.exception("bug while looking for whose time is over")
