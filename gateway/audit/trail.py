"""The audit trail: a bounded queue between the event loop and one writing thread.

The loop only appends to a list. The thread wakes, gathers for at most 50 ms, and writes all it found at once (group commit):
a line is in the file at most 100 ms after its request ended, while the disk keeps up. When the disk does not, lines wait; when
too many wait, or a write failed, `on_full: refuse` ends all further requests with 503 audit-full and `drop` counts what is lost.
"""

import asyncio
import concurrent.futures
import logging
import os
import threading
from typing import Any, Final

from gateway.audit.event import Events
from gateway.audit.file import AuditFile
from gateway.audit.model import Audit
from gateway.audit.pen import Pen
from gateway.core.ports import Clock, Metrics
from gateway.core.secret import Secret

log = logging.getLogger(__name__)

GATHER: Final = 0.05
RETRY: Final = 0.5
"""Seconds between attempts while the disk refuses."""
BATCH: Final = 64 * 1024
"""Bytes of one write."""
HASTE: Final = 1024 * 1024
"""Waiting bytes above which the thread gathers no longer."""
MAX_BYTES: Final = 32 * 1024 * 1024
MAX_EVENTS: Final = 50_000
ROOM: Final = 0.75
"""Share of the queue above which requests are refused: the rest is for those already inside, and for the refusals."""


