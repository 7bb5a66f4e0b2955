"""The straight path is counted: the Python calls a request may cost, a whole number that no noisy machine can move.

The request: GET without a body on a kept connection, JWT remembered, a policy with a condition, two limits in memory, bearer
injection, a small answer of a kept upstream connection, audit to a file, metrics on, traces sampled at nothing.
"""

import asyncio
import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from gateway.process import Process
from gateway.source import Source
from tests.house import Keys, config, written

CALLS = {"repeated": 79, "varied": 112}
"""Python function calls and resumptions of coroutines, all rooms together, from the first byte read to the evidence written; the
event loop's own (none with uvloop, which serves) left out. Repeated: each request and each answer's head as the one before, as of
whoever polls. Varied: each request for something else, each answer with fields of its own."""
REQUESTS = 64
FIRST = 8
"""Requests that are not counted: what is concluded once is concluded then."""
ANSWER = b'HTTP/1.1 200 OK\r\nServer: x\r\nDate: Sun, 22 Nov 2026 00:00:00 GMT\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"ok":true}'
POLICY = """
apiVersion: gateway/v1
kind: Policy
name: tests
routes: ["*"]
rules:
  - {name: own, allow: [GET], permission: "things:use", when: "subject.claims.org == 'acme' && request.method in ['GET', 'HEAD']"}
"""
ROLES = """
apiVersion: gateway/v1
kind: Roles
roles: {member: ["things:use"]}
bindings: [{from_claim: roles, issuer: corp, only: [member]}]
"""


@contextmanager
def upstream() -> Iterator[int]:
    """Answers on a thread of its own, so that its calls are not counted."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            while asked := connection.recv(65536):
                connection.sendall(ANSWER.replace(b"Server: x", b"Server: " + asked.split(b" ", 2)[1]))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        thread.join(10)
        listening.close()


def ask(connection: socket.socket, requests: Iterable[bytes]) -> None:
    for request in requests:
        connection.sendall(request)
        answer = b""
        while not answer.endswith(b'{"ok":true}'):
            answer += connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200 "), answer


@pytest.mark.parametrize("kind", CALLS)
async def test_the_straight_path_keeps_its_budget_of_calls(tmp_path: Path, kind: str) -> None:
    keys = Keys(tmp_path)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "policy.yaml").write_text(POLICY)
    (tmp_path / "policies" / "roles.yaml").write_text(ROLES)
    limits = {
        "default": ["a"],
        "rules": {"a": {"key": "client.address", "limit": "9000/day"}, "p": {"key": "subject", "limit": "9000/day"}},
    }
    with upstream() as port:
        document = config(port, rate_limits=limits, log={"level": "error"})
        document["routes"] = [
            {
                "name": "things",
                "match": {"path": "/api/v1/things/{thing}"},
                "upstream": "api",
                "authenticate": ["jwt.corp"],
                "rate_limits": ["p"],
            }
        ]
        (tmp_path / "config.yaml").write_text(written(document))
        process = Process(Source((tmp_path / "config.yaml",), (), {"UPSTREAM_TOKEN": "t" * 20}))
        await process.start()
        try:
            counted = await count(process, keys.token(), varied=kind == "varied")
        finally:
            await process.stop()
    # What is done now and then (ids, batches of evidence, heads that were forgotten) is done more often where time passes faster than
    # requests do: the division leaves it out.
    calls = sum(times // REQUESTS for times in counted.values())
    assert calls <= CALLS[kind], counted.most_common(40)
    assert calls > 50, "the counter counts nothing"


async def count(process: Process, token: str, *, varied: bool) -> Counter[str]:
    """Calls by function while a client on another thread sends its requests, their evidence included and no other's."""
    fields = f"Host: gw.test\r\nUser-Agent: t\r\nAccept: */*\r\nAuthorization: Bearer {token}\r\n\r\n"
    things = range(FIRST + REQUESTS) if varied else [17] * (FIRST + REQUESTS)
    requests = [f"GET /api/v1/things/{thing} HTTP/1.1\r\n{fields}".encode() for thing in things]
    counted: Counter[str] = Counter()

    def profile(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and "/asyncio/" not in frame.f_code.co_filename:
            counted[f"{Path(frame.f_code.co_filename).name}:{frame.f_code.co_name}"] += 1

    with socket.create_connection(process.address("listen")) as connection:
        await asyncio.to_thread(ask, connection, requests[:FIRST])
        sys.setprofile(profile)
        try:
            await asyncio.to_thread(ask, connection, requests[FIRST:])
            process._evidence.write()
        finally:
            sys.setprofile(None)
    return counted
