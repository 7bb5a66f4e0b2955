"""WebSockets attacked: at the handshake, in the frames, by those who may no longer, and by who lies, drips or vanishes."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.authn import key_file
from tests.fakes import stored_key
from tests.frames import (
    BINARY,
    CLOSE,
    PING,
    TEXT,
    Answer,
    RawUpstream,
    Side,
    accept_of,
    closing,
    frame,
    handshake,
    status_of,
    switching,
)
from tests.house import POLICY, House, config, house
from tests.standalone import until
from tests.unit.websocket.test_frames import REFUSED

PEPPER = b"a pepper of thirty-two bytes, ok"
BODY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def routes(**websocket: Any) -> list[dict[str, Any]]:
    granted = websocket or True
    return [
        {"name": "open.socket", "match": {"path": "/public/**"}, "upstream": "plain", "anonymous": True, "websocket": granted},
        {
            "name": "socket",
            "match": {"path": "/socket"},
            "upstream": "api",
            "authenticate": ["jwt.corp", "jwt.web", "api_keys"],
            "websocket": granted,
        },
        {"name": "open.http", "match": {"path": "/http"}, "upstream": "plain", "anonymous": True},
    ]


def document(port: int, **over: Any) -> dict[str, Any]:
    base = config(port)
    corp = base["authentication"]["jwt"]["corp"]
    web = {**corp, "issuer": "https://web.example.com/", "from": [{"cookie": "session"}]}
    keys = {"file": "api-keys.yaml", "pepper": {"env": "PEPPER"}}
    made: dict[str, Any] = {
        **base,
        "authentication": {"jwt": {"corp": corp, "web": web}, "api_keys": keys},
        "routes": routes(),
        "listen": {"address": "127.0.0.1:0", "limits": {"body_idle": "200ms"}},
    }
    return made | over


@asynccontextmanager
async def before(folder: Path, answer: Answer = switching, **over: Any) -> AsyncIterator[tuple[House, RawUpstream]]:
    """A gateway in front of a server that is spoken to byte by byte."""
    (folder / "api-keys.yaml").write_text("[]\n")
    async with RawUpstream(answer) as upstream, house(folder, **document(upstream.port, **over), environ=ENVIRON) as gateway:
        gateway.upstream.port = upstream.port
        yield gateway, upstream


ENVIRON = {"PEPPER": PEPPER.decode()}


async def tunnel(gateway: House, upstream: RawUpstream, request: bytes | None = None) -> tuple[Side, Side]:
    """Both ends of a new tunnel: the client's and the upstream's."""
    client = await upstream.asked(gateway.address(), request)
    assert status_of(client.head) == 101, client.head
    return client, await upstream.side()


async def ended(gateway: House, count: int = 1) -> dict[str, Any]:
    """The last event, once there are so many."""
    found: list[dict[str, Any]] = []

    async def written() -> bool:
        found[:] = await gateway.requests()
        return len(found) >= count

    await until(written, "no audit event was written")
    return found[-1]


async def refused(gateway: House, request: bytes) -> tuple[int, str]:
    """Status and reason of a handshake that is refused."""
    reply = await gateway.raw(request)
    return reply.status, reply.json()["type"].rpartition(":")[2]


# The handshake


BROKEN = {
    "version 8": (handshake("/public/x", "Sec-WebSocket-Version: 8"), 426, "upgrade-required"),
    "two versions": (handshake("/public/x", "Sec-WebSocket-Version: 13, 8"), 426, "upgrade-required"),
    "no version": (handshake("/public/x", without="sec-websocket-version"), 426, "upgrade-required"),
    "version twice": (handshake("/public/x", "X: y\r\nSec-WebSocket-Version: 13"), 426, "upgrade-required"),
    "no key": (handshake("/public/x", without="sec-websocket-key"), 400, "malformed-request"),
    "key not padded": (handshake("/public/x", key=b"dGhlIHNhbXBsZSBub25jZQ"), 400, "malformed-request"),
    "key not canonical": (handshake("/public/x", key=b"dGhlIHNhbXBsZSBub25jZR=="), 400, "malformed-request"),
    "key of 17 bytes": (handshake("/public/x", key=b"dGhlIHNhbXBsZSBub25jZSE="), 400, "malformed-request"),
    "key twice": (handshake("/public/x", "X: y\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), 400, "malformed-request"),
    "no connection": (handshake("/public/x", without="connection"), 400, "malformed-request"),
    "connection names other": (handshake("/public/x", "Connection: keep-alive"), 400, "malformed-request"),
    "protocol twice": (handshake("/public/x", "Sec-WebSocket-Protocol: a, a"), 400, "malformed-request"),
    "protocol no token": (handshake("/public/x", "Sec-WebSocket-Protocol: a b"), 400, "malformed-request"),
    "too many protocols": (
        handshake("/public/x", "Sec-WebSocket-Protocol: " + ", ".join(f"p{n}" for n in range(33))),
        400,
        "malformed-request",
    ),
    "POST": (handshake().replace(b"GET", b"POST"), 400, "malformed-request"),
    "a body": (handshake("/public/x", "Content-Length: 4") + b"body", 400, "malformed-request"),
}


async def test_a_handshake_that_breaks_the_rules_reaches_no_upstream(tmp_path: Path) -> None:
    async with before(tmp_path) as (gateway, upstream):
        answered = {name: await refused(gateway, request) for name, (request, _, _) in BROKEN.items()}
        assert answered == {name: (status, reason) for name, (_, status, reason) in BROKEN.items()}
        assert upstream.opened == 0


async def test_a_426_names_the_version_it_wants(tmp_path: Path) -> None:
    async with before(tmp_path) as (gateway, _):
        reply = await gateway.raw(handshake("/public/x", "Sec-WebSocket-Version: 14"))
        assert (reply["sec-websocket-version"], reply["upgrade"]) == ("13", "websocket")


@pytest.mark.parametrize(
    "request_bytes",
    [
        handshake("/http"),
        handshake("/public/x", "Upgrade: h2c"),
        handshake("/public/x", without="upgrade"),
        handshake().replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
    ids=["a route that takes none", "another protocol", "no upgrade", "HTTP/1.0"],
)
async def test_what_asks_for_no_websocket_is_an_ordinary_request(tmp_path: Path, request_bytes: bytes) -> None:
    async with house(tmp_path, **document(1), environ=ENVIRON) as gateway:
        gateway.write(document(gateway.upstream.port))
        (tmp_path / "api-keys.yaml").write_text("[]\n")
        assert await gateway.process.reload()
        assert (await gateway.raw(request_bytes)).status == 200
        [seen] = gateway.upstream.seen
        assert not {"upgrade", "connection"} & seen.names


async def test_the_answer_accepts_the_clients_key_and_the_upstream_is_asked_with_another(tmp_path: Path) -> None:
    async with before(tmp_path) as (gateway, upstream):
        client, server = await tunnel(gateway, upstream)
        assert b"\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in client.head
        assert b"\r\nconnection: Upgrade\r\nupgrade: websocket\r\n" in client.head
        assert b"dGhlIHNhbXBsZSBub25jZQ==" not in server.head
        assert server.head.lower().count(b"\r\nsec-websocket-") == 2
        assert b"\r\nx-request-id: " in client.head.lower()


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://gw.test", 101),
        ("HTTP://GW.test", 101),
        ("https://app.example.com", 101),
        ("https://a.tools.example.com", 101),
        ("https://evil.test", 403),
        ("https://gw.test", 403),
        ("http://gw.test:8080", 403),
        ("http://gw.test.evil.test", 403),
        ("null", 403),
        ("", 403),
    ],
)
async def test_cross_site_hijacking_a_page_of_another_origin_gets_no_socket(tmp_path: Path, origin: str, status: int) -> None:
    granted = routes(origins=["https://app.example.com", "https://*.tools.example.com"])
    async with before(tmp_path, routes=granted) as (gateway, upstream):
        client = await upstream.asked(gateway.address(), handshake("/public/x", f"Origin: {origin}"))
        assert status_of(client.head) == status
        assert upstream.opened == (status == 101)
        client.close()


@pytest.mark.parametrize(
    ("lines", "status"),
    [([], 403), (["Origin: http://gw.test"], 101), (["Origin: https://evil.test"], 403), (["Sec-Fetch-Site: cross-site"], 403)],
    ids=["no origin", "own origin", "another origin", "no origin and cross-site"],
)
async def test_cross_site_hijacking_a_cookie_opens_no_socket_without_a_proof_of_origin(
    tmp_path: Path, lines: list[str], status: int
) -> None:
    async with before(tmp_path) as (gateway, upstream):
        token = gateway.keys.token(iss="https://web.example.com/")
        policy = POLICY.replace("subject.issuer != 'anonymous'", "true").replace('permission: "things:use", ', "")
        (tmp_path / "policies" / "policy.yaml").write_text(policy)
        assert await gateway.process.reload()
        client = await upstream.asked(gateway.address(), handshake("/socket", f"Cookie: session={token}; a=b", *lines))
        assert status_of(client.head) == status
        if status == 101:
            server = await upstream.side()
            assert token.encode() not in server.head
            assert b"canary-upstream-token" in server.head
        client.close()


async def test_cve_2025_64763_bytes_before_the_101_reach_no_upstream_and_end_the_connection(tmp_path: Path) -> None:
    async with before(tmp_path) as (gateway, upstream):
        client = await upstream.asked(gateway.address(), handshake() + frame(b"early", kind=TEXT))
        assert status_of(client.head) == 400
        assert b"HTTP/1.1" not in await client.rest()
        server = await upstream.side()
        assert await server.rest() == b""
        assert (await ended(gateway))["detail"].startswith("websocket: bytes before the handshake was answered")


async def test_bytes_that_come_while_the_upstream_thinks_are_refused_too(tmp_path: Path) -> None:
    thinking: list[bytes] = []

    def answer(key: bytes) -> bytes:
        thinking.append(key)
        return b""

    async with before(tmp_path, answer) as (gateway, upstream):
        client = await upstream.connected(gateway.address())
        await client.send(handshake())
        server = await upstream.side()
        await client.send(frame(b"early", kind=TEXT))
        await asyncio.sleep(0.05)
        await server.send(switching(thinking[0]))
        assert (await client.rest()).startswith(b"HTTP/1.1 400 ")
        assert await server.rest() == b""


# The upstream's answer


LIES: dict[str, Answer] = {
    "no accept": lambda key: switching(key, without=b"sec-websocket-accept"),
    "accept of the client's key": lambda key: switching(key, b"Sec-WebSocket-Accept: " + accept_of(b"dGhlIHNhbXBsZSBub25jZQ==")),
    "accept twice": lambda key: switching(key, b"X: y\r\nSec-WebSocket-Accept: " + accept_of(key)),
    "no upgrade": lambda key: switching(key, without=b"upgrade"),
    "upgrade to something else": lambda key: switching(key, b"Upgrade: h2c"),
    "no connection": lambda key: switching(key, without=b"connection"),
    "connection close": lambda key: switching(key, b"Connection: close"),
    "a subprotocol not offered": lambda key: switching(key, b"Sec-WebSocket-Protocol: chat"),
    "an extension": lambda key: switching(key, b"Sec-WebSocket-Extensions: permessage-deflate"),
    "a length": lambda key: switching(key, b"Content-Length: 5"),
    "a coding": lambda key: switching(key, b"Transfer-Encoding: chunked"),
    "bare LF in a line": lambda key: switching(key, b"X: a\nSet-Cookie: b"),
    "folded": lambda key: switching(key, b" folded: x"),
    "too many fields": lambda key: switching(key, *[b"X-%d: y" % number for number in range(300)]),
    "HTTP/1.0": lambda key: switching(key).replace(b"HTTP/1.1 101", b"HTTP/1.0 101"),
    "status 099": lambda key: switching(key).replace(b"HTTP/1.1 101", b"HTTP/1.1 099"),
    "bytes before the head": lambda key: b"\x81\x02hi" + switching(key),
    "bare LF everywhere": lambda key: switching(key).replace(b"\r\n", b"\n"),
}


async def test_a_101_that_does_not_accept_is_a_502_and_thrown_away(tmp_path: Path) -> None:
    answered = {}
    async with before(tmp_path) as (gateway, upstream):
        for name, upstream.answer in LIES.items():
            answered[name] = await refused(gateway, handshake())
            assert await (await upstream.side()).rest() == b""
        assert answered == dict.fromkeys(LIES, (502, "upstream-protocol"))
        assert gateway.process.resources.status()["websockets"] == {}


async def test_a_101_nobody_asked_for_is_a_502(tmp_path: Path) -> None:
    async with house(tmp_path) as gateway:
        gateway.upstream.answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x02hi"
        assert (await gateway.get("/public/x")).status == 502


@pytest.mark.parametrize(
    "answer",
    [
        BODY,
        b"HTTP/1.1 100 Continue\r\n\r\n" + BODY,
        b"HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 7\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 403 Forbidden\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n\r\nok",
    ],
    ids=["200", "100 and 200", "426 in chunks", "403 until the end"],
)
async def test_any_other_answer_is_an_ordinary_one(tmp_path: Path, answer: bytes) -> None:
    async with before(tmp_path, lambda _: answer) as (gateway, upstream):
        asked = asyncio.create_task(gateway.raw(handshake()))
        server = await upstream.side()
        if answer.endswith(b"close\r\n\r\nok"):
            server.close()
        reply = await asked
        assert (reply.status, reply.body) == (int(answer.rpartition(b"HTTP/1.1 ")[2][:3]), b"ok")
        assert reply.get("upgrade") is None
        assert gateway.process.resources.status()["websockets"] == {}


async def test_interim_answers_before_the_101_are_passed_over_and_frames_right_behind_it_are_not_lost(tmp_path: Path) -> None:
    def answer(key: bytes) -> bytes:
        return b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + switching(key) + frame(b"hello", kind=TEXT, masked=False)

    async with before(tmp_path, answer) as (gateway, upstream):
        client, server = await tunnel(gateway, upstream)
        assert (await client.frame()).payload == b"hello"
        await client.send(frame(b"there", kind=TEXT))
        assert (await server.frame()).payload == b"there"


async def test_an_upstream_that_does_not_answer_the_handshake_is_a_504(tmp_path: Path) -> None:
    slow = [{**route, "timeouts": {"response": "200ms"}} for route in routes()]
    async with before(tmp_path, lambda _: b"", routes=slow) as (gateway, upstream):
        assert await refused(gateway, handshake()) == (504, "upstream-timeout")
        assert await (await upstream.side()).rest() == b""


async def test_an_upstream_gone_with_its_101_is_told_as_1011(tmp_path: Path) -> None:
    async with before(tmp_path, lambda key: switching(key) + frame(b"last", masked=False)) as (gateway, upstream):
        client = await upstream.connected(gateway.address())
        await client.send(handshake())
        (await upstream.side()).close()
        await client.reader.readuntil(b"\r\n\r\n")
        assert (await client.frame()).payload == b"last"
        assert (await client.frame()).code == 1011


# The frames


SOME = (
    "reserved bit 1",
    "opcode 3",
    "not masked",
    "fragments over the limit",
    "close 1005",
    "close whose reason is no UTF-8",
    "text that is not UTF-8: surrogate",
    "a character that the end of the message cuts",
)


@pytest.mark.parametrize(("data", "code"), [REFUSED[name] for name in SOME], ids=SOME)
async def test_a_client_that_breaks_the_protocol_is_closed_and_the_upstream_told(tmp_path: Path, data: bytes, code: int) -> None:
    async with before(tmp_path, routes=routes(max_message=1000)) as (gateway, upstream):
        client, server = await tunnel(gateway, upstream)
        await client.send(frame(b"before", kind=TEXT), data)
        told = await client.frame()
        assert (told.kind, told.code, told.masked) == (CLOSE, code, False)
        received = [await server.frame()]
        while received[-1].kind != CLOSE:
            received.append(await server.frame())
        assert (received[0].payload, received[-1].code) == (b"before", code)
        assert all(each.masked for each in received)
        client.close()
        server.close()
        assert (await ended(gateway))["detail"].startswith(f"websocket {code} by the gateway: the client: ")


SERVER = {
    "masked": (frame(b"a"), 1002),
    "reserved bit": (frame(b"a", reserved=4, masked=False), 1002),
    "opcode 3": (frame(kind=3, masked=False), 1002),
    "long ping": (frame(b"x" * 126, kind=PING, masked=False), 1002),
    "message over the limit": (frame(length=1001, masked=False), 1009),
    "close 1005": (closing(1005, masked=False), 1002),
    "text that is not UTF-8": (frame(b"caf\xe9", kind=TEXT, masked=False), 1007),
    "HTTP": (BODY, 1002),
}


@pytest.mark.parametrize(("data", "code"), SERVER.values(), ids=SERVER.keys())
async def test_an_upstream_that_breaks_the_protocol_is_closed_and_the_client_told(tmp_path: Path, data: bytes, code: int) -> None:
    async with before(tmp_path, routes=routes(max_message=1000)) as (gateway, upstream):
        client, server = await tunnel(gateway, upstream)
        await server.send(frame(b"before", kind=TEXT, masked=False), data)
        assert (await client.frame()).payload == b"before"
        assert (await client.frame()).code == code
        assert (await server.frame()).code == code
        client.close()
        server.close()
        assert (await ended(gateway))["detail"].startswith(f"websocket {code} by the gateway: the upstream: ")


async def test_an_end_in_the_middle_of_a_frame_is_cut_off_and_never_sees_a_close_as_payload(tmp_path: Path) -> None:
    async with before(tmp_path) as (gateway, upstream):
        client, server = await tunnel(gateway, upstream)
        await client.send(frame(b"x" * 100, length=200))
        assert len(await server.reader.readexactly(8)) == 8
        await server.send(frame(reserved=1, masked=False))
        assert (await client.frame()).code == 1002
        assert len(await server.rest()) == 100


async def test_frames_pass_byte_for_byte_in_both_directions(tmp_path: Path) -> None:
    async with before(tmp_path) as (gateway, upstream):
        client, server = await tunnel(gateway, upstream)
        there = frame(b"a", kind=TEXT, final=False) + frame(b"?", kind=PING) + frame(b"b" * 70_000, kind=0) + closing(4000, b"done")
        await client.send(there)
        assert await server.reader.readexactly(len(there)) == there
        back = frame(b"a" * 300, masked=False) + closing(4000, masked=False)
        await server.send(back)
        assert await client.rest() == back
        assert await server.rest() == b""
        event = await ended(gateway)
        assert (event["bytes_in"], event["bytes_out"], event["detail"]) == (len(there), len(back), "websocket 4000 by the client")


async def test_the_trail_tells_of_a_tunnel_as_it_opens_and_when_it_is_over(tmp_path: Path) -> None:
    async with before(tmp_path) as (gateway, upstream):
        client, server = await tunnel(gateway, upstream, bearing(gateway, "alice"))
        [told] = [event for event in await gateway.events() if event["event"] == "websocket.opened"]
        assert (told["subject"], told["route"], told["upstream"], told["credential"]) == ("alice", "socket", "api", "bot")
        assert await gateway.requests() == []
        client.close()
        server.close()
        assert (await ended(gateway))["request_id"] == told["request_id"]


async def test_what_comes_behind_a_close_goes_nowhere(tmp_path: Path) -> None:
    async with before(tmp_path) as (gateway, upstream):
        client, server = await tunnel(gateway, upstream)
        await client.send(closing(1000) + frame(b"more", kind=TEXT))
        await client.send(b"GET /public/x HTTP/1.1\r\nHost: gw.test\r\n\r\n")
        assert (await server.frame()).code == 1000
        await server.send(closing(1000, masked=False))
        assert await server.rest() == b""
        assert (await client.frame()).code == 1000
        assert await client.rest() == b""
        assert len(await gateway.requests()) == 1


async def test_row_139_a_frame_that_drips_is_closed(tmp_path: Path) -> None:
    async with before(tmp_path, routes=routes(idle_timeout="500ms")) as (gateway, upstream):
        client, server = await tunnel(gateway, upstream)
        await client.send(frame(length=1000)[:-4] + b"\0\0\0\0")

        async def drip() -> None:
            while True:
                await client.send(b"x")
                await asyncio.sleep(0.05)

        async def chatter() -> None:
            """An upstream that keeps the tunnel busy does not make the client's frame any better."""
            while True:
                await server.send(frame(b"news", kind=TEXT, masked=False))
                await asyncio.sleep(0.05)

        tasks = [asyncio.create_task(drip()), asyncio.create_task(chatter())]
        try:
            seen = await client.frame()
            while seen.kind != CLOSE:
                seen = await client.frame()
            assert seen.code == 1008
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        client.close()
        assert (await ended(gateway))["detail"] == "websocket 1008 by the gateway: the client is stuck"


