"""The program that mints: what it may answer, and what is left of it."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.secret import Secret
from gateway.credentials.rotation.hook import read, run
from gateway.credentials.rotation.minter import NotDone
from gateway.credentials.rotation.record import Held, Phase, Record
from gateway.credentials.rotation.record import read as read_record
from tests.standalone import until


@given(st.binary(max_size=64) | st.text(max_size=64).map(str.encode))
def test_whatever_it_answers_is_a_secret_or_a_failure(answer: bytes) -> None:
    with pytest.raises(NotDone):
        read(answer)


@pytest.mark.parametrize(
    "answer",
    [
        b"[]",
        b'{"secret": ""}',
        b'{"secret": 1}',
        b'{"secret": "a", "secret": "b"}',
        b'{"secret": "a", "more": 1}',
        b'{"secret": "a", "revoke": 7}',
        b'{"secret": "%s"}' % (b"a" * (16 * 1024 + 1)),
        b'{"secret": "a", "revoke": "%s"}' % (b"a" * 1025),
    ],
)
def test_an_answer_of_another_shape_is_refused(answer: bytes) -> None:
    with pytest.raises(NotDone):
        read(answer)


def test_a_secret_and_its_handle_are_read() -> None:
    assert read(b'{"secret": "a", "revoke": "7"}\n') == Held(Secret(b"a"), "7")


async def is_over(note: Path) -> None:
    """The process whose id was noted there ends."""
    left = int(note.read_text())

    async def is_gone() -> bool:
        try:
            os.kill(left, 0)
            return Path(f"/proc/{left}/stat").read_text().split()[2] == "Z"
        except (ProcessLookupError, FileNotFoundError):
            return True

    await until(is_gone, "its child to end")


async def test_what_a_hook_leaves_behind_is_killed_with_it(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    with pytest.raises(NotDone, match="did not end within"):
        await run(["/bin/sh", "-c", f"sleep 60 & echo $! > {note}; wait"], 5, {})
    await is_over(note)


@pytest.mark.parametrize("code", [0, 1])
async def test_what_a_hook_that_has_ended_leaves_in_the_background_is_killed_as_well(tmp_path: Path, code: int) -> None:
    """It has read the secret in force."""
    note = tmp_path / "pid"
    command = f"sleep 600 </dev/null >/dev/null 2>&1 & echo $! > {note}; exit {code}"
    if code:
        with pytest.raises(NotDone, match="exit status 1"):
            await run(["/bin/sh", "-c", command], 20, {})
    else:
        await run(["/bin/sh", "-c", command], 20, {})
    await is_over(note)


async def test_one_that_reads_nothing_is_as_good(tmp_path: Path) -> None:
    assert await run(["/bin/sh", "-c", "exec 0<&-; echo done"], 10, {"secret": "x" * 10_000}) == b"done\n"


async def test_what_everybody_may_write_is_not_run(tmp_path: Path) -> None:
    program = tmp_path / "hook"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o777)
    with pytest.raises(NotDone, match="may be written by everybody"):
        await run([str(program)], 1, {})
    with pytest.raises(NotDone, match="No such file"):
        await run([str(tmp_path / "none")], 1, {})


def test_a_record_is_read_as_it_was_written() -> None:
    record = Record(Phase.OVERLAP, 7, "h", Held(Secret(b"\xff"), None), Held(Secret(b"new"), "id"), 1.5, 2, "why")
    assert read_record(record.written()) == record
    with pytest.raises(ValueError, match="no record"):
        read_record(Secret(b"{}"))