class Trail:
    """Keeps the record of what happened. One for each process; survives reloads of the configuration.

    Implements record.Record: what makes its lines, and lets requests in while there is room for them, is its pen's.
    """

    def __init__(
        self,
        model: Audit,
        *,
        clock: Clock,
        metrics: Metrics,
        mask_key: Secret | None = None,
        max_events: int = MAX_EVENTS,
        max_bytes: int = MAX_BYTES,
        retry: float = RETRY,
        file: AuditFile | None = None,
    ) -> None:
        """`mask_key` keys `keyed_hash`; without one a random key is made, so marks are comparable until a restart only."""
        self._metrics = metrics
        self._refuses = model.on_full == "refuse"
        self._pen = pen = Pen(Events(model.mask, mask_key or Secret(os.urandom(32))), clock, self._put)
        self.ensure_room, self.record, self.event = pen.ensure_room, pen.record, pen.event
        self._name = str(model.file)
        path = None if isinstance(model.file, str) else model.file
        self._file = file or AuditFile(path, size=model.rotate.size, keep=model.rotate.keep)
        self._max_events, self._max_bytes, self._retry = max_events, max_bytes, retry
        self._lock = threading.Lock()
        self._waiting: list[bytes] = []
        self._queued_events = self._queued_bytes = 0  # what waits and what the thread holds unwritten
        self._written = self._dropped = 0
        self._failing = self._reopening = self._closing = False
        self._failure: str | None = None
        self._wake, self._haste = threading.Event(), threading.Event()
        self._flushes: list[concurrent.futures.Future[None]] = []
        self._ended: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._writing: threading.Thread | None = None

    # Called by the event loop.

    def accept(self, lines: list[bytes]) -> None:
        """Write down lines that another process made, each whole."""
        self._put(lines)

    def _put(self, lines: list[bytes]) -> None:
        dropped = 0
        with self._lock:
            events, size = self._queued_events + len(lines), self._queued_bytes + sum(map(len, lines))
            if events <= self._max_events and size <= self._max_bytes:
                self._waiting += lines
                lines = []
            else:
                events, size = self._queued_events, self._queued_bytes
            for line in lines:
                if events >= self._max_events or size + len(line) > self._max_bytes:
                    dropped += 1
                else:
                    self._waiting.append(line)
                    events, size = events + 1, size + len(line)
            self._queued_events, self._queued_bytes = events, size
            self._dropped += dropped
            if self._refuses and (dropped or events > ROOM * self._max_events or size > ROOM * self._max_bytes):
                self._pen.full = True
        if dropped:
            self._metrics.count("gateway.audit.dropped", dropped)
        if not self._wake.is_set():
            self._wake.set()
        if size > HASTE and not self._failing:
            self._haste.set()

    async def start(self) -> None:
        """Start the writing thread. An output that cannot be opened is logged and counts as full."""
        if self._writing is None:
            self._writing = threading.Thread(target=self._run, name="audit-writer", daemon=True)
            self._writing.start()
            await self.flush()

    async def flush(self, timeout: float = 5.0) -> None:
        """Return when all events so far were written, or the attempt failed, or after `timeout` seconds."""
        if self._writing is None:
            return
        done: concurrent.futures.Future[None] = concurrent.futures.Future()
        with self._lock:
            self._flushes.append(done)
        self._hurry()
        await asyncio.wait([asyncio.wrap_future(done)], timeout=timeout)

    async def close(self, timeout: float = 5.0) -> None:
        """Write what waits and stop. What could not be written within `timeout` seconds is counted as dropped."""
        thread, self._writing = self._writing, None
        if thread is None:
            return
        self._closing = True
        self._hurry()
        await asyncio.wait([asyncio.wrap_future(self._ended)], timeout=timeout)
        if lost := self._queued_events:
            self._metrics.count("gateway.audit.dropped", lost)
            log.error("audit events lost at the end", extra={"count": lost, "failure": self._failure})

    def reopen(self) -> None:
        """Open the path anew before the next write, after an operator moved the file away."""
        self._reopening = True
        self._hurry()

    def status(self) -> dict[str, Any]:
        """How the trail does, for the admin listener."""
        return {
            "file": self._name,
            "queued": self._queued_events,
            "queued_bytes": self._queued_bytes,
            "written": self._written,
            "dropped": self._dropped,
            "full": self._pen.full,
            "failing": self._failing,
            "failure": self._failure,
        }

    def _hurry(self) -> None:
        self._haste.set()
        self._wake.set()

    # Called by the writing thread.

    def _run(self) -> None:
        kept: list[bytes] = []
        while not self._ended.done():
            self._pause()
            closing = self._closing
            with self._lock:
                kept += self._waiting
                self._waiting.clear()
                flushes, self._flushes = self._flushes, []
            try:
                kept = self._drain(kept)
            except Exception:  # a bug must not end the trail: the lines are kept and written again
                log.exception("bug in the audit writer")
                self._failing = True
            self._judge()
            if closing:
                self._finish()
                flushes.append(self._ended)
            for done in flushes:
                if done.set_running_or_notify_cancel():
                    done.set_result(None)

    def _pause(self) -> None:
        """Wait for work; then gather a little more, or, after a failure, let the disk have its time."""
        if self._failing:
            self._haste.wait(self._retry)
        else:
            self._wake.wait()
            self._haste.wait(GATHER)
        self._wake.clear()
        self._haste.clear()

    def _drain(self, lines: list[bytes]) -> list[bytes]:
        """Write as many lines as the disk takes; what it did not take comes back."""
        done = 0
        try:
            if self._reopening:
                self._reopening = False
                self._file.close()
            self._file.open()
            while done < len(lines):
                batch = _batch(lines, done)
                written = self._file.append(b"".join(batch))
                done += self._account(batch, written, lines, done)
        except OSError as error:
            self._fail(error)
            return lines[done:]
        self._recover()
        return []

    def _account(self, batch: list[bytes], written: int, lines: list[bytes], done: int) -> int:
        """The lines of a batch that stand whole. A rest on a stream stays first in line, cut to what is missing."""
        whole = size = 0
        for line in batch:
            if size + len(line) > written:
                break
            size += len(line)
            whole += 1
        if size < written:
            lines[done + whole] = lines[done + whole][written - size :]
        with self._lock:
            self._written += whole
            self._queued_events -= whole
            self._queued_bytes -= written
        if whole:
            self._metrics.count("gateway.audit.written", whole)
        return whole

    def _judge(self) -> None:
        with self._lock:
            events, size = self._queued_events, self._queued_bytes
            crowded = events > ROOM * self._max_events or size > ROOM * self._max_bytes
            self._pen.full = self._refuses and (self._failing or crowded)
        self._metrics.gauge("gateway.audit.queued", events)

    def _fail(self, error: OSError) -> None:
        self._failure = error.strerror or type(error).__name__
        if not self._failing:
            self._failing = True
            log.error("audit output fails", extra={"file": self._name, "failure": self._failure, "refusing": self._refuses})
        self._metrics.count("gateway.audit.failures")
        try:
            self._file.close()
        except OSError:
            log.debug("audit output does not close", exc_info=True)

    def _recover(self) -> None:
        if self._failing:
            self._failing = False
            self._failure = None
            log.warning("audit output works again", extra={"file": self._name, "dropped": self._dropped})

    def _finish(self) -> None:
        try:
            self._file.close()
        except OSError as error:
            log.error("audit output does not close", extra={"failure": error.strerror})


def _batch(lines: list[bytes], begin: int) -> list[bytes]:
    """The next lines to be written at once: at most BATCH bytes, at least one line."""
    size = 0
    for end in range(begin, len(lines)):
        size += len(lines[end])
        if size > BATCH and end > begin:
            return lines[begin:end]
    return lines[begin:]
