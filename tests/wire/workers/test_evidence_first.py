"""In a worker the event of a request is out of the process when the last byte of its answer is."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.core.secret import Secret
from gateway.process import Place, Process
from gateway.server.sockets import Handed, share, unshare
from gateway.source import Source
from tests.house import POLICY, ROLES, Keys, Seen, Upstream, config, read_reply, request_bytes, written

SMALL = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsmall"
LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n" + b"x" * 400_000
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nchunk\r\n0\r\n\r\n"
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"


def answer(seen: Seen) -> bytes:
    return {"small": SMALL, "large": LARGE, "chunked": CHUNKED, "empty": EMPTY}[seen.target.rpartition("/")[2]]


class Worker:
    """A worker in this process, and the far end of its pipe."""

    def __init__(self, port: int, pipe: int) -> None:
        self.port = port
        self._pipe = pipe

    def told(self) -> list[dict[str, Any]]:
        """What has come out of the pipe since it was last asked."""
        try:
            return [json.loads(line) for line in os.read(self._pipe, 1 << 20).splitlines()]
        except BlockingIOError:
            return []


@asynccontextmanager
async def serving(tmp_path: Path, number: int) -> AsyncIterator[Worker]:
    async with Upstream(answer=answer) as upstream:
        Keys(tmp_path)
        (tmp_path / "policies").mkdir()
        (tmp_path / "policies" / "policy.yaml").write_text(POLICY)
        (tmp_path / "policies" / "roles.yaml").write_text(ROLES)
        document = config(upstream.port)
        (tmp_path / "config.yaml").write_text(written(document))
        (sock,) = share("127.0.0.1:0", 1)
        handed = Handed()
        handed.put(("listen", "127.0.0.1:0"), sock.dup())
        reads, writes = os.pipe()
        os.set_blocking(reads, False)
        source = Source((tmp_path / "config.yaml",), (), {"UPSTREAM_TOKEN": "t"})
        process = Process(source, Place(number, handed, writes, 2, Secret(b"k" * 32)))
        await process.start()
        try:
            yield Worker(sock.getsockname()[1], reads)
        finally:
            await process.stop()
            unshare([sock])
            os.close(reads)


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[Worker]:
    async with serving(tmp_path, 0) as made:
        yield made


@pytest.mark.parametrize(("number", "fetching"), [(0, 1), (1, 0)])
async def test_of_several_workers_one_fetches_revocation_lists(tmp_path: Path, number: int, fetching: int) -> None:
    """They share the file that lists are left in: all see it change."""
    async with serving(tmp_path, number):
        assert [task.get_name() for task in asyncio.all_tasks()].count("revocations") == fetching


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("target", ["/public/small", "/public/large", "/public/chunked", "/public/empty", "/nowhere", "/admin/x"])
async def test_who_has_the_answer_can_read_the_event(worker: Worker, method: str, target: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", worker.port)
    for _ in range(3):
        writer.write(request_bytes(target, method=method))
        reply = await read_reply(reader, method)
        (event,) = worker.told()
        assert (event["request_id"], event["status"]) == (reply["X-Request-Id"], reply.status)
    writer.close()


async def test_the_last_answer_of_a_connection_is_no_exception(worker: Worker) -> None:
    for closing in ({"Connection": "close"}, {"Content-Length": "nonsense"}):
        reader, writer = await asyncio.open_connection("127.0.0.1", worker.port)
        writer.write(request_bytes("/public/small", headers=closing))
        reply = await read_reply(reader, "GET")
        assert [event["request_id"] for event in worker.told()] == [reply["X-Request-Id"]]
        writer.close()


async def test_of_many_at_once_every_event_comes_before_its_answer(worker: Worker) -> None:
    told: set[str] = set()

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", worker.port)
        for _ in range(20):
            writer.write(request_bytes("/public/small"))
            reply = await read_reply(reader, "GET")
            told.update(event["request_id"] for event in worker.told())
            assert reply["X-Request-Id"] in told
        writer.close()

    await asyncio.gather(*(client() for _ in range(48)))


async def test_of_a_pipeline_too(worker: Worker) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", worker.port)
    writer.write(request_bytes("/nowhere") * 5 + request_bytes("/public/small"))
    told: list[str] = []
    for number in range(6):
        reply = await read_reply(reader, "GET")
        told += [event["request_id"] for event in worker.told()]
        assert told.index(reply["X-Request-Id"]) == number
    writer.close()
