"""The one place that holds minted tokens: each made once however many ask, again ahead of its end, and kept while its mint is down.

A token is asked for again in the background while the old one serves, and serves until its end where that fails. Whoever
needs one that is not there waits for the one mint under way. Nothing here goes out without a token: there is one, or an error.
"""

import asyncio
import logging
import random
import secrets
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from datetime import UTC, datetime
from math import inf
from typing import Any, Final, Protocol, final

from gateway.core.errors import DependencyDown, Ungranted
from gateway.core.ports import Clock, Metrics
from gateway.credentials.token import Fresh, Slot, Token, Wanted

RETRY: Final = 1.0
LONGEST_RETRY: Final = 30.0
COOLDOWN: Final = 30.0
"""Seconds in which an upstream's refusals cause one mint: an upstream that refuses every token is not helped by new ones."""
MOST: Final = 2048
"""Tokens of one credential. Of more, those that were not used for longest are minted again when they are."""
AT_ONCE: Final = 4
MOST_MINTING: Final = 64
GRACE: Final = 2.0
"""Seconds that a mint has left when a reload, or the end, takes its credential away."""
WAIT: Final = 20.0
"""Seconds that a mint may take, its turn included."""

log = logging.getLogger(__name__)


class Tell(Protocol):
    """The audit trail, as this room sees it."""

    def __call__(self, name: str, /, **fields: Any) -> None: ...


