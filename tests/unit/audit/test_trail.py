"""The trail between the event loop and a disk that is slow, full, moved or broken."""

import asyncio
import contextlib
import errno
import json
import os
import resource
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.file import AuditFile
from gateway.audit.model import Audit, Rotate
from gateway.audit.trail import Trail
from gateway.core.errors import Unavailable
from gateway.core.reason import Reason
from tests.exchanges import Tally, Ticks, exchange

ROOT = Path(__file__).parents[3]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


@contextlib.asynccontextmanager
async def running(model: Audit, tally: Tally | None = None, **limits: Any) -> AsyncIterator[Trail]:
    trail = Trail(model, clock=Ticks(), metrics=tally or Tally(), retry=0.01, **limits)
    await trail.start()
    try:
        yield trail
    finally:
        await trail.close()


def ids(path: Path) -> list[str]:
    return [json.loads(line)["request_id"] for line in path.read_bytes().splitlines()]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


class Disk:
    """An audit file whose every write waits for permission, or fails as told."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.failure: OSError | None = None
        self.opens = 0
        self.allowed = threading.Event()
        self.allowed.set()
        self.entered = threading.Event()

    def open(self) -> None:
        self.opens += 1

    def append(self, lines: bytes) -> int:
        self.entered.set()
        assert self.allowed.wait(30)
        if self.failure is not None:
            raise self.failure
        self.written.append(lines)
        return len(lines)

    def close(self) -> None:
        pass

    @property
    def count(self) -> int:
        return b"".join(self.written).count(b"\n")


class SmallDisk:
    """A folder on which a file may hold some 64 KiB until `free` is called: a tmpfs where we may mount one, else a file limit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
        self.mounted = subprocess.run(command, capture_output=True).returncode == 0
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)
        if not self.mounted:
            resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, self.before[1]))

    def free(self) -> None:
        if self.mounted:
            subprocess.run(["mount", "-o", "remount,size=10m", str(self.folder)], check=True)
        else:
            resource.setrlimit(resource.RLIMIT_FSIZE, self.before)

    def close(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.folder)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    folder = tmp_path / "small"
    folder.mkdir()
    disk = SmallDisk(folder)
    yield disk
    disk.close()


async def test_what_was_recorded_is_in_the_file_after_a_flush_in_order(path: Path) -> None:
    async with running(Audit(file=path)) as trail:
        for number in range(500):
            trail.record([(exchange(id=str(number)), 0.01)])
        await trail.flush()
        assert ids(path) == [str(number) for number in range(500)]
        assert trail.status()["written"] == 500
        assert trail.status()["queued"] == trail.status()["queued_bytes"] == 0


async def test_lines_reach_the_file_without_a_flush(path: Path) -> None:
    async with running(Audit(file=path)) as trail:
        trail.record([(exchange(), 0.01)])
        await until(lambda: path.stat().st_size > 0)
        trail.record([(exchange(), 0.01)])
        await until(lambda: path.read_bytes().count(b"\n") == 2)


async def test_the_duration_is_told_in_milliseconds(path: Path) -> None:
    trail = Trail(Audit(file=path), clock=Ticks(), metrics=Tally())
    await trail.start()
    trail.record([(exchange(), 1.5)])
    await trail.close()
    assert json.loads(path.read_bytes())["duration_ms"] == 1500.0


async def test_closing_writes_what_waits_and_is_harmless_twice(path: Path) -> None:
    async with running(Audit(file=path)) as trail:
        trail.event("gateway.started", version="1", pid=1)
        await trail.close()
        assert json.loads(path.read_bytes())["event"] == "gateway.started"
        await trail.flush()


async def test_many_lines_are_written_at_once() -> None:
    disk = Disk()
    async with running(Audit(), file=disk) as trail:
        disk.allowed.clear()
        trail.record([(exchange(), 0.01)])
        await until(disk.entered.is_set)
        for _ in range(400):
            trail.record([(exchange(), 0.01)])
        disk.allowed.set()
        await trail.flush()
        assert disk.count == 401
        assert len(disk.written) < 10


