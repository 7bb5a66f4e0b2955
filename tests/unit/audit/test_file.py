"""The disk under the trail: whole lines, mode, rotation."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.audit.file import AuditFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


@pytest.fixture
def file_limit() -> Iterator[None]:
    """Files may grow to 100 bytes: the kernel writes a part of what is too much."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def audit_file(path: Path | None, size: int = 0, keep: int = 3) -> AuditFile:
    return AuditFile(path, size=size, keep=keep)


def test_a_new_file_is_readable_by_its_owner_only(path: Path) -> None:
    before = os.umask(0)
    try:
        audit_file(path).open()
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600


def test_lines_are_appended_to_what_is_there(path: Path) -> None:
    path.write_bytes(b"old\n")
    assert audit_file(path).append(b"new\n") == 4
    assert path.read_bytes() == b"old\nnew\n"


def test_a_torn_last_line_of_a_crash_is_ended_and_kept(path: Path) -> None:
    path.write_bytes(b"whole\nto")
    audit_file(path).append(b"new\n")
    assert path.read_bytes() == b"whole\nto\nnew\n"


def test_a_line_written_in_part_is_cut_off_again(path: Path, file_limit: None) -> None:
    lines = b"".join(b"%038d\n" % number for number in range(4))
    file = audit_file(path)
    assert file.append(lines) == 78
    assert path.read_bytes() == lines[:78]
    with pytest.raises(OSError, match="too large"):
        file.append(b"x" * 200 + b"\n")
    assert path.read_bytes() == lines[:78]


def test_rotation_keeps_as_many_old_files_as_told_and_every_file_its_mode(path: Path) -> None:
    file = audit_file(path, size=10, keep=2)
    for number in range(6):
        file.append(b"line%04d\n" % number)
    names = sorted(entry.name for entry in path.parent.iterdir())
    assert names == ["audit.jsonl", "audit.jsonl.1", "audit.jsonl.2"]
    assert [path.with_name(name).read_bytes() for name in names] == [b"line0005\n", b"line0004\n", b"line0003\n"]
    assert {path.with_name(name).stat().st_mode & 0o777 for name in names} == {0o600}


def test_a_line_larger_than_a_file_may_be_is_written_all_the_same(path: Path) -> None:
    file = audit_file(path, size=10)
    file.append(b"x" * 50 + b"\n")
    file.append(b"y\n")
    assert path.read_bytes() == b"y\n"
    assert path.with_name("audit.jsonl.1").read_bytes() == b"x" * 50 + b"\n"


def test_a_file_that_cannot_be_rotated_grows_on(path: Path) -> None:
    path.with_name("audit.jsonl.1").mkdir()
    path.with_name("audit.jsonl.1").joinpath("in the way").touch()
    file = audit_file(path, size=10, keep=1)
    for number in range(4):
        file.append(b"line%04d\n" % number)
    assert path.read_bytes().count(b"\n") == 4


def test_after_closing_the_path_is_opened_anew(path: Path) -> None:
    file = audit_file(path)
    file.append(b"one\n")
    path.rename(path.with_name("moved"))
    file.append(b"two\n")
    file.close()
    file.append(b"three\n")
    assert path.with_name("moved").read_bytes() == b"one\ntwo\n"
    assert path.read_bytes() == b"three\n"


def test_a_pipe_that_is_not_read_counts_as_a_failed_write_and_loses_nothing(path: Path) -> None:
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    file = audit_file(path)
    file.open()
    assert file._descriptor is not None
    os.set_blocking(file._descriptor, False)
    lines = b"".join(b"%07d\n" % number for number in range(20_000))
    first = file.append(lines)
    assert 0 < first < len(lines)
    with pytest.raises(BlockingIOError):
        file.append(lines[first:])
    read = b""
    while len(read) < first:
        read += os.read(reader, 1 << 20)
    os.set_blocking(reader, True)
    rest = file.append(lines[first : first + 1000])
    assert read + os.read(reader, 1 << 20) == lines[: first + rest]
    file.close()
    os.close(reader)
