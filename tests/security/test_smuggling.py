"""Request smuggling at the listener (attacks.md 4.4): refused with 400, closed, and the follower gets nothing."""

import pytest

from tests.rawhttp import FOLLOWER, Echo, serving

POST = b"POST /smuggle HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
HIDDEN = b"0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"

HEADS = {
    "CL.TE": POST + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n" + HIDDEN,
    "TE.CL": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n" + HIDDEN,
    "TE.TE x": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n" + HIDDEN,
    "TE.TE identity": POST + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n" + HIDDEN,
    "TE twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + HIDDEN,
    "TE xchunked": POST + b"Transfer-Encoding: xchunked\r\n\r\n" + HIDDEN,
    "TE not last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n" + HIDDEN,
    "TE gzip, chunked": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + HIDDEN,
    "TE , chunked": POST + b"Transfer-Encoding: , chunked\r\n\r\n" + HIDDEN,
    "TE quoted": POST + b'Transfer-Encoding: "chunked"\r\n\r\n' + HIDDEN,
    "TE with parameter": POST + b"Transfer-Encoding: chunked;q=1\r\n\r\n" + HIDDEN,
    "TE vertical tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + HIDDEN,
    "TE empty": POST + b"Transfer-Encoding:\r\n\r\n" + HIDDEN,
    "TE folded": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + HIDDEN,
    "TE space before colon": POST + b"Transfer-Encoding : chunked\r\n\r\n" + HIDDEN,
    "TE in HTTP/1.0": b"POST /smuggle HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + HIDDEN,
    "CL.CL": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n" + HIDDEN,
    "CL.CL equal": POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n" + HIDDEN,
    "CL list": POST + b"Content-Length: 5, 5\r\n\r\n" + HIDDEN,
    "CL plus": POST + b"Content-Length: +5\r\n\r\n" + HIDDEN,
    "CL minus": POST + b"Content-Length: -5\r\n\r\n" + HIDDEN,
    "CL hex": POST + b"Content-Length: 0x5\r\n\r\n" + HIDDEN,
    "CL inner space": POST + b"Content-Length: 5 5\r\n\r\n" + HIDDEN,
    "CL underscore": POST + b"Content-Length: 5_0\r\n\r\n" + HIDDEN,
    "CL overflow": POST + b"Content-Length: 18446744073709551621\r\n\r\n" + HIDDEN,
    "CL empty": POST + b"Content-Length:\r\n\r\n" + HIDDEN,
    "CL space before colon": POST + b"Content-Length : 5\r\n\r\n" + HIDDEN,
    "CL non-ASCII digit": POST + b"Content-Length: \xd9\xa5\r\n\r\n" + HIDDEN,
    "obs-fold": POST + b"X: a\r\n b\r\n\r\n",
    "obs-fold tab": POST + b"X: a\r\n\tTransfer-Encoding: chunked\r\n\r\n" + HIDDEN,
    "space before first field": b"POST /smuggle HTTP/1.1\r\n Transfer-Encoding: chunked\r\n\r\n" + HIDDEN,
    "bare LF between fields": POST + b"X: a\nTransfer-Encoding: chunked\r\n\r\n" + HIDDEN,
    "bare LF everywhere": b"POST /smuggle HTTP/1.1\nHost: a\n\n",
    "bare CR in a value": POST + b"X: a\rTransfer-Encoding: chunked\r\n\r\n" + HIDDEN,
    "CVE-2019-9900 NUL in a value": POST + b"X: a\x00b\r\n\r\n",
    "control character in a value": POST + b"X: a\x01b\r\n\r\n",
    "DEL in a value": POST + b"X: a\x7fb\r\n\r\n",
    "no colon": POST + b"X\r\n\r\n",
    "no name": POST + b": x\r\n\r\n",
    "non-ASCII name": POST + b"X\xe9: x\r\n\r\n",
    "CVE-2023-49082 line in the method": b"GET\r\nX: y / HTTP/1.1\r\nHost: a\r\n\r\n",
}

