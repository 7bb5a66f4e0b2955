"""Attacks on a listener that takes HTTP/2: each must cost the attacker its connection or its stream, and nobody else anything."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hpack import Encoder

from gateway.edge.model import ListenerLimits
from gateway.server.h2.protocol import Http2Protocol
from gateway.server.listener import Bound, Listener, Silent
from tests.house import House, house
from tests.http2peer import (
    CALM,
    COMPRESSION_ERROR,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    FLOW_CONTROL_ERROR,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    PING,
    PREFACE,
    PRIORITY,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    RST_STREAM,
    SETTINGS,
    STREAM_CLOSED,
    WINDOW_UPDATE,
    Fields,
    Peer,
    ask,
    framed,
    number,
    peer,
    setting,
)
from tests.rawhttp import Echo
from tests.unit.server.test_protocol import Memory

LISTEN: dict[str, Any] = {"address": "127.0.0.1:0", "http2": True}
MANY = 4000
"""Of anything that costs us more than the attacker: far more than patience lasts for."""


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path, listen=LISTEN) as made:
        yield made


async def still_serves(home: House) -> None:
    """Somebody else is served as if nothing had happened."""
    async with peer(home.address()) as other:
        assert (await other.ask(1, ask("/public/other"))).status == 200


async def refused(home: House, fields: Fields, *, body: bytes | None = None) -> int:
    """The status of what must reach no upstream."""
    async with peer(home.address()) as client:
        heard = await client.ask(1, fields, body)
        assert heard["content-type"] == "application/problem+json"
        assert (await client.ask(3, ask("/public/follower"))).status == 200, "the connection goes on"
    assert [seen.target for seen in home.upstream.seen] == ["/public/follower"]
    return heard.status


# Floods: the connection ends with ENHANCE_YOUR_CALM


async def test_cve_2023_44487_rapid_reset_ends_the_connection(home: House) -> None:
    """Streams opened and reset at once, each of which would be a request."""
    async with peer(home.address()) as client:
        for number_ in range(1, 2 * MANY, 2):
            client.head(number_, ask("/public/reset"))
            client.reset(number_)
        assert await client.end() == CALM
    assert len(home.upstream.seen) < 400
    await still_serves(home)


@pytest.mark.parametrize("payload", [(WINDOW_UPDATE, number(0)), (PRIORITY, b"1234"), (WINDOW_UPDATE, number(0x7FFFFFFF))])
async def test_cve_2025_8671_made_you_reset_ends_the_connection(home: House, payload: tuple[int, bytes]) -> None:
    """Streams that we are made to reset, so that they count no longer while their requests still run."""
    async with peer(home.address()) as client:
        for number_ in range(1, 2 * MANY, 2):
            client.head(number_, ask("/public/reset"))
            client.send(payload[0], 0, number_, payload[1])
        assert await client.end() == CALM
    await still_serves(home)


async def test_cve_2024_27316_a_continuation_flood_ends_the_connection(home: House) -> None:
    """A head that never ends."""
    async with peer(home.address()) as client:
        client.send(HEADERS, END_STREAM, 1, client.encoder.encode(ask()))
        for _ in range(MANY):
            client.send(CONTINUATION, 0, 1, b"")
        assert await client.end() == CALM
    await still_serves(home)


async def test_a_head_in_large_fragments_is_bounded_too(home: House) -> None:
    async with peer(home.address()) as client:
        client.send(HEADERS, END_STREAM, 1, client.encoder.encode(ask()))
        for _ in range(12):
            client.send(CONTINUATION, 0, 1, bytes(16384))
        assert await client.end() == CALM


async def test_cve_2016_6581_an_hpack_bomb_ends_the_connection(home: House) -> None:
    """One large entry of the table, referred to again and again."""
    async with peer(home.address()) as client:
        await client.ask(1, ask("/public/first", ("x-bomb", "b" * 3800)))
        entry = client.encoder.encode([("x-bomb", "b" * 3800)])
        assert len(entry) == 1
        client.send(HEADERS, END_HEADERS | END_STREAM, 3, client.encoder.encode(ask()) + entry * 16000)
        assert await client.end() == COMPRESSION_ERROR
    await still_serves(home)


@pytest.mark.parametrize(
    "frame",
    [
        framed(SETTINGS, 0, 0),
        framed(SETTINGS, 0, 0, setting(INITIAL_WINDOW_SIZE, 1) * 2000),
        framed(PING, 0, 0, bytes(8)),
        framed(PRIORITY, 0, 1, bytes(5)),
        framed(WINDOW_UPDATE, 0, 0, number(1)),
        framed(0xBB, 0, 0, b"grease"),
    ],
    ids=["settings", "many-settings", "ping", "priority", "window-update", "unknown"],
)
async def test_cve_2019_9512_9513_9515_a_flood_of_frames_that_carry_nothing_ends_the_connection(home: House, frame: bytes) -> None:
    async with peer(home.address()) as client:
        client.write(frame * MANY)
        assert await client.end() == CALM
    await still_serves(home)


async def test_cve_2019_9518_a_flood_of_empty_data_frames_ends_the_connection(home: House) -> None:
    async with peer(home.address()) as client:
        client.head(1, ask("/public/empty", method="POST"), end=False)
        client.write(framed(DATA, 0, 1) * MANY)
        assert await client.end() == CALM
    await still_serves(home)


async def test_cve_2019_9512_pings_whose_answers_are_not_read_end_the_connection(home: House) -> None:
    """The client reads nothing at all."""
    async with peer(home.address()) as client:
        client.write(framed(PING, 0, 0, bytes(8)) * 100_000)
        assert await client.end() == CALM


class Unread(Memory):
    """A transport whose client reads nothing until it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.protocol: Http2Protocol | None = None
        self.reads = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        super().write(data)
        if len(self.written) > 64 * 1024 and self.protocol is not None:
            self.protocol.pause_writing()

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True


