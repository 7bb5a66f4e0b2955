"""HTTP/2 as others speak it: httpx with python-hyper's h2, over TLS and in the clear, to upstreams of both protocols."""

import asyncio
import ssl
from pathlib import Path

import httpx

from tests.house import house
from tests.http2peer import Http2Server, saying
from tests.pki import Pki


async def test_httpx_over_tls_speaks_http_2_and_is_answered_as_over_http_1_1(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    tls = {"certificate": str(pki.certificate), "key": {"file": str(pki.key)}}
    context = ssl.create_default_context()
    pki.ca.configure_trust(context)
    listen = {"address": "127.0.0.1:0", "http2": True, "tls": tls}
    answers = {}
    async with house(tmp_path, listen=listen) as home:
        home.upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\nX-Own: 1\r\n\r\n" + b"x" * 300_000
        url = f"https://localhost:{home.address()[1]}"
        for version, http2 in (("HTTP/2", True), ("HTTP/1.1", False)):
            async with httpx.AsyncClient(http2=http2, http1=not http2, verify=context, base_url=url) as client:
                replies = [
                    await client.get("/public/a?b=c"),
                    await client.post("/public/up", content=b"y" * 200_000),
                    await client.get("/admin/x"),
                    await client.get("/nowhere"),
                    *await asyncio.gather(*(client.get(f"/public/{number}") for number in range(30))),
                ]
            assert {reply.http_version for reply in replies} == {version}
            answers[version] = [(reply.status_code, len(reply.content), sorted(told(reply))) for reply in replies]
    assert answers["HTTP/2"] == answers["HTTP/1.1"]
    assert [status for status, *_ in answers["HTTP/2"][:4]] == [200, 200, 401, 404]
    assert [(seen.method, len(seen.body)) for seen in home.upstream.seen if seen.target == "/public/up"] == [("POST", 200_000)] * 2


def told(reply: httpx.Response) -> list[str]:
    """The names of an answer's fields, but for those about the connection."""
    return [name for name in reply.headers if name not in ("connection", "transfer-encoding")]


async def test_httpx_in_the_clear_with_prior_knowledge(tmp_path: Path) -> None:
    async with Http2Server(saying(b"there", ("x-own", "1"))) as upstream:
        over = {"url": f"http://127.0.0.1:{upstream.port}", "http2": True}
        async with house(tmp_path, upstream=over, listen={"address": "127.0.0.1:0", "http2": True}) as home:
            url = f"http://127.0.0.1:{home.address()[1]}"
            async with httpx.AsyncClient(http2=True, http1=False, base_url=url) as client:
                replies = await asyncio.gather(*(client.get(f"/public/{number}") for number in range(50)))
            assert {(reply.status_code, reply.content, reply.headers["x-own"]) for reply in replies} == {(200, b"there", "1")}
