"""GitHub's own client, through the gateway, to a mock of GitHub made from GitHub's published description.

The client holds a gateway token and nothing else. Between gateway and mock every byte is recorded.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.external.mock import NODE, prism, run
from tests.house import House, house

PATHS = ("/repos/{owner}/{repo}/issues", "/repos/{owner}/{repo}/issues/{issue_number}")
GITHUB_TOKEN = "ghp_canaryOfTheUpstream00000000000000"
POLICY = """
apiVersion: gateway/v1
kind: Policy
name: github
routes: ["github.*"]
rules:
  - {name: own, allow: any, permission: "things:use", when: "subject.claims.org == resource.params.owner"}
"""


@dataclass
class Recorder:
    """A TCP proxy that keeps what goes to the mock."""

    target: int
    sent: bytearray = field(default_factory=bytearray)
    port: int = 0

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection("127.0.0.1", self.target)
        await asyncio.gather(self.pump(reader, forth, self.sent), self.pump(back, writer, bytearray()))

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray) -> None:
        try:
            while data := await reader.read(65536):
                kept += data
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    @property
    def heads(self) -> list[str]:
        """The request lines and header fields that reached the mock; a body without line breaks stands before the next line."""
        text = self.sent.decode("utf-8", "replace")
        return [part for part in re.sub(r"(?<=\})(GET|POST) /", r"\r\n\1 /", text).split("\r\n") if part]


@asynccontextmanager
async def recorder(target: int) -> AsyncIterator[Recorder]:
    made = Recorder(target)
    server = await asyncio.start_server(made.carry, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


def routes() -> list[dict[str, Any]]:
    def route(name: str, path: str, *methods: str) -> dict[str, Any]:
        return {
            "name": f"github.{name}",
            "match": {"path": "/github" + path, "methods": list(methods)},
            "upstream": "github",
            "rewrite": {"strip_prefix": "/github"},
            "authenticate": ["jwt.corp"],
        }

    return [
        route("issues", "/repos/{owner}/{repo}/issues", "GET", "POST"),
        route("issue", "/repos/{owner}/{repo}/issues/{number}", "GET"),
        route("labels", "/repos/{owner}/{repo}/labels", "GET"),
    ]


@dataclass
class Played:
    """What the client was answered, what reached the mock, what the gateway wrote down."""

    outcomes: dict[str, dict[str, Any]]
    recorded: Recorder
    events: list[dict[str, Any]]
    token: str


async def play(gateway: House, client: str, recorded: Recorder, token: str) -> Played:
    host, port = gateway.address()
    out = await run(client, str(NODE / "client.mjs"), GATEWAY_URL=f"http://{host}:{port}/github", GATEWAY_TOKEN=token)
    return Played(json.loads(out), recorded, await gateway.requests(), token)


@pytest.fixture
async def played(node: str, tmp_path: Path) -> Played:
    """All calls of the client, once."""
    async with prism(node, tmp_path, *PATHS) as mock, recorder(mock) as recorded:
        upstream = {"url": f"http://127.0.0.1:{recorded.port}", "allow_plaintext": True, "allow_private": True, "credential": "bot"}
        async with house(
            tmp_path,
            policy=POLICY,
            routes=routes(),
            upstreams={"github": upstream},
            environ={"UPSTREAM_TOKEN": GITHUB_TOKEN},
        ) as gateway:
            return await play(gateway, node, recorded, gateway.keys.token(org="octocat"))


async def test_octokit_works_through_the_gateway_with_a_token_that_github_never_sees(played: Played) -> None:
    outcomes = played.outcomes
    assert {name: outcome["status"] for name, outcome in outcomes.items()} == {
        "list": 200,
        "create": 201,
        "get": 200,
        "theirs": 403,
        "unmocked": 404,
        "unrouted": 404,
    }
    assert outcomes["list"]["titles"][0]
    assert outcomes["create"]["titles"][0]
    assert outcomes["theirs"]["type"] == "urn:latchgate:problem:policy-denied"
    assert outcomes["unrouted"]["type"] == "urn:latchgate:problem:no-route"
    assert "NO_PATH_MATCHED" in outcomes["unmocked"]["type"]  # the mock's own answer, passed on as it is

    heads = played.recorded.heads
    lines = [line for line in heads if line.endswith(" HTTP/1.1")]
    assert lines == [
        "GET /repos/octocat/hello-world/issues?per_page=2&labels=bug%2Cui%3A%20wide HTTP/1.1",
        "POST /repos/octocat/hello-world/issues HTTP/1.1",
        "GET /repos/octocat/hello-world/issues/42 HTTP/1.1",
        "GET /repos/octocat/hello-world/labels HTTP/1.1",
    ]
    presented = [line for line in heads if line.lower().startswith("authorization:")]
    assert [line.partition(":")[2].strip() for line in presented] == [f"Bearer {GITHUB_TOKEN}"] * len(lines)
    assert played.token not in played.recorded.sent.decode("utf-8", "replace")
    assert played.token.rpartition(".")[2].encode() not in played.recorded.sent
    assert "Größe: 5 \U0001f600".encode() in played.recorded.sent

    assert [(event["route"], event["status"]) for event in played.events] == [
        ("github.issues", 200),
        ("github.issues", 201),
        ("github.issue", 200),
        ("github.issues", 403),
        ("github.labels", 404),
        (None, 404),
    ]
    assert {event["subject"] for event in played.events[:5]} == {"alice"}
    assert played.events[3]["request_id"] == outcomes["theirs"]["request_id"]