async def test_row_139_a_header_that_never_ends_is_closed(tmp_path: Path) -> None:
    async with before(tmp_path, routes=routes(idle_timeout="300ms")) as (gateway, upstream):
        client, server = await tunnel(gateway, upstream)
        await client.send(frame(b"x" * 100)[:3])
        assert (await client.frame()).kind == CLOSE
        assert (await server.frame()).kind == CLOSE


async def test_row_140_an_unfinished_gigabyte_is_refused_at_its_header(tmp_path: Path) -> None:
    async with before(tmp_path) as (gateway, upstream):
        client, server = await tunnel(gateway, upstream)
        await client.send(frame(b"x" * 1000, length=1 << 30))
        assert (await client.frame()).code == 1009
        assert (await server.frame()).code == 1009
        client.close()
        server.close()
        assert (await ended(gateway))["bytes_out"] == 4


async def test_who_reads_nothing_and_goes_on_sending_is_cut_off(tmp_path: Path) -> None:
    async with before(tmp_path, routes=routes(idle_timeout="500ms")) as (gateway, upstream):
        client, server = await tunnel(gateway, upstream)

        async def flood() -> None:
            while True:
                await server.send(frame(b"x" * 60_000, masked=False))

        async def ping() -> None:
            while True:
                await client.send(frame(kind=PING))
                await asyncio.sleep(0.05)

        cast("asyncio.Transport", client.writer.transport).pause_reading()  # a client that reads nothing
        tasks = [asyncio.create_task(flood()), asyncio.create_task(ping())]
        event = await ended(gateway)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert event["detail"] == "websocket 1008 by the gateway: the client is stuck"


