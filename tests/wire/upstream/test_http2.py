"""Upstreams that speak HTTP/2: what reaches them, what comes back, what is sent again, and what of an answer is refused."""

import asyncio
import gc
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from gateway.core.errors import UpstreamUnreachable
from gateway.upstream.h2.session import Session
from gateway.upstream.model import RouteTimeouts
from tests.house import UPSTREAM_TOKEN, House, house, request_bytes
from tests.http2peer import (
    CANCEL,
    DATA,
    END_HEADERS,
    GOAWAY,
    HEADERS,
    INTERNAL_ERROR,
    MAX_CONCURRENT_STREAMS,
    PING,
    PUSH_PROMISE,
    REFUSED_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Heard,
    Http2Server,
    Peer,
    ask,
    framed,
    number,
    peer,
    saying,
    setting,
)
from tests.scripted import outbound
from tests.scripted import upstream as scripted_upstream

LISTEN: dict[str, Any] = {"address": "127.0.0.1:0", "http2": True}


@asynccontextmanager
async def between(folder: Path, upstream: Http2Server, over: dict[str, Any] | None = None, **more: Any) -> AsyncIterator[House]:
    """A gateway before that upstream, reached by both protocols."""
    target = {"url": f"http://127.0.0.1:{upstream.port}", "http2": True, **(over or {})}
    target["timeouts"] = {"connect": "10s", **target.get("timeouts", {})}
    async with house(folder, upstream=target, listen=LISTEN, **more) as home:
        yield home


def fields(heard: Heard) -> dict[str, str]:
    return dict(heard.heads[0])


# What goes there


async def test_a_client_of_http_1_1_is_served_by_an_upstream_of_http_2(tmp_path: Path) -> None:
    async with Http2Server(saying(b"hello", ("content-type", "text/plain"))) as upstream, between(tmp_path, upstream) as home:
        reply = await home.get("/public/x?y=1", headers={"Accept": "*/*", "TE": "trailers", "Connection": "close, TE"})
        assert (reply.status, reply.body, reply["content-type"]) == (200, b"hello", "text/plain")
        reply = await home.get("/public/x", method="POST", body=b"12345")
        assert reply.status == 200
    first, second = upstream.seen
    said = fields(first)
    assert (said[":method"], said[":scheme"], said[":path"]) == ("GET", "http", "/public/x?y=1")
    assert said[":authority"] == f"127.0.0.1:{upstream.port}"
    assert said["accept"] == "*/*"
    assert not {"host", "te", "connection", "transfer-encoding", "content-length"} & said.keys()
    assert (fields(second)["content-length"], second.body) == ("5", b"12345")
    assert len(upstream.peers) == 1


async def test_the_same_request_is_forwarded_whichever_protocol_it_came_by(tmp_path: Path) -> None:
    """One reading: differential over both fronts."""
    async with Http2Server(saying()) as upstream, between(tmp_path, upstream) as home, peer(home.address()) as client:
        token = home.keys.token()
        more = {"accept": "a/b", "authorization": f"Bearer {token}", "cookie": "a=1; b=2", "x-forwarded-for": "1.2.3.4"}
        for method, body in (("GET", b""), ("POST", b"body"), ("PUT", b""), ("DELETE", b""), ("PATCH", b"x")):
            assert (await home.get("/admin/a%2Db?q=1", method=method, headers=more, body=body)).status == 200
            asked = [*ask("/admin/a%2Db?q=1", method=method), *more.items()]
            asked += [("content-length", str(len(body)))] if body else []
            stream = max([-1, *client.streams]) + 2
            assert (await client.ask(stream, asked, body or None)).status == 200
    for one, other in zip(upstream.seen[::2], upstream.seen[1::2], strict=True):
        differ = {name for name, value in fields(one).items() if fields(other).get(name) != value}
        assert differ == {"x-request-id", "via"}
        assert (fields(one)["via"], fields(other)["via"]) == ("1.1 gateway", "2 gateway")
        assert fields(one).keys() == fields(other).keys()
        assert one.body == other.body
        assert fields(one)["authorization"] == f"Bearer {UPSTREAM_TOKEN}"


async def test_te_trailers_of_an_http_2_client_goes_upstream(tmp_path: Path) -> None:
    async with Http2Server(saying()) as upstream, between(tmp_path, upstream) as home, peer(home.address()) as client:
        await client.ask(1, ask("/public/x", ("te", "trailers")))
    assert fields(upstream.seen[0])["te"] == "trailers"


