"""What the operating system knows of this process."""

import os
import time
from collections.abc import Iterable
from pathlib import Path

from gateway.telemetry.instruments import PROCESS
from gateway.telemetry.series import Family


class Process:
    """Reads processor time, memory and descriptors when asked. Where there is no /proc only processor time is known."""

    def __init__(self, now: float) -> None:
        self._started = now
        self._page = os.sysconf("SC_PAGE_SIZE")

    def __call__(self) -> Iterable[Family]:
        cpu, memory, descriptors, started = PROCESS
        yield Family(cpu, (((), time.process_time()),))
        yield Family(started, (((), self._started),))
        try:
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
            count = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  names only, no objects
        except OSError:
            return
        yield Family(memory, (((), float(pages * self._page)),))
        yield Family(descriptors, (((), float(count)),))