# Who may no longer


async def test_row_108_a_revoked_key_ends_its_tunnel_with_1008(tmp_path: Path) -> None:
    path = tmp_path / "api-keys.yaml"
    async with before(tmp_path) as (gateway, upstream):
        key, entry = stored_key(path, PEPPER, now=0, name="a", subject="svc", permissions=["things:use"])
        kept, _ = stored_key(path, PEPPER, now=0, name="b", subject="svc", permissions=["things:use"])
        assert await gateway.process.reload()
        [(_, authentication)] = gateway.process.resources.authentication
        await until(lambda: _loaded(authentication, 2), "the keys were not read")
        client, server = await tunnel(gateway, upstream, handshake("/socket", f"X-Api-Key: {key}"))
        other, _ = await tunnel(gateway, upstream, handshake("/socket", f"X-Api-Key: {kept}"))
        key_file.revoke(path, entry.id, now=1)
        assert (await client.frame()).code == 1008
        assert (await server.frame()).code == 1008
        await other.send(frame(b"still here", kind=TEXT))
        client.close()
        server.close()
        event = await ended(gateway)
        assert (event["error"], event["subject"]) == ("credential-invalid", "svc")
        assert event["detail"].startswith("websocket 1008 by the gateway")


async def _loaded(authentication: Any, count: int) -> bool:
    return bool(authentication.status()["api_keys"]["keys"] == count)