async def test_a_slow_disk_never_blocks_the_event_loop() -> None:
    disk = Disk()
    async with running(Audit(), file=disk) as trail:
        disk.allowed.clear()
        trail.record([(exchange(), 0.01)])
        await until(disk.entered.is_set)
        for _ in range(1000):
            trail.record([(exchange(), 0.01)])
            trail.ensure_room()
        assert trail.status()["queued"] == 1001
        disk.allowed.set()
        await trail.flush()
        assert disk.count == 1001


async def test_refuse_ends_requests_before_the_queue_is_full_and_lets_them_in_again() -> None:
    disk, tally = Disk(), Tally()
    async with running(Audit(on_full="refuse"), tally, file=disk, max_events=100) as trail:
        disk.allowed.clear()
        for _ in range(76):
            trail.ensure_room()
            trail.record([(exchange(), 0.01)])
        with pytest.raises(Unavailable) as refusal:
            trail.ensure_room()
        assert refusal.value.reason is Reason.AUDIT_FULL
        assert refusal.value.status == 503
        for _ in range(24):  # those already inside, and the refusals themselves, still find room
            trail.record([(exchange(), 0.01)])
        assert tally.sums.get("gateway.audit.dropped") is None
        trail.record([(exchange(), 0.01)])
        assert tally.sums["gateway.audit.dropped"] == 1
        disk.allowed.set()
        await trail.flush()
        trail.ensure_room()
        assert disk.count == 100


async def test_drop_serves_on_and_counts_what_is_lost() -> None:
    disk, tally = Disk(), Tally()
    async with running(Audit(on_full="drop"), tally, file=disk, max_events=100) as trail:
        disk.allowed.clear()
        for _ in range(150):
            trail.ensure_room()
            trail.record([(exchange(), 0.01)])
        assert tally.sums["gateway.audit.dropped"] == trail.status()["dropped"] == 50
        disk.allowed.set()
        await trail.flush()
        assert disk.count == 100
        assert tally.sums["gateway.audit.written"] == 100
        assert tally.values["gateway.audit.queued"] == 0


async def test_the_queue_is_bounded_by_bytes_too() -> None:
    disk, tally = Disk(), Tally()
    async with running(Audit(on_full="drop"), tally, file=disk, max_bytes=10_000) as trail:
        disk.allowed.clear()
        for _ in range(100):
            trail.record([(exchange(), 0.01)])
        assert trail.status()["queued_bytes"] <= 10_000
        assert tally.sums["gateway.audit.dropped"] == 100 - trail.status()["queued"]
        disk.allowed.set()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS], ids=errno.errorcode.get)
async def test_a_failing_disk_refuses_at_once_loses_nothing_and_is_tried_again(code: int) -> None:
    disk, tally = Disk(), Tally()
    async with running(Audit(on_full="refuse"), tally, file=disk) as trail:
        disk.failure = OSError(code, os.strerror(code))
        trail.record([(exchange(id="first"), 0.01)])
        await until(lambda: bool(trail.status()["failing"]))
        await trail.flush()
        with pytest.raises(Unavailable):
            trail.ensure_room()
        assert trail.status()["failure"] == os.strerror(code)
        trail.record([(exchange(id="second"), 0.01)])
        await until(lambda: tally.sums["gateway.audit.failures"] >= 3)
        disk.failure = None
        await until(lambda: disk.count == 2)
        await until(lambda: not trail.status()["full"])
        trail.ensure_room()
        assert [json.loads(line)["request_id"] for line in b"".join(disk.written).splitlines()] == ["first", "second"]
        assert tally.sums.get("gateway.audit.dropped") is None


