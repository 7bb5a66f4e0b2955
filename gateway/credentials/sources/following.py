"""Asks services again for what was read from them, ahead of its end, and tells of every time that they were asked."""

import asyncio
import hashlib
import logging
import random
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from gateway.core.errors import DependencyDown
from gateway.core.ports import Fetch, Metrics
from gateway.credentials.sources.source import Gone, RemoteSource
from gateway.credentials.tokens import Tell
from gateway.scrub.needles import FINGERPRINT_KEY

AT_ONCE: Final = 4
MOST_UNTOLD: Final = 4096

log = logging.getLogger(__name__)


class Access(NamedTuple):
    """One question to a service, and what came of it. `fingerprint` is keyed and lasts as long as the process."""

    source: str
    outcome: str
    version: str = ""
    fingerprint: str = ""
    cause: str = ""


async def ask(source: RemoteSource, fetch: Fetch, jitter: Callable[[], float] = random.random) -> Access:
    """Ask once. Raises nothing."""
    began = source.now()
    try:
        read = await source.ask(fetch)
    except Gone as error:
        source.refuse(str(error), jitter())
        return Access(source.name, "gone", cause=str(error))
    except (DependencyDown, ValueError) as error:
        why = error.detail if isinstance(error, DependencyDown) else str(error)
        source.failed(why, jitter())
        return Access(source.name, "failure", cause=why)
    except Exception:  # the loop goes on: without it every value would end
        log.exception("bug while a service was asked for a secret", extra={"source": source.name})
        source.failed("internal error", jitter())
        return Access(source.name, "failure", cause="internal error")
    changed = source.take(read, began, jitter())
    mark = hashlib.blake2s(read.secret.reveal(), key=FINGERPRINT_KEY, digest_size=8).hexdigest()
    return Access(source.name, "replaced" if changed else "unchanged", read.version, mark)


class Following:
    """Keeps sources fresh, and has told what happened to them."""

    def __init__(self, fetch: Fetch, metrics: Metrics, tell: Tell) -> None:
        self._fetch = fetch
        self._metrics = metrics
        self._tell = tell

    async def look(self, sources: Iterable[RemoteSource], untold: deque[Access]) -> None:
        """Ask for what is due, a few at a time; tell of that and of what was asked before."""
        known, turns = list(sources), asyncio.Semaphore(AT_ONCE)

        async def one(source: RemoteSource) -> None:
            async with turns:
                untold.append(await ask(source, self._fetch))

        try:
            await asyncio.gather(*(one(source) for source in known if source.now() >= source.due))
        finally:
            told(untold, self._metrics, self._tell)
        for source in known:
            age = source.age
            self._metrics.gauge("gateway.secret.age", -1.0 if age is None else round(age, 1), source=source.name)
            self._metrics.gauge("gateway.secret.failing", 1.0 if source.why else 0.0, source=source.name)


def told(untold: deque[Access], metrics: Metrics, tell: Tell) -> None:
    """Each access once: an event, a count, and a line for operators where it failed."""
    while untold:
        access = untold.popleft()
        tell("secret.accessed", **access._asdict())
        metrics.count("gateway.secret.reads", 1, source=access.source, outcome=access.outcome)
        if access.cause:
            metrics.count("gateway.secret.refresh_failures", 1, source=access.source)
            log.warning("a secret could not be read from its service", extra={"source": access.source, "cause": access.cause})


def status(sources: Iterable[RemoteSource]) -> dict[str, Any]:
    """For the operators' port."""
    return {
        source.name: {
            "age": None if source.age is None else round(source.age, 1),
            "version": source.version,
            "error": source.why or None,
        }
        for source in sources
    }
