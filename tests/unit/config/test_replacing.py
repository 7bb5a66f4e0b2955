"""Files changed whole."""

import os
import threading
from pathlib import Path

import pytest

from gateway.config import replacing


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file.yaml"
    path.write_bytes(b"before\n")
    return path


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o400])
def test_the_mode_is_kept(file: Path, mode: int) -> None:
    file.chmod(mode)
    replacing.change(file, lambda raw: raw + b"after\n")
    assert file.read_bytes() == b"before\nafter\n"
    assert file.stat().st_mode & 0o777 == mode


def test_a_link_stays_a_link(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.yaml"
    link.symlink_to(file)
    replacing.change(link, lambda raw: b"after\n")
    assert link.is_symlink()
    assert file.read_bytes() == b"after\n"


def test_nothing_is_left_beside_it(file: Path) -> None:
    replacing.change(file, lambda raw: b"after\n")
    with pytest.raises(ZeroDivisionError):
        replacing.change(file, lambda raw: bytes(1 // 0))
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    assert file.read_bytes() == b"after\n"


def test_what_does_not_change_is_not_written(file: Path) -> None:
    before = file.stat()
    replacing.change(file, lambda raw: raw)
    assert file.stat().st_ino == before.st_ino


def test_changes_at_the_same_time_are_all_made(file: Path) -> None:
    """Also by those who waited for a file that was replaced meanwhile."""

    def append(number: int) -> None:
        replacing.change(file, lambda raw: raw + b"%d\n" % number)

    threads = [threading.Thread(target=append, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(file.read_text().split()) == sorted(["before", *map(str, range(20))])


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        replacing.change(tmp_path / "nowhere", lambda raw: b"x")
    assert list(tmp_path.iterdir()) == []


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        replacing.change(tmp_path / "pipe", lambda raw: b"x")