async def test_a_failing_disk_drops_only_what_the_queue_cannot_hold() -> None:
    disk = Disk()
    disk.failure = OSError(errno.EIO, "I/O error")
    async with running(Audit(on_full="drop"), file=disk, max_events=10) as trail:
        for _ in range(15):
            trail.ensure_room()
            trail.record([(exchange(), 0.01)])
        disk.failure = None
        await until(lambda: disk.count == 10)
        assert trail.status()["dropped"] == 5


async def test_a_full_disk_refuses_keeps_whole_lines_and_recovers_without_a_loss(small_disk: SmallDisk) -> None:
    path = small_disk.folder / "audit.jsonl"
    async with running(Audit(file=path, on_full="refuse")) as trail:
        accepted = 0
        while not trail.status()["failing"]:
            for _ in range(20):
                with contextlib.suppress(Unavailable):
                    trail.ensure_room()
                    trail.record([(exchange(id=str(accepted)), 0.01)])
                    accepted += 1
            await trail.flush()
        with pytest.raises(Unavailable):
            trail.ensure_room()
        assert path.read_bytes().endswith(b"\n")
        assert len(ids(path)) < accepted
        small_disk.free()
        await until(lambda: not trail.status()["full"])
        trail.ensure_room()
        assert ids(path) == [str(number) for number in range(accepted)]


async def test_an_output_without_space_from_the_start_is_refusing_until_it_is_replaced(path: Path) -> None:
    path.symlink_to("/dev/full")
    async with running(Audit(file=path)) as trail:
        trail.record([(exchange(), 0.01)])
        await until(lambda: bool(trail.status()["full"]))
        path.unlink()
        await until(lambda: not trail.status()["full"])
        assert len(ids(path)) == 1


async def test_a_folder_that_does_not_exist_yet_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "later" / "audit.jsonl"
    async with running(Audit(file=path)) as trail:
        with pytest.raises(Unavailable):
            trail.ensure_room()
        path.parent.mkdir()
        await until(lambda: not trail.status()["full"])
        trail.record([(exchange(), 0.01)])
        await trail.flush()
        assert len(ids(path)) == 1


async def test_rotation_loses_no_line(path: Path) -> None:
    async with running(Audit(file=path, rotate=Rotate(size=5000, keep=50))) as trail:
        for number in range(100):
            trail.record([(exchange(id=str(number)), 0.01)])
            if number % 3 == 0:
                await trail.flush()
    files = sorted(path.parent.iterdir(), key=lambda entry: -int(entry.suffix[1:]) if entry.suffix != ".jsonl" else 0)
    assert len(files) > 5
    assert all(entry.stat().st_size <= 5000 for entry in files)
    assert [one for entry in files for one in ids(entry)] == [str(number) for number in range(100)]


async def test_reopen_follows_a_file_that_was_moved_away(path: Path) -> None:
    async with running(Audit(file=path)) as trail:
        trail.record([(exchange(id="before"), 0.01)])
        await trail.flush()
        moved = path.rename(path.with_name("moved"))
        trail.record([(exchange(id="between"), 0.01)])
        await trail.flush()
        trail.reopen()
        trail.record([(exchange(id="after"), 0.01)])
        await trail.flush()
        assert ids(moved) == ["before", "between"]
        assert ids(path) == ["after"]


async def test_what_a_dead_disk_never_took_is_counted_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    disk, tally = Disk(), Tally()
    async with running(Audit(), tally, file=disk) as trail:
        disk.failure = OSError(errno.EIO, "I/O error")
        trail.record([(exchange(), 0.01)])
        trail.record([(exchange(), 0.01)])
    assert tally.sums["gateway.audit.dropped"] == 2
    assert "audit events lost at the end" in caplog.messages


