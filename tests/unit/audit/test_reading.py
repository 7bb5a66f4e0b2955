"""The trail read back: whole lines only, in order, and nothing believed."""

from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.reading import LONGEST, Reading, rotated


def event(number: int) -> bytes:
    return orjson.dumps({"event": "request", "request_id": str(number)}) + b"\n"


def read(path: Path) -> tuple[list[str], Reading]:
    reading = Reading()
    return [str(fields["request_id"]) for fields in reading.requests(path)], reading


def test_rotated_files_come_first_and_the_oldest_of_them_before_the_others(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    for number, name in enumerate(("audit.jsonl.2", "audit.jsonl.1", "audit.jsonl")):
        (tmp_path / name).write_bytes(event(number))
    (tmp_path / "audit.jsonl.4").write_bytes(event(9))
    assert read(path)[0] == ["0", "1", "2"]
    assert [file.name for file in rotated(path)] == ["audit.jsonl.2", "audit.jsonl.1", "audit.jsonl"]


@pytest.mark.parametrize(
    "line",
    [
        b'{"event":"request","request',
        b"not json\n",
        b"[]\n",
        b'{"event": 7}\n',
        b"\xff\xfe\n",
        b"[" * 5000 + b"\n",
        b'{"event":"request","x":"' + b"x" * LONGEST + b'"}\n',
        b"x" * (3 * LONGEST) + b"\n",
    ],
    ids=["torn", "text", "list", "number", "not utf-8", "deep", "long", "longer"],
)
def test_a_line_that_is_no_event_is_counted_and_the_next_one_is_read(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(event(1) + line.rstrip(b"\n") + b"\n" + event(2))
    found, reading = read(path)
    assert (found, reading.events, reading.skipped) == (["1", "2"], 2, 1)
    assert reading.first.startswith("audit.jsonl:2: ")


def test_other_events_and_empty_lines_are_no_mistakes(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b'\n{"event":"gateway.started"}\n' + event(1))
    found, reading = read(path)
    assert (found, reading.events, reading.skipped) == (["1"], 1, 0)


def test_a_pipe_or_nothing_is_no_trail(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(OSError, match=r"."):
            read(path)


@given(st.binary(max_size=300))
def test_no_bytes_are_too_odd(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "odd.jsonl"
    path.write_bytes(content)
    list(Reading().requests(path))
