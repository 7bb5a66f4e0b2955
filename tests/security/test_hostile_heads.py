"""Answers made to carry a credential past the search of heads: where HTTP has room that is neither a field's value nor a body."""

import asyncio
import logging
from pathlib import Path

import pytest

from tests.house import UPSTREAM_TOKEN as TOKEN
from tests.house import house

FINE, BROKEN = 200, 502
ONE_BY_ONE = "".join(f"1\r\n{sign}\r\n" for sign in TOKEN)
ANSWERS: dict[str, tuple[int, str]] = {
    "the reason phrase": (FINE, f"HTTP/1.1 200 {TOKEN}\r\nContent-Length: 2\r\n\r\nok"),
    "a folded line": (BROKEN, f"HTTP/1.1 200 OK\r\nX-A: one\r\n {TOKEN}\r\nContent-Length: 2\r\n\r\nok"),
    "a value folded in its middle": (BROKEN, f"HTTP/1.1 200 OK\r\nX-A: {TOKEN[:6]}\r\n {TOKEN[6:]}\r\nContent-Length: 2\r\n\r\nok"),
    "interim answers": (
        FINE,
        (
            f"HTTP/1.1 103 {TOKEN}\r\nLink: </{TOKEN}>\r\nX-A: {TOKEN}\r\n\r\n"
            f"HTTP/1.1 102 {TOKEN}\r\nLink: <{TOKEN}>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        ),
    ),
    "extensions of chunks, a trailer": (
        FINE,
        f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a={TOKEN}\r\nok\r\n0;{TOKEN}\r\nX-T: {TOKEN}\r\n\r\n",
    ),
    "chunks of a byte": (FINE, f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{ONE_BY_ONE}0\r\n\r\n"),
    "parts nobody asked for": (
        206,
        (
            "HTTP/1.1 206 Partial Content\r\nContent-Type: multipart/byteranges; boundary=x\r\n"
            f"Content-Length: {len(TOKEN) + 2}\r\n\r\n<{TOKEN}>"
        ),
    ),
    "a length": (BROKEN, f"HTTP/1.1 200 OK\r\nContent-Length: 00{TOKEN}\r\n\r\nok"),
    "a charset": (403, f"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset={TOKEN}\r\nContent-Length: 2\r\n\r\nok"),
    "a control character within": (
        BROKEN,
        f"HTTP/1.1 200 OK\r\nX-A: {TOKEN[:5]}\x01{TOKEN[5:]}\r\nX-B: \0{TOKEN}\r\nContent-Length: 2\r\n\r\nok",
    ),
    "bare line feeds": (BROKEN, f"HTTP/1.1 200 OK\nX-A: {TOKEN}\nContent-Length: 2\n\nok"),
    "a status that is none": (BROKEN, f"HTTP/1.1 999 {TOKEN}\r\nContent-Length: 2\r\n\r\nok"),
    "no HTTP": (BROKEN, f"{TOKEN} hello"),
    "what browsers act on": (
        FINE,
        (
            f"HTTP/1.1 200 OK\r\nRefresh: 0; url=/?k={TOKEN}\r\nLocation: http://x/{TOKEN}\r\nSet-Cookie: a={TOKEN}\r\n"
            f"WWW-Authenticate: Bearer error={TOKEN}\r\nServer-Timing: a;desc={TOKEN}\r\nAlt-Svc: {TOKEN}\r\n"
            f"Content-Disposition: attachment; filename={TOKEN}\r\nContent-Length: 2\r\n\r\nok"
        ),
    ),
}


async def test_no_corner_of_an_answer_s_head_or_framing_carries_a_credential_to_the_client(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    found: dict[str, bytes] = {}
    async with house(tmp_path) as gateway:
        for name, (_, answer) in ANSWERS.items():
            gateway.upstream.answer = answer.encode()
            reader, writer = await asyncio.open_connection(*gateway.address())
            asked = f"GET /admin/x HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {gateway.keys.token()}\r\n"
            writer.write(f"{asked}Connection: close\r\n\r\n".encode())
            async with asyncio.timeout(20):
                found[name] = await reader.read()
            writer.close()
        assert [seen.all("authorization") for seen in gateway.upstream.seen] == [[f"Bearer {TOKEN}"]] * len(ANSWERS)
        events = str(await gateway.events())
    last = {name: raw[raw.rindex(b"HTTP/1.1 ") :].split(b" ")[1] for name, raw in found.items()}
    assert last == {name: b"%d" % status for name, (status, _) in ANSWERS.items()}
    assert [name for name, raw in found.items() if TOKEN.encode() in raw or TOKEN[6:].encode() in raw] == []
    assert TOKEN not in events + caplog.text
