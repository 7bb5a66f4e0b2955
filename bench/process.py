"""A process under test: started on its core, asked what it used, stopped."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

STARTUP = 60.0
"""Seconds a contender has until it listens; those of `make bench-long` import much."""
STOP = 20.0
TICKS = os.sysconf("SC_CLK_TCK")


class NotStarted(Exception):
    """A contender that does not run here; the text says why and is printed."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How a process is started. `environ` is laid over this process's own."""

    command: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)
    startup: float = STARTUP


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(launch: Launch, cores: frozenset[int], port: int, folder: Path) -> Iterator[int]:
    """Start it on these cores and wait until it listens; gives its process id. Its output goes to `folder`/out.

    Raises NotStarted with the last of what it said when it ends, is missing or does not listen in time.
    """
    out = folder / "out"
    with out.open("wb") as sink:
        try:
            process = subprocess.Popen(
                ["taskset", "--cpu-list", ",".join(map(str, sorted(cores))), *launch.command],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={**os.environ, **launch.environ},
                start_new_session=True,
            )
        except OSError as error:
            raise NotStarted(str(error)) from error
    try:
        wait_until_it_listens(process, port, launch.startup, out)
        yield process.pid
    finally:
        stop(process)


def wait_until_it_listens(process: subprocess.Popen[bytes], port: int, seconds: float, out: Path) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            raise NotStarted(f"ended with {process.returncode}: {last_words(out)}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.05)  # nothing tells when another program begins to listen
    raise NotStarted(f"did not listen within {seconds:.0f} s: {last_words(out)}")


def last_words(out: Path) -> str:
    """The last line of what a process said, without paths, which would name this machine."""
    lines = [line for line in out.read_text(errors="replace").splitlines() if line.strip()]
    return re.sub(r"(?<!\w)/[\w./-]+", "…", lines[-1])[:200] if lines else "it said nothing"


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the process, and by force the rest of its session when it does not go in time."""
    process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def tree(pid: int) -> list[int]:
    """A process and all its descendants: taskset becomes the command itself, others have workers."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                children.setdefault(int(stat_fields(int(entry.name))[1]), []).append(int(entry.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found


def stat_fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name, which may itself hold blanks: state, parent, … (proc(5))."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def cpu_seconds(pid: int) -> float:
    """User and system time of the process and its descendants, so far."""
    return sum(cpu_by_process(pid).values())


def cpu_by_process(pid: int) -> dict[int, float]:
    """The same for each of them, by process id."""
    found = {}
    for each in tree(pid):
        with contextlib.suppress(OSError):
            fields = stat_fields(each)
            found[each] = (int(fields[11]) + int(fields[12])) / TICKS
    return found


def kilobytes(pid: int, name: str, source: str = "status") -> int:
    """One figure of the process and its descendants in KiB: VmRSS or VmHWM of status, Pss of smaps_rollup."""
    total = 0
    for each in tree(pid):
        with contextlib.suppress(OSError):
            found = re.search(rf"^{name}:\s+(\d+) kB", Path(f"/proc/{each}/{source}").read_text(), re.MULTILINE)
            total += int(found[1]) if found else 0
    return total


def forget_peak(pid: int) -> None:
    """Set the peak of resident memory (VmHWM) back to what is resident now (proc(5), clear_refs)."""
    for each in tree(pid):
        with contextlib.suppress(OSError):
            Path(f"/proc/{each}/clear_refs").write_text("5")