async def test_answers_without_a_body_that_nobody_reads_do_not_pile_up() -> None:
    """No window holds them back, and their streams are over at once: only who reads them may ask for more."""
    echo, transport = Echo(), Unread()
    bound = Bound(Listener("main", "127.0.0.1:0", echo, limits=ListenerLimits(), http2=True), Silent())
    protocol = transport.protocol = Http2Protocol(bound, "192.0.2.1", False)
    protocol.connection_made(transport)
    block = Encoder().encode(ask("/", method="HEAD"))
    protocol.data_received(PREFACE + framed(SETTINGS, 0, 0))
    for first in range(1, 2 * MANY, 20):
        heads = [framed(HEADERS, END_HEADERS | END_STREAM, number_, block) for number_ in range(first, first + 20, 2)]
        protocol.data_received(b"".join(heads))  # also what had been read before the transport was told to stop
        await asyncio.sleep(0)
    assert not transport.reads
    assert len(transport.written) < 128 * 1024
    assert len(echo.seen) < MANY / 2
    while len(echo.seen) < MANY:
        transport.written.clear()
        protocol.resume_writing()
        await asyncio.sleep(0)
    protocol.connection_lost(None)


async def test_a_client_that_is_forgiven_for_useful_work_is_not_cut(home: House) -> None:
    """Twice as many resets as patience lasts for, each beside a request that is answered."""
    async with peer(home.address()) as client:
        for number_ in range(1, 1600, 4):
            client.head(number_, ask("/public/reset", method="POST"), end=False)
            client.reset(number_)
            assert (await client.ask(number_ + 2, ask("/public/good"))).status == 200


# Streams


