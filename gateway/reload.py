"""Notice a change, build, swap; keep the old on any error.

What changes is watched by directory, so that editors' renames and Kubernetes' `..data` symlink swaps are seen; a periodic
look at the contents catches file systems that tell nothing.
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from gateway.config.regular import content
from gateway.core.errors import ConfigError, Problem
from gateway.core.ports import Metrics

log = logging.getLogger(__name__)

SUFFIXES: Final = frozenset((".yaml", ".yml"))
SETTLE: Final = 0.2
LOOK_EVERY: Final = 5.0
"""Seconds between two looks where the file system tells nothing (network mounts)."""


class Reload:
    """One reload at a time: `attempt` loads, builds and swaps or raises ConfigError; requests during one are joined.

    Whatever else it raises is a bug or a machine out of something: told like a refusal, lest it end a gateway that serves.
    """

    def __init__(self, attempt: Callable[[], Awaitable[str]], metrics: Metrics, refused: Callable[[ConfigError], None]) -> None:
        self._attempt = attempt
        self._metrics = metrics
        self._refused = refused
        self._lock = asyncio.Lock()
        self.last_error: ConfigError | None = None

    async def __call__(self) -> bool:
        """True when a new generation is live. A broken configuration changes nothing, is counted and logged."""
        async with self._lock:
            try:
                generation = await self._attempt()
            except ConfigError as error:
                self._note(error)
                return False
            except Exception as bug:
                log.exception("bug while reloading")
                self._note(ConfigError([Problem("", 0, 0, "", f"could not be reloaded: {type(bug).__name__}")]))
                return False
            self.last_error = None
            self._metrics.count("gateway.config.reloads", outcome="applied")
            self._metrics.gauge("gateway.config.last_success", 1)
            log.info("configuration applied", extra={"generation": generation})
            return True

    def _note(self, error: ConfigError) -> None:
        self.last_error = error
        self._metrics.count("gateway.config.reloads", outcome="refused")
        self._metrics.gauge("gateway.config.last_success", 0)
        log.error("configuration refused, the old one stays", extra={"problems": [str(found) for found in error.problems]})
        self._refused(error)


def fingerprint(files: Iterable[Path]) -> str:
    """What these files hold now; a missing one counts as that."""
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(str(file).encode() + b"\0")
        with suppress(OSError):
            digest.update(hashlib.sha256(content(file)).digest())
    return digest.hexdigest()


async def watch(files: Callable[[], Iterable[Path]], seen: Callable[[], str], changed: Callable[[], Awaitable[bool]]) -> None:
    """Call `changed` whenever the files hold other content than was last tried. Runs until cancelled.

    `seen` says what is applied. Content that was refused is not tried again until it is another, and what is applied is tried
    again where something else was refused in between: the files are in order, and shall be said to be.
    """
    tried, refused = seen(), False
    while True:
        now = await asyncio.to_thread(fingerprint, files())
        if now != tried:
            tried = now
            if now != seen() or refused:
                refused = not await changed()
        await _something_happened(set(files()))


async def _something_happened(files: set[Path]) -> None:
    from watchfiles import Change, awatch

    def concerns(_: Change, path: str) -> bool:
        """The files themselves, new ones that policies may be in, and the links Kubernetes turns round."""
        file = Path(path)
        return file in files or file.suffix in SUFFIXES or file.name.startswith("..")

    existing = [folder for folder in {file.parent for file in files} if folder.is_dir()]
    with suppress(TimeoutError):
        async with asyncio.timeout(LOOK_EVERY):
            if not existing:
                await asyncio.sleep(LOOK_EVERY)
            async for _ in awatch(
                *existing, watch_filter=concerns, recursive=False, step=50, debounce=int(SETTLE * 1000), rust_timeout=1000
            ):
                return
