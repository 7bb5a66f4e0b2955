"""The bell, alone and over a real Redis: heard by everybody, however often the server goes away."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.core.secret import Secret
from gateway.store.bell import Bell
from gateway.store.redis_bell import CHANNEL, SPACING, RedisBell, ring
from gateway.store.resp import StoreError
from gateway.store.server import Server
from tests.redis_server import RedisServer


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder))
        try:
            yield server.start()
        finally:
            server.kill()


class Hearing:
    """A bell that hears, and how often it was rung."""

    def __init__(self, server: Server) -> None:
        self.bell = Bell(time.monotonic)
        self.source = RedisBell(server, self.bell, alive=0.05)

    async def heard(self, since: float) -> None:
        async with asyncio.timeout(60):
            while self.bell.at <= since:
                await self.bell.pause(0.05)

    async def connected(self) -> None:
        async with asyncio.timeout(60):
            while not self.source.status()["connected"]:
                await asyncio.sleep(0.005)


@asynccontextmanager
async def hearing(server: Server, count: int = 1) -> AsyncIterator[list[Hearing]]:
    made = [Hearing(server) for _ in range(count)]
    try:
        for each in made:
            each.source.start()
        yield made
    finally:
        for each in made:
            await each.source.close()


async def test_a_bell_ends_a_pause_and_remembers_when() -> None:
    bell = Bell(time.monotonic)
    before = time.monotonic()
    assert bell.at < before
    pausing = asyncio.create_task(bell.pause(600))
    await asyncio.sleep(0)
    bell.ring()
    async with asyncio.timeout(60):
        await pausing
    assert bell.at >= before
    await bell.pause(0.001)


async def test_every_replica_hears_a_ring(redis_server: RedisServer) -> None:
    server = Server(redis_server.url)
    async with hearing(server, 3) as replicas:
        for each in replicas:
            await each.connected()
            await each.heard(float("-inf"))
        now = time.monotonic()
        await ring(server)
        for each in replicas:
            await each.heard(now)


async def test_a_silent_connection_is_asked_whether_it_lives_between_messages(redis_server: RedisServer) -> None:
    async with hearing(Server(redis_server.url)) as (one,):
        await one.connected()
        client = redis_server.client()
        try:
            for _ in range(5):
                now = time.monotonic()
                await asyncio.sleep(0.06)  # longer than `alive`: a PING lies between
                client.publish(CHANNEL, b"x" * 10_000)
                await one.heard(now)
        finally:
            client.close()
        assert one.source.status()["connected"]


async def test_a_flood_of_messages_is_a_few_rings(redis_server: RedisServer) -> None:
    async with hearing(Server(redis_server.url)) as (one,):
        await one.connected()
        client = redis_server.client()
        try:
            times, began = set(), time.monotonic()
            for _ in range(300):
                client.publish(CHANNEL, b"")
                await asyncio.sleep(0)
                times.add(one.bell.at)
        finally:
            client.close()
        assert len(times) <= (time.monotonic() - began) / SPACING + 3


async def test_a_server_that_goes_away_is_listened_to_again_when_it_is_back() -> None:
    with tempfile.TemporaryDirectory() as folder:
        running = RedisServer(Path(folder)).start()
        try:
            async with hearing(Server(running.url)) as (one,):
                await one.connected()
                running.kill()
                async with asyncio.timeout(60):
                    while one.source.status()["connected"]:
                        await asyncio.sleep(0.005)
                with pytest.raises(StoreError):
                    await ring(Server(running.url))
                now = time.monotonic()
                running.start()
                await one.connected()
                await one.heard(now)
        finally:
            running.kill()


class Password:
    """A password that is wrong, then right."""

    name = "env:TEST"

    def __init__(self) -> None:
        self.secret = Secret(b"wrong")

    def current(self) -> Secret:
        return self.secret


async def test_who_is_not_let_in_says_so_without_the_password_and_tries_again() -> None:
    with tempfile.TemporaryDirectory() as folder:
        running = RedisServer(Path(folder)).start("right-password")
        password = Password()
        try:
            async with hearing(Server(running.url, password=password)) as (one,):
                async with asyncio.timeout(60):
                    while one.source.status()["last_error"] is None:
                        await asyncio.sleep(0.005)
                assert one.source.status()["last_error"] == "WRONGPASS"
                password.secret = Secret(b"right-password")
                await one.connected()
        finally:
            running.kill()