async def test_more_streams_than_allowed_are_refused_and_the_others_go_on(tmp_path: Path) -> None:
    async with house(tmp_path, listen={**LISTEN, "limits": {"streams": 3}}) as home, peer(home.address()) as client:
        for number_ in (1, 3, 5, 7):
            client.head(number_, ask("/public/held", method="POST"), end=False)
        assert (await client.answer(7)).reset == REFUSED_STREAM
        for number_ in (1, 3, 5):
            client.data(number_, b"done")
            assert (await client.answer(number_)).status == 200
        assert (await client.ask(9, ask("/public/again"))).status == 200
    assert sorted(seen.body for seen in home.upstream.seen) == [b"", b"done", b"done", b"done"]


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (framed(DATA, 0, 5, b"x"), PROTOCOL_ERROR),
        (framed(DATA, 0, 0, b"x"), PROTOCOL_ERROR),
        (framed(HEADERS, END_HEADERS, 0, b""), PROTOCOL_ERROR),
        (framed(HEADERS, END_HEADERS | END_STREAM, 2, b"\x82"), PROTOCOL_ERROR),
        (framed(RST_STREAM, 0, 5, number(8)), PROTOCOL_ERROR),
        (framed(WINDOW_UPDATE, 0, 5, number(1)), PROTOCOL_ERROR),
        (framed(WINDOW_UPDATE, 0, 0, number(0)), PROTOCOL_ERROR),
        (framed(WINDOW_UPDATE, 0, 0, number(0x7FFFFFFF)), FLOW_CONTROL_ERROR),
        (framed(SETTINGS, 0, 0, setting(INITIAL_WINDOW_SIZE, 0x80000000)), FLOW_CONTROL_ERROR),
        (framed(SETTINGS, 0, 0, setting(5, 1)), PROTOCOL_ERROR),
        (framed(SETTINGS, 0, 0, setting(2, 7)), PROTOCOL_ERROR),
        (framed(SETTINGS, 0, 3), PROTOCOL_ERROR),
        (framed(SETTINGS, 0, 0, b"odd"), 6),
        (framed(SETTINGS, 1, 0, setting(2, 0)), 6),
        (framed(PING, 0, 0, b"short"), 6),
        (framed(PING, 0, 1, bytes(8)), PROTOCOL_ERROR),
        (framed(5, END_HEADERS, 1, number(2) + b"\x82"), PROTOCOL_ERROR),
        (framed(CONTINUATION, END_HEADERS, 1, b""), PROTOCOL_ERROR),
        (framed(HEADERS, 0, 1, b"\x82") + framed(PING, 0, 0, bytes(8)), PROTOCOL_ERROR),
        (framed(HEADERS, END_HEADERS | 8, 1, b"\xff\x82"), PROTOCOL_ERROR),
        (framed(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff"), COMPRESSION_ERROR),
        (b"\x00\x40\x01" + framed(DATA, 0, 1)[3:], 6),
        (framed(7, 0, 1, bytes(8)), PROTOCOL_ERROR),
        (framed(7, 0, 0, bytes(7)), 6),
        (framed(RST_STREAM, 0, 1, b"odd"), 6),
    ],
)
async def test_what_breaks_the_connection_ends_it_with_the_code_of_the_rule(home: House, frames: bytes, code: int) -> None:
    """RFC 9113 5.1, 5.4.1, 6."""
    async with peer(home.address()) as client:
        client.write(frames)
        assert await client.end() == code
    await still_serves(home)


async def test_bytes_that_are_no_preface_are_http_1_1_or_nothing(home: House) -> None:
    reply = await home.raw(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n")
    assert reply.status == 505
    assert home.upstream.seen == []


async def test_a_connection_that_does_not_begin_with_settings_ends(home: House) -> None:
    reader, writer = await asyncio.open_connection(*home.address())
    client = Peer(reader, writer)
    client.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + framed(PING, 0, 0, bytes(8)))
    assert await client.end() == PROTOCOL_ERROR
    await client.close()


