"""The machine: which core does what, what it is, and how busy others keep it."""

import os
import platform
import resource
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

QUIET = 0.05
"""The share of processor time that others may take before figures are worth nothing."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Who runs where: a contender on one core, load and upstreams on others, several workers on two or, for want of more, on all."""

    proxy: frozenset[int]
    load: frozenset[int]
    workers: frozenset[int]


def cores(found: list[int]) -> Cores:
    """A share-out of these cores: of four or more, two for workers and two for the load. Raises SystemExit for fewer than two."""
    if len(found) < 2:
        raise SystemExit("two cores are needed: one for the proxy, one for the load")
    if len(found) < 4:
        return Cores(frozenset(found[:1]), frozenset(found[1:2]), frozenset(found))
    return Cores(frozenset(found[:1]), frozenset(found[2:4]), frozenset(found[:2]))


def raise_limits() -> int:
    """Allow this process and those it starts as many open files as the machine lets it; gives how many."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    allowed = 1 << 20 if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return allowed


def facts() -> dict[str, str]:
    """What a reader needs to compare machines; nothing that names this one."""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "processor": processor(Path("/proc/cpuinfo").read_text()),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": memory(Path("/proc/meminfo").read_text()),
        "kernel": platform.release().partition("-")[0],
        "Python": platform.python_version(),
        "load average before": f"{os.getloadavg()[0]:.1f}",
    }


def processor(cpuinfo: str) -> str:
    """The model name of the first core, "unknown" where the kernel does not say."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine() or "unknown"


def memory(meminfo: str) -> str:
    kilobytes = int(meminfo.partition("MemTotal:")[2].split()[0])
    return f"{kilobytes / 1024**2:.0f} GiB"


@dataclass(slots=True)
class Foreign:
    """The processor time that others took, as a share of what there was: how disturbed a run was.

    `others` is what all processes of the machine used less what this process and its children used.
    """

    busy: float
    total: float
    own: float

    @classmethod
    def begin(cls) -> "Foreign":
        return cls(*_used())

    def share(self) -> float:
        """Between 0 and 1, since `begin`. Children count once they have ended, so ask when all have."""
        busy, total, own = _used()
        return max(0.0, (busy - self.busy) - (own - self.own)) / max(total - self.total, 1e-9)


def disturbance(share: float) -> str:
    """How the page states that share."""
    return f"{share:.0%}" + (": not a quiet machine, nothing here is to be quoted" if share > QUIET else "")


def _used() -> tuple[float, float, float]:
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    ticks = os.sysconf("SC_CLK_TCK")
    idle = fields[3] + fields[4]
    times = os.times()
    return (sum(fields) - idle) / ticks, sum(fields) / ticks, sum(times[:4])
