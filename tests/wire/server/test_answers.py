"""What the server writes: framing, fields of its own, 100 Continue, and how it ends."""

import asyncio

import pytest

from gateway.core.message import Field, Inbound, Response
from gateway.core.ports import App, Writer
from tests.rawhttp import FOLLOWER, LARGE, Echo, limits, scripted, serving

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\nHost: a\r\n\r\n"


def whole(body: bytes, *headers: Field, status: int = 200, close: bool = False) -> App:
    async def app(inbound: Inbound, writer: Writer) -> None:
        await writer.start(Response(status, list(headers), close=close), body, False)

    return scripted(app)


def streamed(*pieces: bytes, headers: tuple[Field, ...] = (), status: int = 200) -> App:
    async def app(inbound: Inbound, writer: Writer) -> None:
        await writer.start(Response(status, list(headers)), pieces[0], True)
        for piece in pieces[1:]:
            await writer.write(piece)
        writer.end()

    return scripted(app)


async def test_nothing_tells_which_server_answers() -> None:
    async with serving(whole(b"x")) as gate:
        answer = await (await gate.ask(GET)).answer()
    assert set(answer.fields) == {"date", "content-length"}
    assert answer.head.startswith(b"HTTP/1.1 200 OK\r\n")


async def test_the_access_log_of_uvicorn_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with serving(Echo()) as gate:
        client = await gate.ask(GET)
        await client.answer()
        await client.send(b"broken\r\n\r\n")
        await client.answer()
    assert [record for record in caplog.records if record.name.startswith(("uvicorn", "gateway"))] == []


async def test_forwarding_fields_do_not_change_the_peer() -> None:
    echo = Echo()
    async with serving(echo) as gate:
        await (await gate.ask(GET[:-2] + b"X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n\r\n")).answer()
    assert (echo.seen[0].peer, echo.seen[0].secure) == ("127.0.0.1", False)