async def test_a_body_of_unknown_length_is_passed_on_piece_by_piece(tmp_path: Path) -> None:
    async with Http2Server(saying()) as upstream, between(tmp_path, upstream) as home:
        chunked = (
            b"POST /public/x HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n3\r\nefg\r\n0\r\n\r\n"
        )
        assert (await home.raw(chunked, method="POST")).status == 200
    assert upstream.seen[0].body == b"abcdefg"
    assert "content-length" not in fields(upstream.seen[0])


# What comes back


def trailing(*trailers: tuple[str, str]) -> Any:
    def answer(served: Peer, stream: int, heard: Heard) -> None:
        served.head(stream, [(":status", "200")], end=False)
        served.data(stream, b"body", end=False)
        served.head(stream, trailers)

    return answer


async def test_trailers_go_to_clients_of_http_2_only_and_not_all_of_them(tmp_path: Path) -> None:
    trailers = [
        ("grpc-status", "0"),
        ("x-own", f"token {UPSTREAM_TOKEN}"),
        ("set-cookie", "a=b"),
        ("access-control-allow-origin", "*"),
        ("location", "https://evil"),
        ("x_gateway.subject", "root"),
        ("content-length", "1"),
        ("x-request-id", "forged"),
        ("strict-transport-security", "max-age=0"),
    ]
    async with Http2Server(trailing(*trailers)) as upstream, between(tmp_path, upstream) as home, peer(home.address()) as client:
        token = home.keys.token()
        heard = await client.ask(1, ask("/admin/x", ("authorization", f"Bearer {token}")))
        assert (heard.body, heard.trailers) == (b"body", [("grpc-status", "0"), ("x-own", "token REDACTED")])
        reply = await home.get("/admin/x", token=token)
        assert (reply.status, reply.body) == (200, b"body")
        assert reply.get("grpc-status") is None


async def test_an_answer_begins_while_the_request_is_still_coming(tmp_path: Path) -> None:
    def answer(served: Peer, stream: int, heard: Heard) -> None:
        served.head(stream, [(":status", "200")], end=False)
        served.data(stream, b"early", end=False)

    async with Http2Server(answer, early=True) as upstream, between(tmp_path, upstream) as home, peer(home.address()) as client:
        client.head(1, ask("/public/x", method="POST"), end=False)
        await client.until(lambda: 1 in client.streams and client.streams[1].body == b"early")
        client.data(1, b"late", end=False)
        (served,) = upstream.peers
        await served.until(lambda: upstream.seen[0].body == b"late")
        served.data(1, b" and more")
        heard = await client.answer(1)
        assert (heard.body, heard.ended) == (b"early and more", True)
        await served.until(lambda: upstream.seen[0].reset is not None)


@pytest.mark.parametrize(("status", "method"), [(204, "GET"), (304, "GET"), (200, "HEAD")])
async def test_answers_without_a_body(tmp_path: Path, status: int, method: str) -> None:
    async with Http2Server(saying(b"", status=status)) as upstream, between(tmp_path, upstream) as home:
        assert (await home.get("/public/x", method=method)).status == status


async def test_interim_answers_are_passed_on(tmp_path: Path) -> None:
    def answer(served: Peer, stream: int, heard: Heard) -> None:
        served.head(stream, [(":status", "100")], end=False)
        served.head(stream, [(":status", "103"), ("link", "</a>"), ("x", "y")], end=False)
        saying()(served, stream, heard)

    async with Http2Server(answer) as upstream, between(tmp_path, upstream) as home, peer(home.address()) as client:
        heard = await client.ask(1, ask("/public/x"))
        assert heard.heads[0] == [(":status", "103"), ("link", "</a>")]
        assert (heard.status, len(heard.heads)) == (200, 2)


async def test_an_upstream_is_not_read_faster_than_its_client_reads(tmp_path: Path) -> None:
    def answer(served: Peer, stream: int, heard: Heard) -> None:
        served.head(stream, [(":status", "200")], end=False)
        for _ in range(4):
            served.data(stream, bytes(16000), end=False)

    async with Http2Server(answer) as upstream, between(tmp_path, upstream) as home:
        async with peer(home.address(), polite=False, settings=setting(4, 0)) as client:
            client.head(1, ask("/public/x"))
            await client.until(lambda: 1 in client.streams and client.streams[1].heads)
            (served,) = upstream.peers
            served.send(PING, 0, 0, bytes(8))
            await served.until(lambda: served.pongs)
            given = sum(int.from_bytes(frame[3], "big") for frame in served.frames if frame[0] == WINDOW_UPDATE and frame[2] == 1)
            assert given <= 64_000, "at most what is held for the client is asked for again"