async def test_data_behind_the_end_of_a_stream_is_no_other_request(home: House) -> None:
    async with peer(home.address()) as client:
        await client.ask(1, ask("/public/first"))
        client.data(1, b"GET /public/second HTTP/1.1\r\n\r\n")
        assert await client.end() == STREAM_CLOSED
    assert [seen.target for seen in home.upstream.seen] == ["/public/first"]


async def test_more_data_than_the_window_is_a_fault(tmp_path: Path) -> None:
    async with house(tmp_path, listen=LISTEN) as home, peer(home.address(), polite=False) as client:
        client.head(1, ask("/public/x", method="POST"), end=False)
        client.write(framed(DATA, 0, 1, bytes(16384)) * 32)
        assert (await client.answer(1)).reset == FLOW_CONTROL_ERROR
        assert (await client.ask(3, ask("/public/x"))).status == 200


# One reading of a request


BAD = {
    "method-with-junk": [(":method", "GET /x HTTP/1.1\r\nA: b"), *ask()[1:]],
    "method-unknown": ask(method="FOO"),
    "method-lower-case": ask(method="get"),
    "path-with-space": ask("/public/x HTTP/1.1"),
    "path-with-crlf": ask("/public/x\r\nhost: evil"),
    "path-with-fragment": ask("/public/x#/admin"),
    "path-with-nul": ask("/public/x\0"),
    "cve_2026_33186-path-without-slash": ask("public/x"),
    "path-absolute": ask("http://gw.test/public/x"),
    "path-empty": ask(""),
    "path-asterisk": ask("*", method="OPTIONS"),
    "path-with-dots": ask("/public/../admin/x"),
    "no-path": [*ask()[:3]],
    "no-method": [*ask()[1:]],
    "no-scheme": [ask()[0], *ask()[2:]],
    "scheme-with-junk": [ask()[0], (":scheme", "http://evil/?"), *ask()[2:]],
    "no-authority": [*ask()[:2], ask()[3]],
    "authority-with-userinfo": ask(authority="gw.test@evil"),
    "authority-with-path": ask(authority="gw.test/admin"),
    "pseudo-twice": [*ask(), (":path", "/admin/x")],
    "pseudo-behind-ordinary": [*ask()[:3], ("accept", "*/*"), ask()[3]],
    "pseudo-unknown": [*ask(), (":protocol", "websocket")],
    "status-in-a-request": [*ask(), (":status", "200")],
    "cve_2026_34525-host-differs": ask("/public/x", ("host", "evil.test")),
    "ghsa_6hr6_w5qg_qmwg-host-twice": ask("/public/x", ("host", "gw.test"), ("host", "gw.test")),
    "cve_2023_27491-name-upper-case": ask("/public/x", ("X-Upper", "1")),
    "name-with-crlf": ask("/public/x", ("x\r\nhost", "evil")),
    "name-with-colon": ask("/public/x", ("x:y", "1")),
    "name-with-space": ask("/public/x", ("x y", "1")),
    "name-empty": ask("/public/x", ("", "1")),
    "value-with-crlf": ask("/public/x", ("x", "1\r\nx-gateway-subject: root")),
    "value-with-lf": ask("/public/x", ("x", "1\nhost: evil")),
    "value-with-nul": ask("/public/x", ("x", "1\0")),
    "value-with-space-around": ask("/public/x", ("x", " 1")),
    "transfer-encoding": ask("/public/x", ("transfer-encoding", "chunked")),
    "connection": ask("/public/x", ("connection", "x-request-id")),
    "keep-alive": ask("/public/x", ("keep-alive", "1")),
    "proxy-connection": ask("/public/x", ("proxy-connection", "close")),
    "upgrade": ask("/public/x", ("upgrade", "websocket")),
    "te": ask("/public/x", ("te", "gzip")),
    "length-negative": ask("/public/x", ("content-length", "-1")),
    "length-signed": ask("/public/x", ("content-length", "+1")),
    "length-twice": ask("/public/x", ("content-length", "0"), ("content-length", "0")),
    "length-without-a-body": ask("/public/x", ("content-length", "5")),
    "authorization-twice": ask("/admin/x", ("authorization", "Bearer a"), ("authorization", "Bearer b")),
    "content-type-twice": ask("/public/x", ("content-type", "a/b"), ("content-type", "c/d")),
}


