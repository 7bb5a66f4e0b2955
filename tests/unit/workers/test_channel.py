"""Messages with descriptors, however the bytes arrive; and an other end that is slow, silent or gone."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.workers.channel import HEAD, MOST_BYTES, Channel, GoneError, Inbox, Message, close_all, encode

MESSAGES = st.lists(
    st.dictionaries(st.text(max_size=5), st.one_of(st.integers(-9, 9), st.text(max_size=9)), max_size=3), max_size=5
)


@given(MESSAGES, st.lists(st.integers(0, 200), max_size=6))
def test_messages_come_out_whole_however_their_bytes_are_cut(messages: list[Message], cuts: list[int]) -> None:
    data = b"".join(encode(message) for message in messages)
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    inbox = Inbox()
    found = []
    for start, end in pairwise(places):
        found += [message for message, _ in inbox.feed(data[start:end], [])]
    assert found == messages


@given(st.binary(max_size=64))
def test_nonsense_is_a_value_error_or_waits_for_more(data: bytes) -> None:
    with suppress(ValueError):
        list(Inbox().feed(data, []))


def test_a_message_that_says_it_is_endless_is_refused() -> None:
    with pytest.raises(ValueError, match="too large"):
        list(Inbox().feed(HEAD.pack(MOST_BYTES + 1, 0), []))


class End:
    """One end of a pair, which remembers."""

    def __init__(self, sock: socket.socket) -> None:
        self.taken: list[tuple[Message, list[int]]] = []
        self.arrived = asyncio.Event()
        self.over = asyncio.Event()
        self.channel = Channel(sock, self._take, self.over.set)

    def _take(self, message: Message, descriptors: list[int]) -> None:
        self.taken.append((message, descriptors))
        self.arrived.set()

    async def some(self, count: int) -> list[tuple[Message, list[int]]]:
        async with asyncio.timeout(20):
            while len(self.taken) < count:
                self.arrived.clear()
                await self.arrived.wait()
        return self.taken


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[End, End]]:
    one, other = (End(sock) for sock in socket.socketpair())
    try:
        yield one, other
    finally:
        one.channel.close()
        other.channel.close()


async def test_descriptors_arrive_with_their_message() -> None:
    async with pair() as (one, other):
        pipes = [os.pipe() for _ in range(3)]
        one.channel.send({"n": 0})
        one.channel.send({"n": 1}, [pipes[0][0], pipes[1][0]])
        one.channel.send({"n": 2, "long": "x" * 1_000_000})
        one.channel.send({"n": 3}, [pipes[2][0]])
        taken = await other.some(4)
        assert [message["n"] for message, _ in taken] == [0, 1, 2, 3]
        assert [len(descriptors) for _, descriptors in taken] == [0, 2, 0, 1]
        for (_, end), descriptor in zip(pipes, [*taken[1][1], *taken[3][1]], strict=True):
            os.write(end, b"mine")
            assert os.read(descriptor, 9) == b"mine"
            assert not os.get_inheritable(descriptor)
        close_all([descriptor for _, found in taken for descriptor in found])
        close_all([end for ends in pipes for end in ends])


async def test_an_answer_finds_who_asked() -> None:
    async with pair() as (one, other):
        asking = [asyncio.create_task(one.channel.ask({"n": n})) for n in range(3)]
        for message, _ in reversed(await other.some(3)):
            other.channel.answer(message, double=message["n"] * 2)
        assert [answer["double"] for answer in await asyncio.gather(*asking)] == [0, 2, 4]


async def test_who_does_not_answer_in_time_is_as_good_as_gone() -> None:
    async with pair() as (one, other):
        with pytest.raises(GoneError):
            await one.channel.ask({}, timeout=0.01)
        ((late, _),) = await other.some(1)
        other.channel.answer(late)
        other.channel.send({"n": 1})
        assert (await one.some(1))[0][0] == {"n": 1}


async def test_an_end_that_goes_ends_questions_and_is_told_once() -> None:
    async with pair() as (one, other):
        asking = asyncio.create_task(one.channel.ask({}))
        await other.some(1)
        other.channel.close()
        with pytest.raises(GoneError):
            await asking
        await asyncio.wait_for(one.over.wait(), 20)
        with pytest.raises(GoneError):
            await one.channel.ask({})
        one.channel.send({"to": "nobody"})


async def test_a_backlog_is_sent_when_the_other_end_reads() -> None:
    ours, theirs = socket.socketpair()
    one = End(ours)
    big: dict[str, Any] = {"big": "y" * 3_000_000}
    one.channel.send(big)
    waiting = asyncio.create_task(one.channel.sent())
    await asyncio.sleep(0)
    assert not waiting.done()
    other = End(theirs)
    assert (await other.some(1))[0][0] == big
    await asyncio.wait_for(waiting, 20)
    one.channel.close()
    other.channel.close()
