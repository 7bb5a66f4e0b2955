"""Only regular files are read, and nobody waits for anything else."""

import os
import socket
from pathlib import Path

import pytest

from gateway.config.regular import content, opened, same, same_if_any


def test_a_file_is_read_whole_and_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert content(tmp_path / "link", 100_000) == b"x" * 100_000


def test_of_a_file_over_the_bound_no_more_is_read_than_shows_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 100)
    assert len(content(tmp_path / "file", 10)) == 11


def test_a_pipe_is_refused_at_once_whether_or_not_somebody_writes_to_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        content(tmp_path / "link", 10)
    both = os.open(tmp_path / "pipe", os.O_RDWR)
    with pytest.raises(OSError, match="not a regular file"):
        content(tmp_path / "pipe", 10)
    os.close(both)


@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero", "/dev/tty"])
def test_a_device_is_refused(device: str) -> None:
    with pytest.raises(OSError, match=r"not a regular file|No such device"):
        content(device, 10)


def test_a_folder_and_a_socket_are_refused(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        content(tmp_path, 10)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        with pytest.raises(OSError, match="No such device"):
            content(tmp_path / "socket", 10)


def test_nothing_stays_open(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for path in (tmp_path / "file", tmp_path, Path("/dev/null")):
        for _ in range(10):
            try:
                content(path, 10)
            except OSError:
                continue
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_what_opens_it_again_gets_the_same_file_whatever_was_put_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"first")
    with same(tmp_path / "file") as found:
        (tmp_path / "file").unlink()
        os.mkfifo(tmp_path / "file")
        assert Path(found).read_bytes() == b"first"


def test_no_file_is_no_path() -> None:
    with same_if_any(None) as found:
        assert found is None


def test_the_descriptor_is_not_inherited(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with opened(tmp_path / "file") as number:
        assert not os.get_inheritable(number)