async def test_row_108_a_policy_that_no_longer_allows_it_ends_the_tunnel_with_1008(tmp_path: Path) -> None:
    async with before(tmp_path) as (gateway, upstream):
        alice, server = await tunnel(gateway, upstream, bearing(gateway, "alice"))
        bob, _ = await tunnel(gateway, upstream, bearing(gateway, "bob"))
        policy = POLICY.replace("subject.issuer != 'anonymous'", "subject.id != 'alice'")
        (tmp_path / "policies" / "policy.yaml").write_text(policy)
        assert await gateway.process.reload()
        assert (await alice.frame()).code == 1008
        assert (await server.frame()).code == 1008
        await bob.send(frame(b"hello", kind=TEXT))
        alice.close()
        server.close()
        assert (await ended(gateway))["error"] == "policy-denied"


def bearing(gateway: House, subject: str, **claims: Any) -> bytes:
    return handshake("/socket", f"Authorization: Bearer {gateway.keys.token(subject, **claims)}")


@pytest.mark.parametrize("change", ["gone", "no websocket", "another credential", "other keys"])
async def test_a_reload_that_takes_the_grounds_away_ends_the_tunnel_with_1008(tmp_path: Path, change: str) -> None:
    async with before(tmp_path) as (gateway, upstream):
        client, _ = await tunnel(gateway, upstream, bearing(gateway, "alice"))
        changed = document(upstream.port)
        route = changed["routes"][1]
        if change == "gone":
            changed["routes"].remove(route)
        elif change == "no websocket":
            del route["websocket"]
        elif change == "another credential":
            changed["credentials"]["other"] = {"inject": "bearer", "secret": {"env": "UPSTREAM_TOKEN"}}
            route["credential"] = "other"
        else:
            keys = json.loads((tmp_path / "jwks.json").read_text())
            (tmp_path / "other.json").write_text(json.dumps({"keys": [{**keys["keys"][0], "kid": "other"}]}))
            changed["authentication"]["jwt"]["corp"]["jwks"] = {"file": "other.json"}
        gateway.write(changed)
        assert await gateway.process.reload(), gateway.process.reload.last_error
        assert (await client.frame()).code == 1008


