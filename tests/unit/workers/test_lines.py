"""Lines out of pipes: whole, in order, to the last one of a writer that is gone."""

import asyncio
import os

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.workers.lines import Lines, lines_of, pipe


class Reader:
    """Lines and what was torn, as they come."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.torn: list[int] = []
        self.reading = Lines(self.lines.extend, self.torn.append, gather=0.0)

    def pipe(self) -> int:
        """The writing end of a pipe that is read."""
        ours, theirs = pipe()
        self.reading.add(ours)
        return theirs


async def test_what_a_writer_told_before_it_died_is_read() -> None:
    reader = Reader()
    ends = [reader.pipe(), reader.pipe()]
    for number, end in enumerate(ends):
        os.write(end, b"".join(b"%d-%d\n" % (number, line) for line in range(1000)))
        os.close(end)
    await asyncio.wait_for(reader.reading.ended(), 20)
    for number in range(2):
        assert [line for line in reader.lines if line.startswith(b"%d-" % number)] == [
            b"%d-%d\n" % (number, n) for n in range(1000)
        ]
    assert reader.torn == []


async def test_a_line_that_is_not_whole_is_told_and_joins_no_other() -> None:
    reader = Reader()
    dying, living = reader.pipe(), reader.pipe()
    os.write(dying, b"whole\nhal")
    os.close(dying)
    os.write(living, b"other\n")
    os.close(living)
    await asyncio.wait_for(reader.reading.ended(), 20)
    assert sorted(reader.lines) == [b"other\n", b"whole\n"]
    assert reader.torn == [3]


async def test_whoever_waits_for_the_end_lets_others_run_until_the_last_pipe_has_come_to_it() -> None:
    reader = Reader()
    ends = [reader.pipe() for _ in range(3)]
    os.close(ends[0])
    await asyncio.sleep(0.05)
    waiting = asyncio.create_task(reader.reading.ended())
    for end in ends[1:]:
        await asyncio.sleep(0.02)
        assert not waiting.done()
        os.close(end)
    await asyncio.wait_for(waiting, 20)


async def test_a_line_in_pieces_is_one_line() -> None:
    reader = Reader()
    end = reader.pipe()
    for piece in (b"a", b"b\r", b"c\n", b"d\n"):
        os.write(end, piece)
        await asyncio.sleep(0.002)
    os.close(end)
    await asyncio.wait_for(reader.reading.ended(), 20)
    assert reader.lines == [b"ab\rc\n", b"d\n"]


async def test_no_line_is_endless() -> None:
    reader = Reader()
    end = reader.pipe()
    for _ in range(40):
        await asyncio.to_thread(os.write, end, b"x" * 65536)
    await asyncio.to_thread(os.write, end, b"\nnext\n")
    os.close(end)
    await asyncio.wait_for(reader.reading.ended(), 20)
    assert reader.lines[-1] == b"next\n"
    assert max(map(len, reader.lines)) < 2 * 1024 * 1024 + 65536


async def test_reading_can_end_before_the_writers() -> None:
    reader = Reader()
    end = reader.pipe()
    reader.reading.close()
    await reader.reading.ended()
    os.close(end)


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line), min_size=1))
def test_only_a_line_feed_ends_a_line(lines: list[bytes]) -> None:
    assert lines_of(b"\n".join(lines)) == [line + b"\n" for line in lines]
