"""A listener that takes HTTP/2: which protocol is spoken with whom, many requests at once, and how connections end."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.core.message import Inbound, Response
from gateway.core.ports import Writer
from gateway.server.tls import ServerTls
from tests.fakes import CountingMetrics
from tests.http2peer import DATA, INITIAL_WINDOW_SIZE, NO_ERROR, Peer, ask, framed, number, setting
from tests.pki import Pki
from tests.rawhttp import FOLLOWER, PATIENCE, Echo, Gate, limits, scripted, serving


@asynccontextmanager
async def speaking(gate: Gate, **options: Any) -> AsyncIterator[Peer]:
    client = await Peer.connect("127.0.0.1", gate.port, **options)
    try:
        yield client
    finally:
        await client.close()


def client_context(pki: Pki, *protocols: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    pki.ca.configure_trust(context)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


class Held:
    """An app that answers each request when its target is released."""

    def __init__(self) -> None:
        self.begun: list[bytes] = []
        self.cancelled: list[bytes] = []
        self.release: dict[bytes, asyncio.Event] = {}

    async def __call__(self, inbound: Inbound, writer: Writer) -> None:
        self.begun.append(inbound.target)
        try:
            await self.release.setdefault(inbound.target, asyncio.Event()).wait()
        except asyncio.CancelledError:
            self.cancelled.append(inbound.target)
            raise
        await writer.start(Response(200, []), inbound.target, False)

    def let(self, target: bytes) -> None:
        self.release.setdefault(target, asyncio.Event()).set()


# Which protocol


async def test_both_protocols_are_spoken_on_one_plain_listener() -> None:
    echo = Echo()
    async with serving(echo, http2=True) as gate:
        assert (await (await gate.ask(FOLLOWER)).answer()).status == 200
        async with speaking(gate) as client:
            assert (await client.ask(1, ask("/two"))).body == b"GET /two 0\n"
        assert (await (await gate.ask(b"P" + FOLLOWER[1:])).answer()).status == 400
    assert [inbound.version for inbound in echo.seen] == ["1.1", "2", "1.1"]


async def test_a_preface_that_comes_byte_by_byte_is_one() -> None:
    async with serving(Echo(), http2=True) as gate:
        reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
        for octet in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + framed(4, 0, 0):
            writer.write(bytes((octet,)))
            await writer.drain()
            await asyncio.sleep(0)
        client = Peer(reader, writer)
        assert (await client.ask(1, ask("/"))).status == 200
        await client.close()


async def test_without_the_opt_in_nothing_of_it_is_spoken(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    async with serving(Echo()) as gate:
        client = await gate.ask(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert (await client.answer()).status == 505
    async with serving(Echo(), tls=ServerTls(pki.model())) as gate:
        raw = await gate.connect(ssl=client_context(pki, "h2", "http/1.1"), server_hostname="localhost")
        assert raw.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"


@pytest.mark.parametrize(("offered", "spoken"), [(("h2",), "2"), (("http/1.1",), "1.1"), (("h2", "http/1.1"), "2"), ((), "1.1")])
async def test_under_tls_alpn_decides(tmp_path: Path, offered: tuple[str, ...], spoken: str) -> None:
    pki, echo = Pki(tmp_path), Echo()
    async with serving(echo, http2=True, tls=ServerTls(pki.model(), http2=True)) as gate:
        context = client_context(pki, *offered)
        if spoken == "2":
            async with speaking(gate, tls=context) as client:
                assert (await client.ask(1, ask("/", authority="localhost"))).status == 200
        else:
            raw = await gate.connect(ssl=context, server_hostname="localhost")
            await raw.send(FOLLOWER)
            assert (await raw.answer()).status == 200
    assert [(inbound.version, inbound.secure, inbound.server_name) for inbound in echo.seen] == [(spoken, True, "localhost")]


async def test_after_alpn_agreed_on_h2_http_1_1_is_not_understood(tmp_path: Path) -> None:
    pki, echo = Pki(tmp_path), Echo()
    async with serving(echo, http2=True, tls=ServerTls(pki.model(), http2=True)) as gate:
        raw = await gate.connect(ssl=client_context(pki, "h2"), server_hostname="localhost")
        await raw.send(FOLLOWER)
        await raw.rest()
    assert echo.seen == []


# Requests


async def test_a_request_is_put_as_any_other() -> None:
    echo = Echo()
    async with serving(echo, http2=True) as gate, speaking(gate) as client:
        await client.ask(1, ask("/a?b=c", ("accept", "*/*"), ("te", "trailers"), method="POST"), b"body")
    (inbound,) = echo.seen
    assert (inbound.method, inbound.target, inbound.version, inbound.peer) == ("POST", b"/a?b=c", "2", "127.0.0.1")
    assert inbound.headers == [(b"host", b"gw.test"), (b"accept", b"*/*"), (b"te", b"trailers")]
    assert echo.bodies == [b"body"]


async def test_requests_of_one_connection_are_answered_as_they_are_ready() -> None:
    held = Held()
    async with serving(held, http2=True) as gate, speaking(gate) as client:
        for stream in (1, 3, 5):
            client.head(stream, ask(f"/{stream}"))
        await gate.until(lambda: len(held.begun) == 3)
        for stream in (5, 1, 3):
            held.let(b"/%d" % stream)
            assert (await client.answer(stream)).body == b"/%d" % stream


async def test_a_reset_cancels_its_request_and_no_other() -> None:
    held = Held()
    async with serving(held, http2=True) as gate, speaking(gate) as client:
        client.head(1, ask("/1"))
        client.head(3, ask("/3"))
        await gate.until(lambda: len(held.begun) == 2)
        client.reset(1)
        await gate.until(lambda: held.cancelled == [b"/1"])
        held.let(b"/3")
        assert (await client.answer(3)).body == b"/3"


async def test_the_end_of_the_connection_cancels_all_its_requests() -> None:
    held = Held()
    async with serving(held, http2=True) as gate:
        async with speaking(gate) as client:
            client.head(1, ask("/1"))
            client.head(3, ask("/3"))
            await gate.until(lambda: len(held.begun) == 2)
        await gate.until(lambda: sorted(held.cancelled) == [b"/1", b"/3"])
        await gate.until(lambda: not gate.server.connections)


async def test_many_requests_in_one_segment_are_all_answered() -> None:
    echo = Echo()
    async with serving(echo, http2=True) as gate, speaking(gate) as client:
        for stream in range(1, 161, 2):
            client.head(stream, ask(f"/{stream}"))
        for stream in range(1, 161, 2):
            assert (await client.answer(stream)).status == 200


async def test_a_body_is_held_back_while_nobody_reads_it() -> None:
    """No more than a window of it is taken; the rest follows when it is read."""
    go = asyncio.Event()
    read: list[int] = []

    async def slow(inbound: Inbound, writer: Writer) -> None:
        await go.wait()
        read.append(len(await inbound.body.read(1 << 30)))
        await writer.start(Response(200, []), b"", False)

    async with serving(scripted(slow), http2=True) as gate, speaking(gate) as client:
        client.head(1, ask("/", method="POST"), end=False)
        for _ in range(4):
            client.data(1, bytes(16384), end=False)
        client.send(6, 0, 0, b"ping----")
        await client.until(lambda: client.pongs)
        assert not [frame for frame in client.frames if frame[0] == 8 and frame[2] == 1]
        go.set()
        await client.until(lambda: [frame for frame in client.frames if frame[0] == 8 and frame[2] == 1])
        client.data(1, b"end")
        assert (await client.answer(1)).status == 200
    assert read == [4 * 16384 + 3]


async def test_a_client_that_waits_for_100_is_told_to_go_on() -> None:
    async with serving(Echo(), http2=True) as gate, speaking(gate) as client:
        client.head(1, ask("/", ("expect", "100-continue"), method="POST"), end=False)
        await client.until(lambda: 1 in client.streams and client.streams[1].heads)
        assert client.streams[1].heads == [[(":status", "100")]]
        client.data(1, b"body")
        assert (await client.answer(1)).status == 200


# Answers


def answering(response: Response, *pieces: bytes) -> Any:
    async def app(inbound: Inbound, writer: Writer) -> None:
        await writer.start(response, b"", True)
        for piece in pieces:
            await writer.write(piece)
        response.trailers = [(b"grpc-status", b"0"), (b"bad\r\n", b"x")]
        writer.end()

    return scripted(app)


async def test_an_answer_is_streamed_with_its_trailers_behind_it() -> None:
    app = answering(
        Response(200, [(b"X-Upper", b" padded "), (b"connection", b"x"), (b"transfer-encoding", b"chunked")]), b"a", b"b"
    )
    async with serving(app, http2=True) as gate, speaking(gate) as client:
        heard = await client.ask(1, ask())
    assert heard.pieces == [b"a", b"b"]
    assert heard.trailers == [("grpc-status", "0")]
    names = [name for name, _ in heard.final]
    assert heard["x-upper"] == "padded"
    assert names.count("date") == 1
    assert not {"connection", "transfer-encoding"} & set(names)


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
async def test_answers_without_a_body_end_with_their_head(method: str, status: int) -> None:
    app = answering(Response(status, [(b"content-length", b"5")]), b"12345")
    async with serving(app, http2=True) as gate, speaking(gate) as client:
        heard = await client.ask(1, ask(method=method))
    assert (heard.status, heard.body, heard.ended, len(heard.heads)) == (status, b"", True, 1)
    assert dict(heard.final).get("content-length") == (None if status == 204 else "5")


@pytest.mark.parametrize("pieces", [(b"1234",), (b"123456",)], ids=["shorter", "longer"])
async def test_an_answer_of_another_length_than_announced_is_seen_to_be_broken(pieces: tuple[bytes, ...]) -> None:
    app = answering(Response(200, [(b"content-length", b"5")]), *pieces)
    async with serving(app, http2=True) as gate, speaking(gate) as client:
        assert (await client.ask(1, ask())).reset is not None
        assert client.streams[1].ended is False


@pytest.mark.parametrize("field", [(b"x", b"1\r\nset-cookie: a"), (b"x\r\n", b"1"), (b"x", b"\0"), (b":path", b"/")])
async def test_a_head_that_would_break_out_is_not_sent(field: tuple[bytes, bytes]) -> None:
    async with serving(answering(Response(200, [field])), http2=True) as gate, speaking(gate) as client:
        heard = await client.ask(1, ask())
        assert (heard.heads, heard.reset) == ([], 2)


async def test_interim_answers_come_before_the_final_one() -> None:
    async def app(inbound: Inbound, writer: Writer) -> None:
        writer.interim(b"HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n")
        await writer.start(Response(200, []), b"done", False)
        writer.interim(b"HTTP/1.1 103 Early Hints\r\nlink: </b>\r\n\r\n")

    async with serving(scripted(app), http2=True) as gate, speaking(gate) as client:
        heard = await client.ask(1, ask())
    assert heard.heads[0] == [(":status", "103"), ("link", "</a>; rel=preload")]
    assert (heard.status, len(heard.heads)) == (200, 2)


async def test_windows_of_the_client_are_kept_and_streams_share_the_connection() -> None:
    written: list[int] = []

    async def app(inbound: Inbound, writer: Writer) -> None:
        await writer.start(Response(200, []), b"", True)
        for _ in range(40):
            await writer.write(bytes(10_000))
            written.append(1)
        writer.end()

    async with serving(scripted(app), http2=True) as gate:
        async with speaking(gate, polite=False, settings=setting(INITIAL_WINDOW_SIZE, 30_000)) as client:
            client.head(1, ask("/1"))
            client.head(3, ask("/3"))
            client.head(5, ask("/5"))
            await client.until(lambda: sum(len(heard.body) for heard in client.streams.values()) == 65535)
            client.send(6, 0, 0, bytes(8))
            await client.until(lambda: client.pongs)
            assert sorted(len(client.streams[stream].body) for stream in (1, 3, 5)) <= [30_000] * 3
            assert len(written) < 20, "whoever writes waits"
            client.send(4, 0, 0, setting(INITIAL_WINDOW_SIZE, 500_000))
            client.window(0, 2_000_000)
            for stream in (1, 3, 5):
                assert len((await client.answer(stream)).body) == 400_000
    assert max(len(payload) for kind, _, _, payload in client.frames if kind == DATA) <= 16384


async def test_a_bug_in_an_answer_resets_the_stream_and_spares_the_connection() -> None:
    async def app(inbound: Inbound, writer: Writer) -> None:
        if inbound.target == b"/bug":
            raise RuntimeError("bug")
        await writer.start(Response(200, []), b"", False)

    async with serving(scripted(app), http2=True) as gate, speaking(gate) as client:
        assert (await client.ask(1, ask("/bug"))).reset == 2
        assert (await client.ask(3, ask("/"))).status == 200


# Ends


async def test_a_drain_takes_no_new_streams_and_finishes_those_it_took() -> None:
    """RFC 9113 6.8: first the announcement, then the last stream that was looked at."""
    held = Held()
    async with serving(held, http2=True) as gate, speaking(gate) as client, speaking(gate) as idle:
        client.head(1, ask("/1"))
        await idle.until(lambda: idle.frames)
        await gate.until(lambda: held.begun == [b"/1"])
        drained = asyncio.create_task(gate.server.drain(0.0, PATIENCE))
        await client.until(lambda: len(client.goaways) == 2)
        assert client.goaways == [(0x7FFFFFFF, NO_ERROR), (1, NO_ERROR)]
        client.head(3, ask("/3"))
        held.let(b"/1")
        assert (await client.answer(1)).body == b"/1"
        assert await client.end() == NO_ERROR
        assert await idle.end() == NO_ERROR
        assert await drained
    assert held.begun == [b"/1"]


async def test_a_stream_that_was_on_its_way_when_the_end_was_announced_is_served() -> None:
    held = Held()
    async with serving(held, http2=True) as gate, speaking(gate, polite=False) as client:
        client.head(1, ask("/1"))
        await gate.until(lambda: held.begun == [b"/1"])
        drained = asyncio.create_task(gate.server.drain(0.0, PATIENCE))
        await client.until(lambda: client.goaways)
        client.head(3, ask("/3"))
        await gate.until(lambda: len(held.begun) == 2)
        held.let(b"/1")
        held.let(b"/3")
        assert (await client.answer(3)).body == b"/3"
        assert await client.end() == NO_ERROR
        assert await drained


async def test_a_drain_that_takes_too_long_cuts_the_requests_off() -> None:
    held = Held()
    async with serving(held, http2=True) as gate, speaking(gate) as client:
        client.head(1, ask("/1"))
        client.head(3, ask("/3"))
        await gate.until(lambda: len(held.begun) == 2)
        assert await gate.server.drain(0.0, 0.1) is False
        await client.end()
    assert sorted(held.cancelled) == [b"/1", b"/3"]


async def test_an_idle_connection_is_told_goodbye_in_time_whatever_it_pings() -> None:
    async with serving(Echo(), http2=True, limits=limits(idle_timeout=0.3)) as gate, speaking(gate) as client:
        assert (await client.ask(1, ask())).status == 200
        while not client.closed:
            client.send(6, 0, 0, bytes(8))
            client.send(4, 0, 0)
            await asyncio.sleep(0.02)
        assert client.goaways == [(1, NO_ERROR)]


async def test_connections_over_the_limit_are_told_503() -> None:
    echo = Echo()
    async with serving(echo, http2=True, limits=limits(connections=1)) as gate, speaking(gate) as first:
        assert (await first.ask(1, ask())).status == 200
        async with speaking(gate) as second:
            assert (await second.ask(1, ask())).status == 503
            assert await second.end() == NO_ERROR


async def test_what_is_cut_off_is_counted() -> None:
    counted = CountingMetrics()
    async with serving(Echo(), http2=True, metrics=counted) as gate:
        async with speaking(gate) as client:
            client.write(framed(6, 0, 0, bytes(8)) * 3000)
            await client.end()
        async with speaking(gate) as client:
            client.send(8, 0, 0, number(0))
            await client.end()
    for reason in ("http2-flood", "http2-fault"):
        assert counted.counted("gateway.connections.cut", listener="main", reason=reason) == 1