async def test_a_reload_that_changes_nothing_for_it_leaves_a_tunnel_alone(tmp_path: Path) -> None:
    async with before(tmp_path) as (gateway, upstream):
        client, server = await tunnel(gateway, upstream, bearing(gateway, "alice"))
        changed = document(upstream.port)
        changed["routes"].append({"name": "open.new", "match": {"path": "/new"}, "upstream": "plain", "anonymous": True})
        gateway.write(changed)
        assert await gateway.process.reload()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.5):  # longer than a tick, within which it would have been judged
                await client.reader.read(1)
        await client.send(frame(b"here", kind=BINARY))
        assert (await server.frame()).payload == b"here"


async def test_a_token_that_expires_ends_its_tunnel_with_1008(tmp_path: Path) -> None:
    corp = document(1)["authentication"]["jwt"]["corp"]
    sharp: dict[str, Any] = {"authentication": {"jwt": {"corp": {**corp, "leeway": "0s"}}}}
    granted = [{**route, "authenticate": ["jwt.corp"]} if "authenticate" in route else route for route in routes()]
    async with before(tmp_path, **sharp, routes=granted) as (gateway, upstream):
        client, _ = await tunnel(gateway, upstream, bearing(gateway, "alice", exp=int(time.time()) + 3))
        assert (await client.frame()).code == 1008
        client.close()
        assert (await ended(gateway))["error"] == "credential-expired"


