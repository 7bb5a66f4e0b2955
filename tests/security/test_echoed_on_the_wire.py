"""Upstreams that send back all they got, over real sockets, for every kind of credential: what a client reads, and what is written down.

In which forms a value is found is shown in test_nothing_comes_back: here it is that every way out goes through the search.
"""

import asyncio
import base64
import html
import json
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio
import trustme

from gateway.core.secret import Secret
from gateway.credentials.vault.keys import LocalKey
from gateway.credentials.vault.ring import Ring
from gateway.store.sql.model import Sqlite
from tests import granting
from tests.canaries import BURIED, CANARY, HIDDEN, KINDS, ONCE, SECRETS, SENT_IN, credentials, handed_out, minted, spoken
from tests.house import House, Seen, Upstream, house, request_bytes
from tests.http2peer import Heard, Http2Server, Peer
from tests.minting import Asked, Mint, reply
from tests.security.test_nothing_comes_back import leaks

WAYS = ("length", "chunked", "event stream", "close", "failure", "head", "gzip", "br")
"""How an answer comes, by the query that asks for it."""
HEARD = tuple(kind for kind in KINDS if kind != "captured_keys")
"""But those whose client signs what it sends: they are heard in tests/security/test_captured_keys.py."""
UNSEARCHED = ("gzip", "br")


def echo(seen: Seen) -> tuple[bytes, dict[bytes, bytes]]:
    """A request's head as pages for debugging show it, and a form of each of its fields that stands in a head."""
    fields = {name.lower(): value for name, value in seen.headers} | {"target": seen.target}
    told = json.dumps(fields)
    coded = [base64.b64encode(b" " * ahead + value.encode()).decode() for ahead in range(3) for value in fields.values()]
    forms = [told, quote(told), html.escape(told), "".join(f"\\u{ord(sign):04x}" for sign in told), *coded]
    return "\n".join(forms).encode(), {f"x-echo-{place}".encode(): value.encode() for place, value in enumerate(fields.values())}


def answer(seen: Seen) -> bytes:
    """As HTTP/1.1 has it; nothing is compressed, whatever is said of it."""
    body, fields = echo(seen)
    way = seen.target.partition("way=")[2].partition("&")[0].replace("%20", " ")
    lines = [b"HTTP/1.1 %d Said" % (500 if way == "failure" else 200)]
    lines += [name + b": " + value for name, value in fields.items()]
    lines.append(b"content-type: " + (b"text/event-stream" if way == "event stream" else b"application/json"))
    if way in UNSEARCHED:
        lines.append(b"content-encoding: " + way.encode())
    if way == "event stream":
        body = b"".join(b"data: " + line + b"\n\n" for line in body.split(b"\n"))
    if way in ("chunked", "event stream"):
        chunks = b"".join(b"1\r\n" + body[at : at + 1] + b"\r\n" for at in range(len(body)))
        trailers = b"".join(name + b": " + value + b"\r\n" for name, value in fields.items())
        return b"\r\n".join([*lines, b"transfer-encoding: chunked", b"", chunks + b"0\r\n" + trailers]) + b"\r\n"
    return b"\r\n".join([*lines, b"content-length: %d" % len(body), b"", body])


class Endpoint:
    """Mints another token each time; at /failing it answers with all it got."""

    def __init__(self) -> None:
        self.got: list[bytes] = []

    def __call__(self, asked: Asked) -> bytes:
        self.got.append(asked.body + json.dumps(asked.headers).encode())
        if not asked.target.startswith("/failing"):
            return reply(minted(asked.target, f"{CANARY}-{len(self.got)}"))
        whole = self.got[-1].decode()
        return reply({"error": whole, "error_description": whole, "error_uri": whole}, 400, f"X-Echo: {quote(whole)}")


class Scene:
    """A gateway with a route to an echo for each kind of credential, and the endpoint it asks."""

    def __init__(self, gateway: House, upstream: Upstream, endpoint: Endpoint, folder: Path) -> None:
        self.gateway = gateway
        self.upstream = upstream
        self.endpoint = endpoint
        self.folder = folder

    async def nothing_written(self, values: set[bytes], log: pytest.LogCaptureFixture) -> None:
        """Neither the trail nor the gateway's log says any of them."""
        await self.gateway.process.flush()
        ours = [record for record in log.records if record.name.startswith("gateway")]
        lines = (self.folder / "audit.jsonl").read_text() + "".join(record.getMessage() + str(record.__dict__) for record in ours)
        assert not [value for value in values | BURIED if value.decode() in lines]


def configured(folder: Path, endpoint: Mint, upstream: dict[str, Any]) -> dict[str, Any]:
    parts = granting.granting(folder, endpoint, {"file": str(folder / "store.db")})
    dial = {"ca": str(folder / "mint-ca.pem"), "allow_private": True}
    made = {kind: {"inject": kind, **credentials(endpoint.url(""), **dial)[kind]} for kind in HEARD}
    made["failing"] = {**made["refresh_token"], "token_url": endpoint.url("/failing")}
    routes = [
        {"name": kind, "match": {"path": f"/{kind}/**"}, "upstream": "own", "credential": kind, "authenticate": ["jwt.corp"]}
        for kind in made
    ]
    return {**parts, "credentials": made, "upstreams": {"own": {**upstream, "internal": True}}, "routes": routes}


