"""A worker's end of the trail: into the pipe at once, in order, and bounded when nobody reads."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.audit.model import Audit, Mask
from gateway.audit.relay import Relay
from gateway.core.errors import Unavailable
from gateway.core.reason import Reason
from gateway.core.secret import Secret
from tests.exchanges import Tally, Ticks, exchange


class Far:
    """The reading end of a relay's pipe."""

    def __init__(self, pipe: int) -> None:
        self.pipe = pipe
        os.set_blocking(pipe, False)
        self.data = b""

    def read(self) -> list[dict[str, Any]]:
        """Everything that came so far, which is whole lines."""
        while True:
            try:
                piece = os.read(self.pipe, 1 << 20)
            except BlockingIOError:
                break
            if not piece:
                break
            self.data += piece
        return [json.loads(line) for line in self.data.splitlines()]


@asynccontextmanager
async def relay(model: Audit | None = None, *, tally: Tally | None = None, **limits: Any) -> AsyncIterator[tuple[Relay, Far]]:
    reads, writes = os.pipe()
    key = limits.pop("mask_key", Secret(b"k" * 32))
    made = Relay(model or Audit(), writes, clock=Ticks(), metrics=tally or Tally(), mask_key=key, **limits)
    far = Far(reads)
    try:
        yield made, far
    finally:
        await made.close(0.01)
        os.close(reads)


def record(trail: Relay, count: int) -> list[str]:
    ids = [f"{trail.status()['made']}-{number}" for number in range(count)]
    trail.record([(exchange(id=each), 0.01) for each in ids])
    return ids


async def test_a_line_is_out_of_the_process_when_it_was_recorded() -> None:
    async with relay() as (trail, far):
        ids = record(trail, 3)
        trail.event("config.changed", generation="g")
        assert [line.get("request_id") for line in far.read()] == [*ids, None]
        trail.event("no.such.event")
        assert len(far.read()) == 4


async def test_what_the_pipe_does_not_take_follows_in_order() -> None:
    async with relay() as (trail, far):
        ids = [each for _ in range(20) for each in record(trail, 50)]
        async with asyncio.timeout(20):
            while trail.status()["queued_bytes"]:
                far_lines = os.read(far.pipe, 4000)
                far.data += far_lines
                await asyncio.sleep(0)
        assert [line["request_id"] for line in far.read()] == ids
        await trail.flush()


async def test_a_reader_that_hangs_makes_it_refuse_and_then_drop_whole_lines() -> None:
    tally = Tally()
    async with relay(tally=tally, max_bytes=100_000) as (trail, far):
        while not tally.sums:
            record(trail, 50)
        with pytest.raises(Unavailable) as refused:
            trail.ensure_room()
        assert refused.value.reason is Reason.AUDIT_FULL
        made = trail.status()["made"]
        async with asyncio.timeout(20):
            while trail.status()["queued_bytes"]:
                far.data += os.read(far.pipe, 65536)
                await asyncio.sleep(0)
        assert len(far.read()) == made - tally.sums["gateway.audit.dropped"]
        trail.ensure_room()


async def test_who_has_the_file_says_whether_there_is_room() -> None:
    async with relay() as (trail, _):
        trail.be_full(True)
        with pytest.raises(Unavailable):
            trail.ensure_room()
        trail.be_full(False)
        trail.ensure_room()
    async with relay(Audit(on_full="drop")) as (trail, _):
        trail.be_full(True)
        trail.ensure_room()


async def test_without_a_reader_it_refuses_and_does_not_spin() -> None:
    async with relay() as (trail, far):
        reads = os.dup(far.pipe)
        os.close(reads)
        os.dup2(os.open(os.devnull, os.O_RDONLY), far.pipe)
        record(trail, 1)
        with pytest.raises(Unavailable):
            trail.ensure_room()
        record(trail, 1)
        await trail.flush(0.01)
        assert trail.status()["queued_bytes"] > 0


async def test_all_workers_mask_alike() -> None:
    masked = Audit(mask=Mask(subject="keyed_hash", client="keyed_hash"))
    seen = []
    for key in (b"one" * 11, b"one" * 11, b"two" * 11):
        async with relay(masked, mask_key=Secret(key)) as (trail, far):
            record(trail, 1)
            seen.append(far.read()[0]["subject"])
    assert seen[0] == seen[1] != seen[2]
