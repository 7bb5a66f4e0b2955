"""What the server makes of bytes: one Inbound for one request, whatever the segments, and nothing behind a broken one."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.rawhttp import FOLLOWER, Echo, limits, serving

HASTY = limits(header_timeout=3.0, body_idle=3.0, idle_timeout=3.0)


@pytest.mark.parametrize(
    "target",
    [b"/a?b=c", b"/a#fragment", b"//a/b", b"http://x.example/y?z#w", b"*", b"/a/../b", b"/%2e%2e/%00", b"/a\\b", b'/a|b?{}^`"<>'],
    ids=lambda target: target.decode(),
)
async def test_the_target_reaches_the_app_byte_for_byte(target: bytes) -> None:
    echo = Echo()
    async with serving(echo) as gate:
        client = await gate.ask(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target)
        assert (await client.answer()).status == 200
    assert echo.seen[0].target == target


async def test_fields_arrive_in_order_with_lower_case_names_and_trimmed_raw_values() -> None:
    echo = Echo()
    async with serving(echo) as gate:
        client = await gate.ask(b"GET / HTTP/1.1\r\nHost: A\r\nX-B:  \xff one \t\r\nx-b:\r\nX-C:two\r\n\r\n")
        await client.answer()
    inbound = echo.seen[0]
    assert inbound.headers == [(b"host", b"A"), (b"x-b", b"\xff one"), (b"x-b", b""), (b"x-c", b"two")]
    assert (inbound.method, inbound.version, inbound.peer, inbound.listener) == ("GET", "1.1", "127.0.0.1", "main")
    assert (inbound.secure, inbound.server_name, inbound.certificate, inbound.fault) == (False, None, None, None)


@pytest.mark.parametrize("method", ["TRACE", "PROPFIND", "DELETE", "OPTIONS"])
async def test_methods_are_the_apps_to_judge(method: str) -> None:
    echo = Echo()
    async with serving(echo) as gate:
        client = await gate.ask(f"{method} / HTTP/1.1\r\nHost: a\r\n\r\n".encode() + FOLLOWER)
        assert (await client.answer()).status == 200
        assert (await client.answer()).body == b"GET /follower 0\n"
    assert echo.seen[0].method == method


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET / HTTP/2.0", 505),
        (b"GET / HTTP/1.2", 505),
        (b"GET / HTTP/0.9", 505),
        (b"GET /", 505),
        (b"PRI * HTTP/2.0", 505),
        (b"GET / HTTP/1.10", 505),
        (b"GET / RTSP/1.0", 400),
        (b"SOURCE / ICE/1.0", 400),
        (b"GET  / HTTP/1.1", 400),
        (b"GET /  HTTP/1.1", 400),
        (b"GET / HTTP/1.1 ", 400),
        (b" GET / HTTP/1.1", 400),
        (b"GET\t/ HTTP/1.1", 400),
        (b"get / HTTP/1.1", 400),
        (b"GET / http/1.1", 400),
        (b"GET /\x7f HTTP/1.1", 400),
        (b"GET /\xc3\xa4 HTTP/1.1", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    ],
    ids=repr,
)
async def test_a_request_line_that_is_not_http_1_is_refused_through_the_app(line: bytes, status: int) -> None:
    echo = Echo()
    async with serving(echo) as gate:
        client = await gate.ask(line + b"\r\nHost: a\r\n\r\n" + FOLLOWER)
        answer = await client.answer()
        assert (answer.status, answer.fields["connection"], answer.body) == (status, "close", b"refused\n")
        assert await client.rest() == b""
    assert [inbound.fault is not None for inbound in echo.seen] == [True]


async def test_http_0_9_is_refused_without_waiting_for_more() -> None:
    async with serving(Echo()) as gate:
        client = await gate.ask(b"GET /\r\n")
        assert (await client.answer()).status == 505


async def test_what_is_known_of_a_refused_request_is_told() -> None:
    echo = Echo()
    async with serving(echo) as gate:
        client = await gate.ask(b"DELETE /thing HTTP/1.0\r\nHost: a\r\nX: y\r\nBad Field: x\r\n\r\n")
        assert (await client.answer()).status == 400
    inbound = echo.seen[0]
    assert (inbound.method, inbound.target, inbound.version, inbound.headers[:1]) == ("DELETE", b"/thing", "1.0", [(b"host", b"a")])


async def test_nothing_of_the_previous_request_is_told_of_a_broken_one() -> None:
    echo = Echo()
    async with serving(echo) as gate:
        client = await gate.ask(b"GET /first HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n")
        await client.answer()
        await client.send(b"\x00\x01\x02")
        assert (await client.answer()).status == 400
    assert (echo.seen[1].method, echo.seen[1].target, echo.seen[1].headers) == ("-", b"", [])


@pytest.mark.parametrize("ending", [b"", b"x", b"\r\n\r\n"], ids=repr)
async def test_empty_lines_before_a_request_are_skipped(ending: bytes) -> None:
    echo = Echo()
    async with serving(echo) as gate:
        client = await gate.ask(b"\r\n\r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\r\n\r\n" + FOLLOWER)
        assert (await client.answer()).body == b"POST / 3\n"
        assert (await client.answer()).body == b"GET /follower 0\n"
    assert echo.bodies == [b"abc", b""]


async def test_trailers_are_dropped() -> None:
    echo = Echo()
    async with serving(echo) as gate:
        client = await gate.ask(
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-User\r\n\r\n3\r\nabc\r\n0\r\nX-User: admin\r\n\r\n"
        )
        assert (await client.answer()).status == 200
        await client.send(FOLLOWER)
        assert (await client.answer()).body == b"GET /follower 0\n"
    assert echo.bodies[0] == b"abc"
    assert b"x-user" not in dict(echo.seen[0].headers)


async def test_an_http_1_0_connection_ends_after_its_answer() -> None:
    async with serving(Echo()) as gate:
        client = await gate.ask(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + FOLLOWER)
        assert (await client.answer()).fields["connection"] == "close"
        assert await client.rest() == b""


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        (b"", b""),
        (b"Content-Length: 4\r\n", b"data"),
        (b"Transfer-Encoding: chunked\r\n", b"4\r\ndata\r\n0\r\n\r\n"),
    ],
    ids=["bare", "length", "chunked"],
)
@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket", b"TLS/1.0"])
async def test_an_upgrade_is_an_ordinary_request_and_the_last_one(upgrade: bytes, fields: bytes, body: bytes) -> None:
    echo = Echo()
    async with serving(echo) as gate:
        head = b"POST /up HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: %b\r\n%b\r\n" % (upgrade, fields)
        client = await gate.ask(head + body + FOLLOWER)
        answer = await client.answer()
        assert (answer.status, answer.fields["connection"]) == (200, "close")
        assert await client.rest() == b""
    assert (echo.targets, echo.bodies) == ([b"/up"], [b"data" if body else b""])


async def test_the_chunks_of_an_upgrade_are_judged_as_strictly() -> None:
    echo = Echo()
    async with serving(echo) as gate:
        client = await gate.ask(
            b"POST / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n4\ndata\r\n0\r\n\r\n"
            + FOLLOWER
        )
        assert (await client.answer()).status == 400
        assert await client.rest() == b""
    assert echo.targets == []


async def test_pipelined_requests_are_answered_one_after_the_other() -> None:
    """attacks.md row 140: ten thousand of them, and never more than one in flight."""
    running = most = 0
    order: list[bytes] = []

    class Counting(Echo):
        async def __call__(self, inbound: Any, writer: Any) -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            order.append(inbound.target)
            await asyncio.sleep(0)
            await super().__call__(inbound, writer)
            running -= 1

    async with serving(Counting()) as gate:
        client = await gate.connect()
        sending = asyncio.create_task(
            client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(10_000)))
        )
        for number in range(10_000):
            assert (await client.answer()).body == b"GET /%d 0\n" % number
        await sending
    assert most == 1
    assert order == [b"/%d" % number for number in range(10_000)]


@pytest.mark.parametrize("trailer", [b"", b"T: u\r\n"], ids=["no trailer", "trailer"])
async def test_a_request_behind_a_chunked_body_in_one_segment_is_the_next_one(trailer: bytes) -> None:
    echo = Echo()
    async with serving(echo) as gate:
        head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        client = await gate.ask((head + b"4\r\n\r\n\r\n\r\n0\r\n" + trailer + b"\r\n") * 2 + FOLLOWER)
        assert (await client.answer()).body == b"POST / 4\n"
        assert (await client.answer()).body == b"POST / 4\n"
        assert (await client.answer()).body == b"GET /follower 0\n"
    assert echo.bodies == [b"\r\n\r\n", b"\r\n\r\n", b""]


def load(vectors: Path) -> list[dict[str, Any]]:
    lines = (vectors / "http" / "llhttp_requests.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


# Answered before the byte that llhttp objects to is looked at: it lies behind a message that ends the connection, or
# behind a complete one.
LATE = {"No restart when keep-alive is off (1.0)", "CRLF between requests, implicit `keep-alive`"}


async def play(case: dict[str, Any]) -> tuple[dict[str, Any], Echo, bytes]:
    echo = Echo()
    async with serving(echo, limits=HASTY) as gate:
        client = await gate.ask(case["raw"].encode("latin-1") + b"\r\n\r\n" + FOLLOWER)
        return case, echo, await client.rest()


async def test_llhttps_own_cases_are_refused_where_it_refuses_and_never_leak_a_follower(vectors: Path) -> None:
    cases = load(vectors)
    assert len(cases) == 107
    for case, echo, answers in await asyncio.gather(*map(play, cases)):
        name = case["id"].rpartition("/")[2]
        strict = case["src_expect"] == "reject" and name not in LATE
        if strict:
            assert b" 200 OK" not in answers, case["id"]
            assert answers.count(b"HTTP/1.1 ") == 1, case["id"]
            assert b"connection: close" in answers, case["id"]
        if strict or name in LATE or b"connection: close" in answers.split(b"\r\n\r\n")[0]:
            assert b"/follower" not in echo.targets, case["id"]
        assert len(echo.seen) == answers.count(b"HTTP/1.1 "), case["id"]