@asynccontextmanager
async def echoing(folder: Path, target: dict[str, Any] | None = None) -> AsyncIterator[Scene]:
    endpoint = Endpoint()
    async with Mint(trustme.CA(), endpoint, name="localhost") as serving, Upstream(answer=answer) as upstream:
        plain = {"url": f"http://127.0.0.1:{upstream.port}", "allow_plaintext": True, "allow_private": True}
        async with granting.Drawer(Sqlite(file=folder / "store.db")) as kept:
            await kept.put(granting.a_grant(access=Secret(CANARY.encode()), refresh=Secret(SECRETS["REFRESH"].encode())))
        parts = configured(folder, serving, target or plain)
        async with house(folder, environ={**granting.ENVIRON, **SECRETS}, **parts) as gateway:
            yield Scene(gateway, upstream, endpoint, folder)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with echoing(tmp_path_factory.mktemp("echoing")) as made:
        yield made


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def said(gateway: House, target: str, method: str = "GET") -> bytes:
    """Everything that a client reads, with no borders of chunks in between."""
    reader, writer = await asyncio.open_connection(*gateway.address())
    ring = Ring([LocalKey("k1", Secret(granting.KEY.encode()))], time.time)
    fields = {"Connection": "close, TE", "TE": "trailers", SENT_IN: f"Bearer {await handed_out(ring, time.time())}"}
    writer.write(request_bytes(target, method=method, token=gateway.keys.token(), headers=fields))
    async with asyncio.timeout(60):
        whole = await reader.read()
    writer.close()
    head, _, body = whole.partition(b"\r\n\r\n")
    return head + b"\n" + (b"".join(dechunked(body)) if b"transfer-encoding: chunked" in head.lower() else body)


def dechunked(body: bytes) -> Iterator[bytes]:
    """The content of chunks, and the trailers."""
    while body:
        line, _, body = body.partition(b"\r\n")
        size = int(line, 16)
        yield body[:size] if size else b"\n" + body
        body = body[size + 2 :] if size else b""


def sent(kind: str, seen: Seen) -> set[bytes]:
    fields = [(name.lower().encode(), value.encode()) for name, value in seen.headers]
    return spoken(kind, fields, seen.target.encode())


def searched_for(kind: str, values: set[bytes]) -> set[bytes]:
    """All but signatures, which are not looked for in base64."""
    return {value for value in values if kind not in ONCE or value == CANARY.encode()}


async def test_no_kind_of_credential_comes_back_any_way(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    carried: set[bytes] = set()
    scene.upstream.answer = answer
    for kind in HEARD:
        for way in WAYS:
            given = await said(scene.gateway, f"/{kind}/x?way={quote(way)}", "HEAD" if way == "head" else "GET")
            values = sent(kind, scene.upstream.seen[-1])
            carried |= values
            assert values, (kind, way)
            assert not leaks(searched_for(kind, values), given), (kind, way)
            assert not any(value in given for value in values | BURIED), (kind, way)
            is_withheld = way in UNSEARCHED and kind != "sigv4"
            assert given.startswith(b"HTTP/1.1 403" if is_withheld else b"HTTP/1.1 500" if way == "failure" else b"HTTP/1.1 200")
    await scene.nothing_written(carried, caplog)
    assert CANARY.encode() in carried


async def test_neither_over_http_2(tmp_path: Path) -> None:
    def served(peer: Peer, stream: int, heard: Heard) -> None:
        body, fields = echo(Seen("GET", dict(heard.final)[":path"], heard.final, b""))
        told = [(name.decode(), value.decode()) for name, value in fields.items()]
        peer.head(stream, [(":status", "200"), ("content-type", "text/plain"), *told], end=False)
        for at in range(0, len(body), 997):
            peer.data(stream, body[at : at + 997], end=False)
        peer.head(stream, told)

    async with Http2Server(served) as upstream:
        target = {"url": f"http://127.0.0.1:{upstream.port}", "allow_plaintext": True, "allow_private": True, "http2": True}
        async with echoing(tmp_path, target) as scene:
            for kind in HEARD:
                given = await said(scene.gateway, f"/{kind}/x")
                head = upstream.seen[-1].final
                values = spoken(kind, [(name.encode(), value.encode()) for name, value in head], dict(head)[":path"].encode())
                assert given.startswith(b"HTTP/1.1 200"), kind
                assert not leaks(searched_for(kind, values), given), kind
                assert not any(value in given for value in values | BURIED), kind


@pytest.mark.parametrize("kind", ["client_credentials", "github_app", "grant"])
async def test_after_a_renewal_neither_token_comes_back(kind: str, scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """An upstream that tells with the second answer what was wrong with the first token."""
    caplog.set_level(logging.DEBUG)
    upstream = scene.upstream
    upstream.answer = answer
    assert (await said(scene.gateway, f"/{kind}/x?way=length")).startswith(b"HTTP/1.1 200")
    [first] = sent(kind, upstream.seen[-1])

    def refusing(seen: Seen) -> bytes:
        if sent(kind, seen) == {first}:
            return reply({"was": first.decode()}, 401, f"www-authenticate: Bearer error={first.decode()}")
        [second] = sent(kind, seen)
        return reply({"was": first.decode(), "is": second.decode()}, 200, f"X-Was: {first.decode()}", f"X-Is: {second.decode()}")

    upstream.answer = refusing
    given = await said(scene.gateway, f"/{kind}/x")
    [second] = sent(kind, upstream.seen[-1])
    assert given.startswith(b"HTTP/1.1 200")
    assert second != first
    assert not leaks({first, second}, given)
    assert given.count(b"REDACTED") == 4
    await scene.nothing_written({first, second}, caplog)


async def test_an_error_of_a_token_endpoint_that_repeats_all_it_got_stays_here(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    before = len(scene.upstream.seen)
    given = await said(scene.gateway, "/failing/x")
    assert given.startswith(b"HTTP/1.1 503")
    shown = [whole for whole in scene.endpoint.got if SECRETS["REFRESH"].encode() in whole]
    assert shown
    assert HIDDEN.encode() not in given
    assert len(scene.upstream.seen) == before
    await scene.nothing_written(BURIED, caplog)