BODIES = {
    "CVE-2025-22871 bare LF after a size": CHUNKED + b"5\nhello\r\n" + HIDDEN,
    "CVE-2024-52304 LF in an extension": CHUNKED + b"5;x\nhello\r\n" + HIDDEN,
    "LF in a quoted extension": CHUNKED + b'5;x="a\nb"\r\nhello\r\n' + HIDDEN,
    "CR in an extension": CHUNKED + b"5;x\ry\r\nhello\r\n" + HIDDEN,
    "CVE-2025-43859 no CRLF after data": CHUNKED + b"5\r\nhelloXX" + HIDDEN,
    "bare LF after data": CHUNKED + b"5\r\nhello\n" + HIDDEN,
    "longer than its size": CHUNKED + b"4\r\nhello\r\n" + HIDDEN,
    "size in hex notation": CHUNKED + b"0x5\r\nhello\r\n" + HIDDEN,
    "size with plus": CHUNKED + b"+5\r\nhello\r\n" + HIDDEN,
    "size with minus": CHUNKED + b"-5\r\nhello\r\n" + HIDDEN,
    "size with a space": CHUNKED + b"5 \r\nhello\r\n" + HIDDEN,
    "size overflow": CHUNKED + b"FFFFFFFFFFFFFFFFF\r\nhello\r\n" + HIDDEN,
    "no size": CHUNKED + b"\r\nhello\r\n" + HIDDEN,
    "bare LF at the end": CHUNKED + b"0\n\nGET /hidden HTTP/1.1\r\nHost: a\r\n\r\n",
    "a request as trailers": CHUNKED + b"0\r\nGET /hidden HTTP/1.1\r\nHost: a\r\n\r\n",
    "Content-Length as a trailer": CHUNKED + b"0\r\nContent-Length: 9\r\n\r\nGET /hidden HTTP/1.1\r\nHost: a\r\n\r\n",
    "Transfer-Encoding as a trailer": CHUNKED + b"0\r\nTransfer-Encoding: chunked\r\n\r\n" + HIDDEN,
}


async def play(raw: bytes) -> Echo:
    """Send it with a follower on the same socket: one answer, 400, closed."""
    echo = Echo()
    async with serving(echo) as gate:
        client = await gate.ask(raw + FOLLOWER)
        answer = await client.answer()
        assert (answer.status, answer.fields["connection"], answer.fields["x-reason"]) == (400, "close", "malformed-request")
        assert await client.rest() == b""
    return echo


@pytest.mark.parametrize("raw", HEADS.values(), ids=HEADS.keys())
async def test_a_head_two_readers_could_frame_differently_is_refused(raw: bytes) -> None:
    """Rows 6, 62, 65: nothing of it is served, nor anything behind it."""
    echo = await play(raw)
    assert echo.targets == []
    assert echo.bodies == []


@pytest.mark.parametrize("raw", BODIES.values(), ids=BODIES.keys())
async def test_a_body_two_readers_could_end_differently_is_refused(raw: bytes) -> None:
    """Rows 59, 60, 61: where it came with its head the request does not begin, and nothing behind it is served."""
    echo = await play(raw)
    assert echo.targets == []
    assert echo.bodies == []


@pytest.mark.parametrize("raw", BODIES.values(), ids=BODIES.keys())
async def test_a_body_that_turns_out_to_be_broken_is_refused_too(raw: bytes) -> None:
    """The same where the request had begun: whoever reads the body is told."""
    echo = Echo()
    async with serving(echo) as gate:
        client = await gate.ask(CHUNKED + b"2\r\nok\r\n")
        await gate.until(lambda: bool(echo.seen))
        await client.send(raw.removeprefix(CHUNKED) + FOLLOWER)
        answer = await client.answer()
        assert (answer.status, answer.fields["connection"], answer.fields["x-reason"]) == (400, "close", "malformed-request")
        assert await client.rest() == b""
    assert echo.targets == [b"/smuggle"]
    assert echo.bodies == []


@pytest.mark.parametrize(
    "head",
    [b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /up HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"],
    ids=["CONNECT", "Upgrade"],
)
async def test_early_bytes_of_a_tunnel_are_dropped(head: bytes) -> None:
    """CVE-2025-64763, CVE-2026-71324 (rows 63, 64)."""
    echo = Echo()
    async with serving(echo) as gate:
        client = await gate.ask(head + FOLLOWER)
        assert (await client.answer()).fields["connection"] == "close"
        assert await client.rest() == b""
    assert len(echo.targets) == 1


async def test_cve_2026_49975_ten_thousand_fields_are_431() -> None:
    """Row 66."""
    async with serving(Echo()) as gate:
        client = await gate.ask(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10_000 + b"\r\n")
        assert (await client.answer()).status == 431


async def test_cve_2021_32779_a_fragment_reaches_the_intake_as_it_came() -> None:
    """Row 7: what is refused there must not have been dropped here."""
    echo = Echo()
    async with serving(echo) as gate:
        await (await gate.ask(b"GET /admin#x HTTP/1.1\r\nHost: a\r\n\r\n")).answer()
    assert echo.targets == [b"/admin#x"]


async def test_cve_2026_34525_both_host_fields_reach_the_intake() -> None:
    """Row 54."""
    echo = Echo()
    async with serving(echo) as gate:
        await (await gate.ask(b"GET http://c/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")).answer()
    assert echo.seen[0].headers == [(b"host", b"a"), (b"host", b"b")]
    assert echo.seen[0].target == b"http://c/"
