"""A body on its way in, without a connection."""

import asyncio

import pytest

from gateway.core.errors import BadRequest
from gateway.core.reason import Reason
from gateway.server.body import HIGH_WATER, StreamBody, WholeBody


class Recorded:
    """A source that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def want(self) -> None:
        self.asked.append("want")

    def hold(self) -> None:
        self.asked.append("hold")

    def relieve(self) -> None:
        self.asked.append("relieve")


def body(length: int | None = None, limit: int = 1 << 20) -> tuple[StreamBody, Recorded]:
    source = Recorded()
    return StreamBody(source, length, limit, expects=False), source


async def test_pieces_that_came_together_are_taken_together() -> None:
    stream, source = body()
    stream.put(b"a")
    stream.put(b"b")
    stream.finish()
    assert [piece async for piece in stream] == [b"ab"]
    assert source.asked == ["relieve"]
    assert stream.received == 2


async def test_a_full_buffer_holds_the_source_until_it_is_taken() -> None:
    stream, source = body()
    stream.put(b"x" * HIGH_WATER)
    assert source.asked == []
    stream.put(b"x")
    assert source.asked == ["hold"]
    stream.finish()
    assert len(await stream.read(1 << 20)) == HIGH_WATER + 1
    assert source.asked == ["hold", "relieve"]


async def test_what_was_read_is_kept_for_whoever_forwards_it() -> None:
    stream, _ = body(4)
    stream.put(b"data")
    stream.finish()
    before = stream.whole
    assert before is None
    assert await stream.read(10) == b"data"
    assert stream.whole == b"data"
    assert [piece async for piece in stream] == [b"data"]
    assert await stream.read(1) == b"data"


async def test_an_error_is_told_at_once_and_again() -> None:
    stream, _ = body()
    stream.put(b"data")
    stream.fail(BadRequest("broken"))
    for _ in range(2):
        with pytest.raises(BadRequest, match="broken"):
            await stream.read(10)


async def test_an_error_after_the_end_changes_nothing() -> None:
    stream, _ = body()
    stream.put(b"data")
    stream.finish()
    stream.fail(BadRequest("late"))
    assert await stream.read(10) == b"data"


@pytest.mark.parametrize("length", [None, 5], ids=["chunked", "announced"])
async def test_reading_over_a_limit_is_413_and_closes(length: int | None) -> None:
    stream, _ = body(length)
    stream.put(b"x" * 5)
    with pytest.raises(BadRequest) as refused:
        await stream.read(4)
    assert (refused.value.reason, refused.value.close) == (Reason.BODY_TOO_LARGE, True)


async def test_a_lowered_limit_holds_for_pieces_to_come() -> None:
    stream, _ = body()
    reading = asyncio.create_task(stream.read(4))
    await asyncio.sleep(0)
    assert stream.waited_for
    with pytest.raises(BadRequest):
        stream.put(b"x" * 5)
    reading.cancel()


async def test_a_cancelled_reader_leaves_room_for_another() -> None:
    stream, _ = body()
    reading = asyncio.create_task(stream.read(4))
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait((reading,))
    assert not stream.waited_for
    stream.put(b"x")
    stream.finish()
    assert await stream.read(4) == b"x"


async def test_a_body_has_one_reader() -> None:
    stream, _ = body()
    first = asyncio.create_task(stream.read(4))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="one reader"):
        await stream.read(4)
    first.cancel()


async def test_a_body_that_came_whole_is_read_as_often_as_asked_and_never_over_a_limit() -> None:
    body = WholeBody(b"data", 10)
    assert (body.length, body.received, body.whole) == (4, 4, b"data")
    assert [await body.read(4), await body.read(10)] == [b"data", b"data"]
    assert [piece async for piece in body] == [b"data"]
    for limit, lowered in ((3, 10), (10, 3)):
        body.limit = lowered
        with pytest.raises(BadRequest) as caught:
            await body.read(limit)
        assert caught.value.reason == Reason.BODY_TOO_LARGE