# How many


async def test_a_route_and_a_principal_have_only_so_many_tunnels(tmp_path: Path) -> None:
    async with before(tmp_path, routes=routes(connections=3, per_principal=2)) as (gateway, upstream):
        mine = [await tunnel(gateway, upstream, bearing(gateway, "alice")) for _ in range(2)]
        assert await refused(gateway, bearing(gateway, "alice")) == (503, "overloaded")
        await tunnel(gateway, upstream, bearing(gateway, "bob"))
        assert await refused(gateway, bearing(gateway, "carol")) == (503, "overloaded")
        assert gateway.process.resources.status()["websockets"] == {"socket": 3}
        assert b'gateway_websocket_open{route="socket"} 3' in gateway.process.telemetry.metrics.render()
        for side in mine[0]:
            side.close()

        async def freed() -> bool:
            return bool(gateway.process.resources.status()["websockets"] == {"socket": 2})

        await until(freed, "the place was not freed")
        await tunnel(gateway, upstream, bearing(gateway, "alice"))


async def test_a_tunnel_takes_no_place_among_the_upstreams_connections(tmp_path: Path) -> None:
    target = {"url": "", "allow_plaintext": True, "allow_private": True, "connections": 1}
    async with RawUpstream() as upstream:
        target["url"] = f"http://127.0.0.1:{upstream.port}"
        (tmp_path / "api-keys.yaml").write_text("[]\n")
        over = document(upstream.port, upstreams={"plain": target, "api": {**target, "credential": "bot"}})
        async with house(tmp_path, **over, environ=ENVIRON) as gateway:
            ends = [await tunnel(gateway, upstream) for _ in range(3)]
            assert gateway.process.resources.status()["upstreams"]["plain"]["connections"] == 0
            for client, server in ends:
                await client.send(frame(b"x"))
                assert (await server.frame()).payload == b"x"