async def test_a_hanging_disk_does_not_hold_up_the_end() -> None:
    disk = Disk()
    trail = Trail(Audit(), clock=Ticks(), metrics=Tally(), file=disk)  # type: ignore[arg-type]  # a scripted file
    await trail.start()
    disk.allowed.clear()
    trail.record([(exchange(), 0.01)])
    await until(disk.entered.is_set)
    async with asyncio.timeout(60):
        await trail.flush(0.01)
        await trail.close(0.01)
    disk.allowed.set()
    await until(lambda: disk.count == 1)


async def test_a_bug_in_the_writer_ends_neither_the_trail_nor_loses_lines(caplog: pytest.LogCaptureFixture) -> None:
    class Buggy(Disk):
        def append(self, lines: bytes) -> int:
            if self.failure is not None:
                raise ValueError("a bug")
            return super().append(lines)

    disk = Buggy()
    async with running(Audit(), file=disk) as trail:
        disk.failure = OSError(0, "")
        trail.record([(exchange(), 0.01)])
        await until(lambda: bool(trail.status()["full"]))
        disk.failure = None
        await until(lambda: disk.count == 1)
    assert "bug in the audit writer" in caplog.messages


async def test_an_event_outside_the_catalogue_is_logged_and_breaks_nothing(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with running(Audit(file=path)) as trail:
        trail.event("invented", subject="x")
        await trail.flush()
    assert path.read_bytes() == b""
    assert caplog.messages == ["event outside the audit catalogue"]


async def test_events_from_many_threads_all_arrive(path: Path) -> None:
    async with running(Audit(file=path)) as trail:

        def work() -> None:
            for _ in range(200):
                trail.event("limit.exceeded", policy="p")

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            await asyncio.to_thread(thread.join)
        await trail.flush()
        assert path.read_bytes().count(b"\n") == 800


CRASH = """
import asyncio, os, sys
from pathlib import Path
from gateway.audit.model import Audit
from gateway.audit.trail import Trail
from tests.exchanges import Tally, Ticks, exchange

async def main():
    trail = Trail(Audit(file=Path(sys.argv[1]) if sys.argv[1] != "-" else "-"), clock=Ticks(), metrics=Tally())
    await trail.start()
    for number in range(int(sys.argv[2])):
        trail.record([(exchange(id=str(number)), 0.01)])
        if number % 100 == 0:
            await asyncio.sleep(0)
    if sys.argv[3] == "kill":
        print("recorded", flush=True)
        await asyncio.sleep(60)
    await trail.close()

asyncio.run(main())
"""


def test_a_killed_process_leaves_whole_lines_but_for_the_last_which_its_successor_ends(path: Path) -> None:
    command = [sys.executable, "-c", CRASH, str(path), "20000", "kill"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"recorded\n"
        process.kill()
    whole, _, torn = path.read_bytes().rpartition(b"\n")
    found = [json.loads(line)["request_id"] for line in whole.splitlines()]
    assert found == [str(number) for number in range(len(found))]
    successor = AuditFile(path, size=0, keep=1)
    successor.append(b"next\n")
    assert path.read_bytes() == whole + b"\n" + (torn + b"\n" if torn else b"") + b"next\n"


def test_a_dash_is_standard_output() -> None:
    command = [sys.executable, "-c", CRASH, "-", "300", "end"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    assert [json.loads(line)["request_id"] for line in done.stdout.splitlines()] == [str(number) for number in range(300)]
    assert done.stderr == b""


def test_standard_output_that_nobody_reads_any_more_is_a_failure_not_a_crash() -> None:
    command = [sys.executable, "-c", CRASH, "-", "300", "end"]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert done.returncode == 0
    assert b"audit output fails" in done.stderr
    assert b"audit events lost at the end" in done.stderr


def test_the_default_file_takes_the_configured_rotation(path: Path) -> None:
    trail = Trail(Audit(file=path, rotate=Rotate(size=7, keep=2)), clock=Ticks(), metrics=Tally())
    assert isinstance(trail._file, AuditFile)
    assert (trail._file._size, trail._file._keep) == (7, 2)