async def test_websockets_are_not_spoken() -> None:
    echo = Echo()
    async with serving(echo) as gate:
        client = await gate.ask(
            b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        answer = await client.answer()
        assert (answer.status, answer.fields["connection"]) == (200, "close")
        assert await client.rest() == b""
    assert echo.targets == [b"/ws"]


async def test_head_and_body_leave_in_one_write() -> None:
    async with serving(whole(b"x" * 100)) as gate:
        client = await gate.ask(GET)
        assert (await client.reader.read(65536)).endswith(b"\r\n\r\n" + b"x" * 100)


async def test_a_whole_body_gets_its_own_length_whatever_was_given() -> None:
    async with serving(whole(b"four", (b"content-length", b"9"), (b"transfer-encoding", b"chunked"))) as gate:
        answer = await (await gate.ask(GET)).answer()
    assert (answer.body, answer.fields["content-length"]) == (b"four", "4")
    assert "transfer-encoding" not in answer.fields


async def test_a_streamed_body_of_known_length_keeps_it() -> None:
    async with serving(streamed(b"fo", b"ur", headers=((b"content-length", b"4"),))) as gate:
        client = await gate.ask(GET + GET)
        answer = await client.answer()
        assert (answer.body, answer.fields["content-length"]) == (b"four", "4")
        assert (await client.answer()).body == b"four"


async def test_a_streamed_body_of_unknown_length_is_chunked() -> None:
    async with serving(streamed(b"", b"fo", b"", b"ur")) as gate:
        client = await gate.ask(GET + GET)
        answer = await client.answer()
        assert (answer.body, answer.fields["transfer-encoding"]) == (b"four", "chunked")
        assert (await client.answer()).body == b"four"


async def test_an_http_1_0_client_gets_no_chunks_but_the_end_of_the_connection() -> None:
    async with serving(streamed(b"fo", b"ur")) as gate:
        answer = await (await gate.ask(OLD)).answer()
    assert (answer.body, answer.fields["connection"]) == (b"four", "close")
    assert "transfer-encoding" not in answer.fields


@pytest.mark.parametrize(
    ("app", "length"),
    [(whole(b"four"), "4"), (whole(b"", (b"content-length", b"9")), "9"), (streamed(b"", b"four"), None)],
    ids=["own body", "length given", "stream"],
)
async def test_head_has_the_fields_of_get_and_no_body(app: App, length: str | None) -> None:
    async with serving(app) as gate:
        client = await gate.ask(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" * 2)
        assert (await client.answer("HEAD")).fields.get("content-length") == length
        assert (await client.answer("HEAD")).fields.get("content-length") == length
        assert await client.is_silent()


@pytest.mark.parametrize(
    ("app", "length"),
    [
        (whole(b"x", (b"content-length", b"1"), status=204), None),
        (whole(b"", (b"content-length", b"77"), status=304), "77"),
        (streamed(b"x", b"y", status=204), None),
    ],
    ids=["204", "304", "204 streamed"],
)
async def test_204_and_304_have_no_body(app: App, length: str | None) -> None:
    async with serving(app) as gate:
        client = await gate.ask(GET * 2)
        for _ in range(2):
            answer = await client.answer()
            assert answer.fields.get("content-length") == length
            assert "transfer-encoding" not in answer.fields
        assert await client.is_silent()


async def test_hop_by_hop_fields_of_a_response_are_not_ours_to_pass() -> None:
    fields = (b"connection", b"x-secret, keep-alive"), (b"keep-alive", b"timeout=5"), (b"proxy-connection", b"x")
    async with serving(whole(b"", *fields)) as gate:
        answer = await (await gate.ask(GET)).answer()
    assert set(answer.fields) == {"date", "content-length"}


async def test_a_given_date_is_kept() -> None:
    async with serving(whole(b"", (b"date", b"Sun, 06 Nov 1994 08:49:37 GMT"))) as gate:
        answer = await (await gate.ask(GET)).answer()
    assert answer.head.lower().count(b"\r\ndate:") == 1
    assert answer.fields["date"] == "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize(
    ("request_bytes", "close"),
    [(GET, True), (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", False)],
    ids=["asked by the app", "asked by the client"],
)
async def test_a_closing_answer_says_so_and_closes(request_bytes: bytes, close: bool) -> None:
    async with serving(whole(b"x", close=close)) as gate:
        client = await gate.ask(request_bytes + FOLLOWER)
        assert (await client.answer()).fields["connection"] == "close"
        assert await client.rest() == b""


@pytest.mark.parametrize(
    "field",
    [(b"x", b"a\r\nset-cookie: b"), (b"x\r\ny", b"a"), (b"x", b"a\nb"), (b"x", b"a\rb"), (b"x", b"a\0b"), (b"x", b"a\r\n")],
    ids=repr,
)
async def test_a_field_cannot_smuggle_in_another(field: Field) -> None:
    raised: list[ValueError] = []

    async def app(inbound: Inbound, writer: Writer) -> None:
        try:
            await writer.start(Response(200, [field]), b"", False)
        except ValueError as error:
            raised.append(error)
        await writer.start(Response(500, []), b"", False)

    async with serving(scripted(app)) as gate:
        assert (await (await gate.ask(GET)).answer()).status == 500
    assert len(raised) == 1


@pytest.mark.parametrize("status", [100, 101, 199, 600, 0])
async def test_only_a_final_status_can_be_sent(status: int) -> None:
    async with serving(whole(b"", status=status)) as gate:
        assert await (await gate.ask(GET)).rest() == b""


@pytest.mark.parametrize(
    "pieces", [(b"fo",), (b"fo", b"urs"), (b"fours",)], ids=["shorter", "longer in a write", "longer at the start"]
)
async def test_a_body_that_belies_its_length_is_cut(pieces: tuple[bytes, ...]) -> None:
    async with serving(streamed(*pieces, headers=((b"content-length", b"4"),))) as gate:
        received = await (await gate.ask(GET + FOLLOWER)).rest()
    assert received.count(b"HTTP/1.1") <= 1
    assert b"fours" not in received
    assert not received.endswith(b"four")


async def test_an_aborted_stream_is_seen_as_cut_off() -> None:
    async def app(inbound: Inbound, writer: Writer) -> None:
        await writer.start(Response(200, []), b"first", True)
        writer.abort()
        writer.abort()

    async with serving(scripted(app)) as gate:
        received = await (await gate.ask(GET)).rest()
    assert not received.endswith(b"0\r\n\r\n")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_an_app_that_fails_or_forgets_to_answer_ends_the_connection() -> None:
    async def app(inbound: Inbound, writer: Writer) -> None:
        if inbound.target == b"/forgets":
            await writer.start(Response(200, []), b"half", True)

    async with serving(scripted(app)) as gate:
        assert b"0\r\n\r\n" not in await (await gate.ask(b"GET /forgets HTTP/1.1\r\nHost: a\r\n\r\n" + FOLLOWER)).rest()
        assert await (await gate.ask(GET)).rest() == b""


EXPECTING = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 4\r\n\r\n"


async def test_100_continue_is_sent_when_the_app_reads_the_body() -> None:
    reading = asyncio.Event()

    async def app(inbound: Inbound, writer: Writer) -> None:
        await reading.wait()
        body = await inbound.body.read(LARGE)
        await writer.start(Response(200, []), body, False)

    async with serving(scripted(app)) as gate:
        client = await gate.ask(EXPECTING)
        assert await client.is_silent()
        reading.set()
        assert (await client.answer()).head == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(b"four")
        assert (await client.answer()).body == b"four"
        await client.send(FOLLOWER)
        assert (await client.answer()).status == 200


async def test_an_answer_without_reading_the_body_sends_no_100_and_closes() -> None:
    async with serving(whole(b"no", status=403)) as gate:
        client = await gate.ask(EXPECTING)
        answer = await client.answer()
        assert (answer.status, answer.fields["connection"]) == (403, "close")
        assert await client.rest() == b""


@pytest.mark.parametrize(
    "raw",
    [EXPECTING + b"four", EXPECTING.replace(b"1.1", b"1.0") + b"four", EXPECTING.replace(b"th: 4", b"th: 0")],
    ids=["body already there", "HTTP/1.0", "no body"],
)
async def test_no_100_where_nobody_waits_for_it(raw: bytes) -> None:
    async with serving(Echo()) as gate:
        assert (await (await gate.ask(raw)).answer()).status == 200


@pytest.mark.parametrize("late", [b"", b"x" * 1000], ids=["all there", "some to come"])
async def test_a_small_unread_body_is_dropped_and_the_connection_used_again(late: bytes) -> None:
    async with serving(whole(b"no", status=401)) as gate:
        client = await gate.ask(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\nabc" % (3 + len(late)))
        assert (await client.answer()).status == 401
        await client.send(late + FOLLOWER)
        assert (await client.answer()).status == 401


@pytest.mark.parametrize("fields", [b"Content-Length: 1000000\r\n", b"Transfer-Encoding: chunked\r\n"], ids=["large", "unknown"])
async def test_a_large_unread_body_ends_the_connection_and_the_answer_arrives(fields: bytes) -> None:
    async with serving(whole(b"no", status=401)) as gate:
        client = await gate.ask(b"POST / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n")
        answer = await client.answer()
        assert (answer.status, answer.fields["connection"]) == (401, "close")
        await client.send(b"x" * 100_000)
        assert await client.rest() == b""


async def test_an_unread_body_that_never_comes_does_not_hold_the_connection() -> None:
    async with serving(whole(b"no", status=401), limits=limits(body_idle=0.1)) as gate:
        client = await gate.ask(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
        assert (await client.answer()).status == 401
        assert await client.rest() == b""