@pytest.mark.parametrize("attack", BAD)
async def test_a_head_that_can_be_read_in_two_ways_is_refused(home: House, attack: str) -> None:
    """RFC 9113 8.2, 8.3. The stream is answered, the connection goes on."""
    assert await refused(home, [(str(name), str(value)) for name, value in BAD[attack]]) == 400


@pytest.mark.parametrize("more", [[], [(":protocol", "websocket")]], ids=["connect", "extended"])
async def test_cve_2026_71324_connect_is_not_implemented_and_poisons_nobody(home: House, more: list[tuple[str, str]]) -> None:
    """A CONNECT with a body, which a pooled HTTP/1.1 connection would carry into another client's answer."""
    fields = [(":method", "CONNECT"), (":authority", "gw.test:443"), *more]
    expected = 400 if more else 501
    assert await refused(home, fields, body=b"GET /admin/x HTTP/1.1\r\nhost: gw.test\r\n\r\n") == expected


@pytest.mark.parametrize("body", [b"123456", b"1234"], ids=["longer", "shorter"])
async def test_a_body_of_another_length_than_announced_ends_its_stream(home: House, body: bytes) -> None:
    """RFC 9113 8.1.1; on HTTP/1.1 the rest would be the next request."""
    async with peer(home.address()) as client:
        heard = await client.ask(1, ask("/public/x", ("content-length", "5"), method="POST"), body)
        assert heard.reset == PROTOCOL_ERROR
        assert (await client.ask(3, ask("/public/follower"))).status == 200
    assert [seen.target for seen in home.upstream.seen][-1:] == ["/public/follower"]
    assert all(len(seen.body) in (0, 5) for seen in home.upstream.seen)


async def test_crumbs_of_a_cookie_are_joined_before_anybody_reads_it(home: House) -> None:
    """RFC 9113 8.2.3."""
    async with peer(home.address()) as client:
        await client.ask(1, ask("/public/x", ("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c=3")))
    assert home.upstream.seen[0].all("cookie") == ["a=1; b=2; c=3"]


async def test_a_head_over_the_limits_is_431_and_a_target_over_them_414(home: House) -> None:
    async with peer(home.address()) as client:
        assert (await client.ask(1, ask("/public/" + "a" * 9000))).status == 414
        assert (await client.ask(3, ask("/public/x", *((f"x-{n}", "1") for n in range(120))))).status == 431
        assert (await client.ask(5, ask("/public/x", ("x", "a" * 33_000)))).status == 431
        assert (await client.ask(7, ask("/public/x"))).status == 200


async def test_trailers_of_a_request_reach_nobody(home: House) -> None:
    async with peer(home.address()) as client:
        client.head(1, ask("/public/x", method="POST"), end=False)
        client.data(1, b"body", end=False)
        client.head(1, [("x-gateway-subject", "root"), ("authorization", "Bearer x")])
        assert (await client.answer(1)).status == 200
    (seen,) = home.upstream.seen
    assert seen.body == b"body"
    assert not {"x-gateway-subject", "authorization"} & seen.names


async def test_every_refusal_is_in_the_audit_trail(home: House) -> None:
    async with peer(home.address()) as client:
        heard = await client.ask(1, ask("/public/x", ("connection", "close")))
    (event,) = await home.requests()
    assert (event["status"], event["reason"]) == (400, "malformed-request")
    assert event["request_id"] == heard["x-request-id"]


# Slow ones