BAD: dict[str, list[bytes] | list[list[tuple[str, str]]]] = {
    "no-status": [[("x", "y")]],
    "status-twice": [[(":status", "200"), (":status", "200")]],
    "status-not-first": [[("x", "y"), (":status", "200")]],
    "status-odd": [[(":status", "20")]],
    "status-word": [[(":status", "abc")]],
    "status-101": [[(":status", "101")]],
    "a-path": [[(":status", "200"), (":path", "/")]],
    "name-upper-case": [[(":status", "200"), ("X-Upper", "1")]],
    "value-crlf": [[(":status", "200"), ("x", "1\r\nset-cookie: a=b")]],
    "connection": [[(":status", "200"), ("connection", "close")]],
    "transfer-encoding": [[(":status", "200"), ("transfer-encoding", "chunked")]],
    "length-twice": [[(":status", "200"), ("content-length", "0"), ("content-length", "0")]],
    "length-not-a-number": [[(":status", "200"), ("content-length", "+1")]],
    "length-and-no-body": [[(":status", "200"), ("content-length", "5")]],
    "many-fields": [[(":status", "200"), *((f"x-{n}", "1") for n in range(300))]],
}


@pytest.mark.parametrize("what", BAD)
async def test_a_malformed_answer_is_502_and_its_stream_is_reset(tmp_path: Path, what: str) -> None:
    def answer(served: Peer, stream: int, heard: Heard) -> None:
        if fields(heard)[":path"] == "/public/bad":
            for head in BAD[what]:
                served.head(stream, [(a, b) for a, b in head])  # type: ignore[misc]
        else:
            saying()(served, stream, heard)

    async with Http2Server(answer) as upstream, between(tmp_path, upstream) as home:
        reply = await home.get("/public/bad", method="POST")
        assert (reply.status, reply.json()["type"]) == (502, "urn:latchgate:problem:upstream-protocol")
        assert (await home.get("/public/good")).status == 200
        assert len(upstream.peers) == 1


