"""What validation costs: `python -m bench.validation [DESCRIPTION]`.

Loads GitHub's description (of the npm package that the external tests install), then sends the same requests one after another
over a kept connection through one gateway on two routes, with the description and without, and judges them alone in a loop.
Prints medians; load is told with the longest time for which another thread did not get to run.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from gateway.core.message import NO_BODY, Head, Request
from gateway.edge.model import OpenApi, Validate
from gateway.edge.openapi.description import Description, compiled
from gateway.edge.openapi.stage import Described
from gateway.edge.validation import Validation
from gateway.process import Process
from gateway.source import Source
from tests.fakes import HeldBody, a_request
from tests.house import Keys, Upstream, config, read_reply, request_bytes, written

PACKAGE = Path(__file__).parents[1] / "tests/external/node/node_modules/@octokit/openapi/generated/api.github.com.json"
ROUNDS = 400
ISSUE = json.dumps({"title": "Found a bug", "body": "It does not work. " * 20, "labels": ["bug", "ui"], "milestone": 1}).encode()
CALLS: dict[str, tuple[str, str, bytes]] = {
    "GET an issue": ("GET", "/repos/octocat/hello-world/issues/42", b""),
    "GET with 4 query parameters": ("GET", "/repos/octocat/hello-world/issues?state=open&labels=bug&per_page=30&page=2", b""),
    "POST an issue of 460 bytes": ("POST", "/repos/octocat/hello-world/issues", ISSUE),
}


class Ticker(threading.Thread):
    """Notes how long it did not get to run."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.longest = 0.0
        self.running = True

    def run(self) -> None:
        last = time.perf_counter()
        while self.running:
            time.sleep(0.001)
            now = time.perf_counter()
            self.longest, last = max(self.longest, now - last), now


def loaded(file: Path, responses: str) -> Description:
    text = file.read_bytes()
    ticker = Ticker()
    ticker.start()
    started = time.perf_counter()
    found = compiled(text, OpenApi.model_validate({"file": str(file), "unknown_formats": "ignore", "responses": responses}))
    took = time.perf_counter() - started
    ticker.running = False
    print(
        f"load, responses {responses}: {found.count} operations of {len(text) / 1e6:.1f} MB in {took:.2f} s, another thread waited at most {ticker.longest * 1000:.0f} ms"
    )
    return found


async def alone(description: Description) -> dict[str, float]:
    """Microseconds of validation by itself, median."""
    model = OpenApi.model_validate({"file": "api.json", "unknown_formats": "ignore"})
    stage = Validation(Validate(), described=Described(description, model, note=lambda _: None))
    found = {}
    for name, (method, target, body) in CALLS.items():
        path, mark, query = target.partition("?")
        times = []
        for _ in range(ROUNDS * 5):
            request = made(method, path, query.encode() if mark else None, body)
            started = time.perf_counter()
            await stage.validate(request)
            times.append(time.perf_counter() - started)
        found[name] = statistics.median(times) * 1e6
    return found


def made(method: str, path: str, query: bytes | None, body: bytes) -> Request:
    headers = [(b"content-type", b"application/json")] if body else []
    request = a_request(method, headers=headers, path=path, body=HeldBody(body) if body else NO_BODY)
    request.query = query
    assert isinstance(request.head, Head)
    return request


def document(port: int, file: Path) -> dict[str, Any]:
    def route(name: str, **more: Any) -> dict[str, Any]:
        match = {"path": f"/{name}/**"}
        return {
            "name": f"open.{name}",
            "match": match,
            "rewrite": {"strip_prefix": f"/{name}"},
            "upstream": "plain",
            "anonymous": True,
            **more,
        }

    described = {"validate": {"openapi": {"file": str(file), "unknown_formats": "ignore"}}}
    return config(port, routes=[route("plain"), route("described", **described)], log={"level": "error"})


async def through(file: Path) -> dict[str, tuple[float, float]]:
    """Microseconds of a whole request without and with the description, medians of requests that took turns."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with Upstream() as upstream:
            Keys(folder)
            (folder / "policies").mkdir()
            (folder / "policies" / "policy.yaml").write_text(
                "apiVersion: gateway/v1\nkind: Policy\nname: t\nroutes: ['*']\nrules: [{name: a, allow: any, when: 'true'}]\n"
            )
            (folder / "config.yaml").write_text(written(document(upstream.port, file)))
            process = Process(Source((folder / "config.yaml",), (), {"UPSTREAM_TOKEN": "t" * 20}))
            await process.start()
            try:
                streams = await asyncio.open_connection(*process.address("listen"))
                return {name: await turns(streams, call) for name, call in CALLS.items()}
            finally:
                await process.stop()


async def turns(streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], call: tuple[str, str, bytes]) -> tuple[float, float]:
    reader, writer = streams
    method, target, body = call
    times: dict[str, list[float]] = {"plain": [], "described": []}
    headers = {"Content-Type": "application/json"} if body else {}
    for _ in range(ROUNDS):
        for route, taken in times.items():
            data = request_bytes(f"/{route}{target}", method=method, headers=headers, body=body)
            started = time.perf_counter()
            writer.write(data)
            reply = await read_reply(reader, method)
            taken.append(time.perf_counter() - started)
            assert reply.status == 200, reply
    return statistics.median(times["plain"]) * 1e6, statistics.median(times["described"]) * 1e6


async def main() -> None:
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else PACKAGE
    description = loaded(file, "off")
    loaded(file, "report")
    by_itself, requests = await alone(description), await through(file)
    for name in CALLS:
        plain, described = requests[name]
        print(
            f"{name}: validation {by_itself[name]:.0f} us; a request {plain:.0f} us without, {described:.0f} us with: {described / plain:.2f} times"
        )
    print(f"median validation: {statistics.median(by_itself.values()):.0f} us")


if __name__ == "__main__":
    asyncio.run(main())