async def test_cve_2019_9511_9517_a_reader_that_gives_no_window_is_cut_off(tmp_path: Path) -> None:
    """A large answer asked for and never taken."""
    listen = {**LISTEN, "limits": {"body_idle": "300ms", "min_download": 5000}}
    async with house(tmp_path, listen=listen) as home:
        home.upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + bytes(3000000)
        async with peer(home.address(), polite=False, settings=setting(INITIAL_WINDOW_SIZE, 10)) as client:
            client.head(1, ask("/public/large"))
            assert (await client.answer(1)).reset is not None
            assert len(client.streams[1].body) == 10


async def test_tiny_windows_do_not_buy_time(tmp_path: Path) -> None:
    listen = {**LISTEN, "limits": {"body_idle": "300ms", "min_download": 5000}}
    async with house(tmp_path, listen=listen) as home:
        home.upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + bytes(3000000)
        async with peer(home.address(), polite=False, settings=setting(INITIAL_WINDOW_SIZE, 1)) as client:
            client.head(1, ask("/public/large"))
            while not (client.closed or (1 in client.streams and client.streams[1].over)):
                client.window(1, 1)
                await asyncio.sleep(0.02)
            assert len(client.streams[1].body) < 3000


async def test_a_head_that_never_ends_is_cut_off_in_time(tmp_path: Path) -> None:
    listen = {**LISTEN, "limits": {"header_timeout": "300ms"}}
    async with house(tmp_path, listen=listen) as home, peer(home.address()) as client:
        assert (await client.ask(1, ask("/public/first"))).status == 200
        client.send(HEADERS, END_STREAM, 3, client.encoder.encode(ask()))
        assert await client.end() == PROTOCOL_ERROR


async def test_a_frame_that_never_ends_is_cut_off_in_time(tmp_path: Path) -> None:
    listen = {**LISTEN, "limits": {"header_timeout": "300ms"}}
    async with house(tmp_path, listen=listen) as home, peer(home.address()) as client:
        client.head(1, ask("/public/held", method="POST"), end=False)
        client.write(framed(HEADERS, END_STREAM, 3, bytes(100))[:50])
        assert await client.end() == PROTOCOL_ERROR


async def test_a_client_that_never_says_hello_is_sent_away(tmp_path: Path) -> None:
    listen = {**LISTEN, "limits": {"header_timeout": "300ms"}}
    async with house(tmp_path, listen=listen) as home:
        for begun in (b"", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
            reader, writer = await asyncio.open_connection(*home.address())
            writer.write(begun)
            async with asyncio.timeout(60):
                await reader.read()
            writer.close()


async def test_a_body_that_trickles_is_408(tmp_path: Path) -> None:
    listen = {**LISTEN, "limits": {"min_upload": 5000, "rate_grace": "200ms", "body_idle": "300ms"}}
    async with house(tmp_path, listen=listen) as home, peer(home.address()) as client:
        client.head(1, ask("/public/slow", ("content-length", "60000"), method="POST"), end=False)
        client.data(1, b"a", end=False)
        assert (await client.answer(1)).status == 408
        assert (await client.ask(3, ask("/public/x"))).status == 200


async def test_uploads_nobody_reads_do_not_block_the_connection_for_others(home: House) -> None:
    """What is refused is paid back: a hundred refused uploads use up no window."""
    async with peer(home.address()) as client:
        for number_ in range(1, 401, 2):
            client.head(number_, ask("/nowhere", method="POST"), end=False)
            client.data(number_, bytes(16384))
            assert (await client.answer(number_)).status == 404
        heard = await client.ask(401, ask("/public/x", method="POST"), bytes(60000)[:16384])
        assert heard.status == 200


async def test_a_body_over_the_limit_is_413(tmp_path: Path) -> None:
    async with house(tmp_path, listen={**LISTEN, "limits": {"body": "20KiB"}}) as home, peer(home.address()) as client:
        client.head(1, ask("/public/x", method="POST"), end=False)
        for _ in range(3):
            client.data(1, bytes(10_000), end=False)
        assert (await client.answer(1)).status == 413
        assert (await client.ask(3, ask("/public/x"))).status == 200