@pytest.mark.parametrize(
    "frames",
    [
        [framed(DATA, 0, 1, b"before the head")],
        [framed(HEADERS, END_HEADERS, 1, b"\x88"), framed(DATA, 1, 1, b"x"), framed(DATA, 1, 1, b"y")],
        [framed(PUSH_PROMISE, END_HEADERS, 1, number(2) + b"\x82")],
        [framed(HEADERS, END_HEADERS, 2, b"\x88")],
        [framed(SETTINGS, 0, 0, setting(2, 1))],
        [framed(PING, 0, 0, bytes(8)) * 3000],
        [framed(HEADERS, 0, 1, b"\x88"), framed(9, 0, 1, b"") * 100],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"],
        [framed(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff")],
    ],
)
async def test_an_upstream_that_breaks_the_protocol_loses_its_connection(tmp_path: Path, frames: list[bytes]) -> None:
    broken: list[bool] = []

    def answer(served: Peer, stream: int, heard: Heard) -> None:
        if broken:
            saying()(served, stream, heard)
        else:
            broken.append(True)
            for frame in frames:
                served.write(frame)

    async with Http2Server(answer) as upstream, between(tmp_path, upstream) as home:
        reply = await home.get("/public/x", method="POST")
        assert reply.status in (200, 502)
        assert (await home.get("/public/x")).status == 200


@pytest.mark.parametrize("extra", [b"123456", b"1234"], ids=["longer", "shorter"])
async def test_a_body_of_another_length_than_announced_is_seen_to_be_broken(tmp_path: Path, extra: bytes) -> None:
    async with Http2Server(saying(extra, ("content-length", "5"))) as upstream, between(tmp_path, upstream) as home:
        async with peer(home.address()) as client:
            heard = await client.ask(1, ask("/public/x"))
            assert heard.reset is not None or heard.status == 502
            assert not (heard.ended and heard.body == extra)


# What is sent again, and what is not


def refusing(code: int, times: int = 1) -> Any:
    """Resets the first streams, answers the others."""
    refused: list[int] = []

    def answer(served: Peer, stream: int, heard: Heard) -> None:
        if len(refused) < times:
            refused.append(stream)
            served.reset(stream, code)
        else:
            saying()(served, stream, heard)

    return answer


@pytest.mark.parametrize(
    ("code", "method", "body", "status"),
    [
        (REFUSED_STREAM, "POST", b"whole", 200),
        (REFUSED_STREAM, "GET", b"", 200),
        (INTERNAL_ERROR, "GET", b"", 200),
        (INTERNAL_ERROR, "POST", b"whole", 502),
        (CANCEL, "POST", b"whole", 502),
    ],
)
async def test_only_what_was_surely_not_done_or_is_the_same_twice_is_sent_again(
    tmp_path: Path, code: int, method: str, body: bytes, status: int
) -> None:
    async with Http2Server(refusing(code)) as upstream, between(tmp_path, upstream) as home:
        assert (await home.get("/public/x", method=method, body=body)).status == status
    assert [heard.body for heard in upstream.seen] == [body] * (2 if status == 200 else 1)


async def test_a_refusal_is_not_repeated_for_ever(tmp_path: Path) -> None:
    async with Http2Server(refusing(REFUSED_STREAM, times=100)) as upstream, between(tmp_path, upstream) as home:
        assert (await home.get("/public/x")).status == 502
    assert len(upstream.seen) == 2


async def test_a_request_the_upstream_went_away_from_goes_to_another_connection(tmp_path: Path) -> None:
    """RFC 9113 6.8: what stands above the last stream was not looked at; what stands below goes on."""

    def answer(served: Peer, stream: int, heard: Heard) -> None:
        path = fields(heard)[":path"]
        if path == "/public/second" and served is upstream.peers[0]:
            served.send(GOAWAY, 0, 0, number(1) + number(0))
        elif path != "/public/first":
            saying(path.encode())(served, stream, heard)

    async with Http2Server(answer) as upstream, between(tmp_path, upstream) as home, peer(home.address()) as client:
        client.head(1, ask("/public/first"))
        await wait(lambda: len(upstream.seen) == 1)
        heard = await client.ask(3, ask("/public/second", ("content-length", "4"), method="POST"), b"body")
        assert (heard.status, heard.body) == (200, b"/public/second")
        saying(b"first")(upstream.peers[0], 1, upstream.seen[0])
        assert (await client.answer(1)).body == b"first"
    assert len(upstream.peers) == 2


async def test_a_connection_that_ends_between_requests_is_replaced(tmp_path: Path) -> None:
    async with Http2Server(saying()) as upstream, between(tmp_path, upstream) as home:
        assert (await home.get("/public/x")).status == 200
        await upstream.peers[0].close()
        for _ in range(3):
            assert (await home.get("/public/x")).status == 200


# How many


async def test_streams_are_shared_out_over_connections_and_the_rest_wait(tmp_path: Path) -> None:
    held: list[tuple[Peer, int]] = []
    server = Http2Server(lambda served, stream, heard: held.append((served, stream)), settings=setting(MAX_CONCURRENT_STREAMS, 2))
    async with server as upstream, between(tmp_path, upstream, {"connections": 2, "streams": 50}) as home:
        async with peer(home.address()) as client:
            client.head(1, ask("/public/x"))
            await wait(lambda: len(held) == 1)
            for stream in range(3, 15, 2):
                client.head(stream, ask("/public/x"))
            await wait(lambda: len(held) == 4)
            assert len(upstream.peers) == 2
            for _ in range(7):
                await wait(lambda: held)
                served, stream = held.pop(0)
                served.head(stream, [(":status", "204")])
            for stream in range(1, 15, 2):
                assert (await client.answer(stream)).status == 204


async def wait(question: Any) -> None:
    async with asyncio.timeout(60):
        while not question():
            await asyncio.sleep(0.005)


async def test_when_too_many_wait_the_answer_is_503(tmp_path: Path) -> None:
    async with Http2Server(lambda *_: None) as upstream:
        over = {"connections": 1, "streams": 1, "max_pending_requests": 0}
        async with between(tmp_path, upstream, over) as home, peer(home.address()) as client:
            client.head(1, ask("/public/x"))
            await wait(lambda: upstream.seen)
            assert (await client.ask(3, ask("/public/x"))).status == 503


# Time, and those who leave


async def test_an_upstream_that_does_not_answer_is_504_and_its_stream_is_reset(tmp_path: Path) -> None:
    over = {"timeouts": {"response": "200ms"}}
    async with Http2Server(lambda *_: None) as upstream, between(tmp_path, upstream, over) as home:
        assert (await home.get("/public/x", method="POST")).status == 504
        await wait(lambda: upstream.seen[0].reset == CANCEL)


async def test_an_answer_that_stops_is_cut(tmp_path: Path) -> None:
    def answer(served: Peer, stream: int, heard: Heard) -> None:
        served.head(stream, [(":status", "200")], end=False)
        served.data(stream, b"begun", end=False)

    over = {"timeouts": {"idle": "200ms"}}
    async with Http2Server(answer) as upstream, between(tmp_path, upstream, over) as home, peer(home.address()) as client:
        heard = await client.ask(1, ask("/public/x"))
        assert (heard.body, heard.ended, heard.reset) == (b"begun", False, INTERNAL_ERROR)


@pytest.mark.parametrize("protocol", ["1.1", "2"])
async def test_a_client_that_leaves_resets_its_stream_and_no_other(tmp_path: Path, protocol: str) -> None:
    async with Http2Server(lambda *_: None) as upstream, between(tmp_path, upstream) as home:
        if protocol == "2":
            async with peer(home.address()) as client:
                client.head(1, ask("/public/x"))
                await wait(lambda: upstream.seen)
                client.reset(1)
                await wait(lambda: upstream.seen[0].reset == CANCEL)
        else:
            _, writer = await asyncio.open_connection(*home.address())
            writer.write(request_bytes("/public/x"))
            await wait(lambda: upstream.seen)
            writer.close()
            await wait(lambda: upstream.seen[0].reset == CANCEL)
        assert not upstream.peers[0].closed


async def test_a_connection_that_has_no_number_for_another_stream_is_replaced(tmp_path: Path) -> None:
    """RFC 9113 5.1.1: after 2^30 requests, which a busy upstream has had within weeks. The last number is used, too."""
    over = {"connections": 1}
    async with Http2Server(saying()) as upstream, between(tmp_path, upstream, over) as home:
        assert (await home.get("/public/x")).status == 200
        (session,) = [found for found in gc.get_objects() if type(found) is Session and found.room]
        session.link.next = 2**31 - 1
        del session
        for _ in range(2):
            assert (await home.get("/public/x", method="POST", body=b"x")).status == 200
    assert [list(served.streams) for served in upstream.peers] == [[1, 2**31 - 1], [1]]


# TLS, health


def contexts(folder: Path, *protocols: str) -> tuple[ssl.SSLContext, str]:
    """A server's context that agrees to these protocols, and the file of its CA."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(folder / "upstream-ca.crt"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("localhost").configure_cert(context)
    context.set_alpn_protocols(list(protocols))
    return context, str(folder / "upstream-ca.crt")


@pytest.mark.parametrize(("agreed", "status"), [("h2", 200), ("http/1.1", 502)])
async def test_over_tls_the_upstream_has_to_agree(tmp_path: Path, agreed: str, status: int) -> None:
    context, ca = contexts(tmp_path, agreed)
    async with Http2Server(saying(), tls=context) as upstream:
        over = {"url": f"https://localhost:{upstream.port}", "tls": {"ca": ca}, "allow_plaintext": False}
        async with between(tmp_path, upstream, over) as home:
            reply = await home.get("/public/x")
            assert reply.status == status
            if status != 200:
                (event,) = await home.requests()
                assert event["reason"] == "upstream-unreachable"
    assert len(upstream.seen) == (1 if status == 200 else 0)


async def test_health_checks_speak_http_2_as_well(tmp_path: Path) -> None:
    async with Http2Server(saying(b"", status=200)) as upstream:
        over = {"health_check": {"path": "/health", "interval": "200ms", "timeout": "1s"}}
        async with between(tmp_path, upstream, over) as home:
            await wait(lambda: [heard for heard in upstream.seen if fields(heard)[":path"] == "/health"])
            assert (await home.get("/public/x")).status == 200
    checked = fields(next(heard for heard in upstream.seen if fields(heard)[":path"] == "/health"))
    assert (checked[":method"], checked["user-agent"]) == ("GET", "latchgate-health-check")
    assert "authorization" not in checked


async def test_a_request_of_a_configuration_that_is_gone_is_still_carried(tmp_path: Path) -> None:
    """A reload in the middle: the upstream is closed, and somebody who came before it asks."""
    async with Http2Server(saying()) as server:
        service = scripted_upstream(server.port, http2=True)
        sent = service.transport(RouteTimeouts(), drop_cookies=True)
        assert (await sent.send(outbound())).status == 200
        told = service.status()
        assert (told["protocol"], told["connections"], told["waiting"]) == ("HTTP/2", 1, 0)
        assert ("gateway.upstream.connections", 1, {"state": "idle"}) in list(service.levels()) or told["streams"]
        await service.close()
        assert (await sent.send(outbound())).status == 200
        await wait(lambda: all(served.closed for served in server.peers))
    assert len(server.peers) == 2


async def test_an_upstream_that_takes_no_requests_is_not_asked_for_ever(tmp_path: Path) -> None:
    async with Http2Server(saying(), settings=setting(MAX_CONCURRENT_STREAMS, 0)) as server:
        service = scripted_upstream(server.port, http2=True)
        with pytest.raises(UpstreamUnreachable):
            await service.transport(RouteTimeouts(), drop_cookies=True).send(outbound())
        await service.close()
    assert len(server.peers) == 1
