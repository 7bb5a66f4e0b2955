"""A worker's end of the audit trail: lines are made here, and written by the one process that has the file.

A line counts as told once it is in the pipe, for there it outlives this process; it is put there before the last byte of its
request's answer leaves (`core.outbox.Outbox.hold`). Of a line that did not wholly fit the rest follows; a process that dies in
between leaves a torn one, which the reader drops.
"""

import asyncio
import logging
import os
from typing import Any, Final

from gateway.audit.event import Events
from gateway.audit.model import Audit
from gateway.audit.pen import Pen
from gateway.core.ports import Clock, Metrics
from gateway.core.secret import Secret

log = logging.getLogger(__name__)

MAX_BYTES: Final = 8 * 1024 * 1024
"""Bytes kept while the pipe takes none: its reader has a queue of its own, so this much means that it hangs."""
ROOM: Final = 0.75
"""Share of it above which requests are refused: the rest is for those already inside."""


class Relay:
    """Implements record.Record over a pipe: what makes its lines is its pen's. Used inside one event loop."""

    def __init__(
        self, model: Audit, pipe: int, *, clock: Clock, metrics: Metrics, mask_key: Secret, max_bytes: int = MAX_BYTES
    ) -> None:
        """`mask_key` is the same for all workers, so that their marks are. `pipe` is a writable descriptor, closed at the end."""
        os.set_blocking(pipe, False)
        self._pipe = pipe
        self._metrics = metrics
        self._refuses = model.on_full == "refuse"
        self._pen = pen = Pen(Events(model.mask, mask_key), clock, self._put)
        self.ensure_room, self.record, self.event = pen.ensure_room, pen.record, pen.event
        self._max_bytes = max_bytes
        self._waiting: list[bytes] = []
        self._size = self._made = self._dropped = 0
        self._told_full = self._broken = False
        self._emptied = asyncio.Event()
        self._emptied.set()
        self._loop = asyncio.get_running_loop()

    def be_full(self, full: bool) -> None:
        """What the process that has the file says of it."""
        self._told_full = full
        self._judge()

    def _put(self, lines: list[bytes]) -> None:
        if not lines:
            return
        self._made += len(lines)
        if self._waiting:
            self._keep(lines)
            return
        told = b"".join(lines)
        written = self._write(told)
        if written < len(told):
            self._keep_rest(lines, written)
            if not self._broken:
                self._loop.add_writer(self._pipe, self._go_on)

    def _write(self, told: bytes) -> int:
        """How many bytes the pipe takes now."""
        try:
            return os.write(self._pipe, told)
        except BlockingIOError:
            return 0
        except BrokenPipeError:  # nobody will ever read: this process is about to be ended
            self._broken = True
            return 0

    def _keep_rest(self, lines: list[bytes], written: int) -> None:
        for place, line in enumerate(lines):
            if written < len(line):
                # The beginning of this line is out: its rest must follow, whatever else is dropped.
                self._waiting = [line[written:]] if written else []
                self._size = sum(map(len, self._waiting))
                self._keep(lines[place + bool(written) :])
                return
            written -= len(line)

    def _keep(self, lines: list[bytes]) -> None:
        dropped = 0
        for line in lines:
            if self._size + len(line) > self._max_bytes:
                dropped += 1
            else:
                self._waiting.append(line)
                self._size += len(line)
        if dropped:
            self._dropped += dropped
            self._metrics.count("gateway.audit.dropped", dropped)
        self._emptied.clear()
        self._judge()

    def _go_on(self) -> None:
        """The pipe has room again."""
        waiting = b"".join(self._waiting)
        written = self._write(waiting)
        rest = waiting[written:]
        self._waiting, self._size = ([rest] if rest else []), len(rest)
        if not rest or self._broken:
            self._loop.remove_writer(self._pipe)
        if not rest:
            self._emptied.set()
        self._judge()

    def _judge(self) -> None:
        self._pen.full = self._refuses and (self._told_full or self._broken or self._size > ROOM * self._max_bytes)

    def reopen(self) -> None:
        """Nothing: the file is another process's."""

    def status(self) -> dict[str, Any]:
        """How this end of the trail does."""
        return {"made": self._made, "queued_bytes": self._size, "dropped": self._dropped, "full": self._pen.full}

    async def start(self) -> None:
        """Nothing: the pipe is open."""

    async def flush(self, timeout: float = 5.0) -> None:
        """Return when all lines so far are in the pipe, or after `timeout` seconds."""
        try:
            await asyncio.wait_for(self._emptied.wait(), timeout)
        except TimeoutError:
            log.warning("the audit trail's reader is slow", extra={"queued_bytes": self._size})

    async def close(self, timeout: float = 5.0) -> None:
        """Tell what waits and close the pipe. What could not be told within `timeout` seconds is lost, and logged."""
        await self.flush(timeout)
        if self._waiting:
            self._loop.remove_writer(self._pipe)
            log.error("audit events lost at the end", extra={"bytes": self._size})
        os.close(self._pipe)