@final
class Tokens:
    """All tokens of one credential, each under the key of what it is for. Lives on across reloads that do not change it."""

    def __init__(
        self,
        name: str,
        clock: Clock,
        metrics: Metrics,
        tell: Tell,
        *,
        provider: str = "",
        jitter: Callable[[], float] = random.random,
        most: int = MOST,
        wait: float = WAIT,
        grace: float = GRACE,
    ) -> None:
        self.name = name
        self.key = secrets.token_bytes(32)
        """For fingerprints of what a token was minted from."""
        self._clock = clock
        self._now = clock.monotonic
        self._metrics = metrics
        self._tell = tell
        self._provider = provider
        self._jitter = jitter
        self._most = most
        self._patience = wait
        self._grace = grace
        self._slots: OrderedDict[Hashable, Slot] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._error = ""
        self._failed_at = 0.0
        self._taken_back = 0

    def since(self, taken_back: int) -> None:
        """Forget all tokens, and those that are being minted, unless what they are minted from was taken back just so often when
        they were begun."""
        if taken_back != self._taken_back:
            self._taken_back = taken_back
            self._slots.clear()

    def ready(self, wanted: Wanted) -> Token | None:
        """The token, where there is one that is good; one that grows old is asked for again meanwhile."""
        slot = self._slots.get(wanted.key)
        if slot is None or slot.token is None:
            return None
        now, token = self._now(), slot.token
        if now >= token.ends:
            return None
        if now >= token.due and slot.minting is None and now >= slot.retry and len(self._tasks) < MOST_MINTING:
            self._begin(slot, wanted)
        self._slots.move_to_end(wanted.key)
        return token

    async def get(self, wanted: Wanted) -> Token:
        """The token, waited for. Raises DependencyDown, and Ungranted where none is minted for whoever asks."""
        token = self.ready(wanted)
        if token is not None:
            return token
        slot = self._slot(wanted.key)
        if slot.minting is None:
            if self._now() < slot.retry:
                raise slot.error()
            self._begin(slot, wanted)
        await self._wait(slot)
        if slot.token is None or self._now() >= slot.token.ends:
            raise slot.error()
        return slot.token

    async def renewed(self, wanted: Wanted, sent: list[bytes]) -> tuple[bytes, Token] | None:
        """The line among `sent` that an upstream refused, and another token to try; None where there is none to be had.

        However many requests are refused with one token, another is minted once, and not again for COOLDOWN seconds.
        """
        slot = self._slots.get(wanted.key)
        if slot is None or slot.token is None:
            return None
        if slot.rejected and slot.rejected in sent:
            return (slot.rejected, slot.token) if self._now() < slot.token.ends else None
        line = slot.token.line
        if line not in sent or not self._force(slot, wanted):
            return None
        await self._wait(slot)
        token = slot.token
        return (line, token) if token.line != line else None

    def status(self) -> dict[str, Any]:
        """For the operators' page: how many tokens there are, until when the next ends in seconds, what went wrong last."""
        now = self._now()
        ends = [slot.token.ends - now for slot in self._slots.values() if slot.token is not None and slot.token.ends > now]
        return {
            "tokens": len(ends),
            "minting": len(self._tasks),
            "expires": round(min(ends), 1) if ends else None,
            "error": self._error or None,
        }

    def levels(self) -> Iterator[tuple[str, float, dict[str, str]]]:
        """Gauges for whoever looks: metric, value, labels. May be called from any thread."""
        now, labels = self._now(), {"credential": self.name}
        ends = [slot.token.ends for slot in list(self._slots.values()) if slot.token is not None]
        if (soonest := min([end for end in ends if end > now], default=inf)) < inf:
            yield "gateway.tokens.expiry", soonest - now, labels
        yield "gateway.tokens.last_error", self._failed_at, labels

    async def close(self) -> None:
        """End what is under way, after a moment in which it may be done; whoever waits longer gets DependencyDown."""
        tasks = list(self._tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=self._grace)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _force(self, slot: Slot, wanted: Wanted) -> bool:
        """Whether a token that was refused is being replaced now."""
        if slot.minting is None:
            now = self._now()
            if now < slot.spared or now < slot.retry or len(self._tasks) >= MOST_MINTING:
                return False
            slot.spared = now + COOLDOWN
            self._begin(slot, wanted)
            self._metrics.count("gateway.tokens.renewals", credential=self.name)
        return True

    def _slot(self, key: Hashable) -> Slot:
        slot = self._slots.get(key)
        if slot is None:
            if len(self._tasks) >= MOST_MINTING:
                raise DependencyDown(f"{self.name}: {MOST_MINTING} tokens are being minted already")
            self._make_room()
            slot = self._slots[key] = Slot()
        return slot

    def _make_room(self) -> None:
        while len(self._slots) >= self._most:
            oldest = next((key for key, slot in self._slots.items() if slot.minting is None), None)
            if oldest is None:
                raise DependencyDown(f"{self.name}: no room for one more token")
            del self._slots[oldest]

    def _begin(self, slot: Slot, wanted: Wanted) -> None:
        task = slot.minting = asyncio.create_task(self._mint(slot, wanted), name=f"token of {self.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _wait(self, slot: Slot) -> None:
        """Until the mint under way is over, which has a bound of its own: a request is no task, and can have none.

        Who is cancelled meanwhile leaves it running for the others.
        """
        task = slot.minting
        if task is None:
            return
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            waiter = asyncio.current_task()
            if not task.cancelled() or (waiter is not None and waiter.cancelling()):
                raise
            raise DependencyDown(f"{self.name}: closing") from None

    async def _mint(self, slot: Slot, wanted: Wanted) -> None:
        try:
            async with asyncio.timeout(self._patience), self._turns:
                asked = self._now()
                self._accept(slot, wanted, await wanted.mint(), asked)
        except Ungranted as error:
            self._failed(slot, error.detail, refused=True)
        except TimeoutError:
            self._failed(slot, f"no token within {self._patience:g} s", refused=False)
        except (DependencyDown, ValueError) as error:
            self._failed(slot, str(error), refused=False)
        except Exception:
            log.exception("bug while minting a token", extra={"credential": self.name})
            self._failed(slot, "internal error", refused=False)
        finally:
            slot.minting = None

    def _accept(self, slot: Slot, wanted: Wanted, fresh: Fresh, asked: float) -> None:
        token = Token(wanted, fresh, asked, self._jitter())
        slot.rejected = b"" if slot.token is None or slot.token.line == token.line else slot.token.line
        slot.token = token
        slot.failures, slot.retry, slot.cause, slot.refused, self._error = 0, 0.0, "", False, ""
        self._metrics.count("gateway.tokens.minted", credential=self.name, outcome="success")
        ends = datetime.fromtimestamp(self._clock.now() + token.ends - self._now(), UTC)
        issuer, subject = wanted.who
        self._tell(
            "token.refreshed",
            credential=self.name,
            provider=self._provider,
            expires_at=ends.isoformat(timespec="seconds"),
            issuer=issuer,
            subject=subject,
        )

    def _failed(self, slot: Slot, cause: str, *, refused: bool) -> None:
        """The next try comes later each time. What was said of one principal is no matter for the log."""
        slot.failures += 1
        wait = float(min(RETRY * 2 ** min(slot.failures - 1, 6), LONGEST_RETRY))
        slot.retry = self._now() + wait * (1 + self._jitter() / 10)
        slot.cause, slot.refused = f"{self.name}: {cause}", refused
        self._failed_at = self._failed_at if refused else self._clock.now()
        if not refused and cause != self._error:
            log.warning("a token could not be minted", extra={"credential": self.name, "cause": cause})
            self._error = cause
        self._metrics.count("gateway.tokens.minted", credential=self.name, outcome="refused" if refused else "failure")
