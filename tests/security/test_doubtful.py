"""Requests whose reading is in doubt (attacks.md 4.1 to 4.4): 400, the connection ends, and nothing behind them is answered.

Whoever is before us may have read such a message differently, and may hold what follows it for another client's.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.house import House, house
from tests.rawhttp import Answered, Client

FOLLOWER = b"GET /public/follower HTTP/1.1\r\nHost: gw.test\r\n\r\n"


def get(target: str, *lines: str, host: str | None = "gw.test") -> bytes:
    """A request without a body; `host` None leaves the field out."""
    fields = [*([] if host is None else [f"Host: {host}"]), *lines]
    return "\r\n".join([f"GET {target} HTTP/1.1", *fields, "", ""]).encode("latin-1")


HOSTS = {
    "no Host": get("/public/x", host=None),
    "no Host in a POST": b"POST /public/x HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi",
    "no Host beside an absolute target": get("http://gw.test/public/x", host=None),
    "empty Host": get("/public/x", host=""),
    "blank Host": b"GET /public/x HTTP/1.1\r\nHost:  \t \r\n\r\n",
    "CVE-2026-48710 path in Host": get("/admin", host="gw.test/public?x="),
    "list in Host": get("/public/x", host="gw.test, evil.test"),
    "userinfo in Host": get("/public/x", host="user@gw.test"),
    "space in Host": get("/public/x", host="gw.test evil.test"),
    "port that is none": get("/public/x", host="gw.test:http"),
    "port out of range": get("/public/x", host="gw.test:65536"),
    "CVE-2026-57210 quote in Host": get("/public/x", host='a";for=1.2.3.4'),
    "CVE-2026-34525 two Hosts": get("/public/x", "Host: evil.test"),
    "CVE-2026-34525 two equal Hosts": get("/public/x", "Host: gw.test"),
    "CVE-2026-34525 Host beside another authority": get("http://evil.test/public/x"),
}

PATHS = {
    "CVE-2026-33494 dot segments": get("/public/../admin/secrets"),
    "CVE-2026-42274 encoded dot segments": get("/public/%2e%2e/admin"),
    "dot segment before a semicolon": get("/public/..;/admin"),
    "CVE-2026-26205 empty segment": get("//admin/x"),
    "CVE-2021-29492 encoded slash": get("/public/a%2Fadmin"),
    "CVE-2026-52844 encoded backslash": get("/public%5c..%5cadmin"),
    "backslash": get("/public\\x"),
    "encoded NUL": get("/public/x%00"),
    "CVE-2026-41059 escape of an escape": get("/public/%2523"),
    "escape of one digit": get("/public/x%2"),
    "escape without digits": get("/public/x%zz"),
    "not UTF-8": get("/public/%ff"),
    "CVE-2021-32779 fragment": get("/public/x#y"),
    "fragment of an absolute target": get("http://gw.test/public/x#y"),
    "another scheme": get("ftp://gw.test/public/x"),
    "asterisk": get("*"),
    "escape of one digit in the query": get("/public/x?a=%2"),
    "NUL in the query": get("/public/x?a=%00"),
    "query that is not UTF-8": get("/public/x?a=%ff"),
    "a character no query may hold": get("/public/x?a=\x80"),
}

OTHERS = {
    "two Authorization fields": get("/public/x", "Authorization: Bearer a", "Authorization: Bearer b"),
    "two Content-Types": get("/public/x", "Content-Type: a/b", "Content-Type: c/d"),
    "two Origins": get("/public/x", "Origin: https://a", "Origin: https://b"),
}

# Understood to the last byte, only not served: the connection is as good as before.
UNDERSTOOD = {
    "no route": (get("/nothing"), 404),
    "no credential": (get("/admin/x"), 401),
    "a parameter that does not match": (get("/things/a,b"), 400),
    "an expectation nobody meets": (get("/public/x", "Expect: 200-ok"), 417),
}


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as home:
        yield home


@asynccontextmanager
async def sent(gateway: House, raw: bytes) -> AsyncIterator[tuple[Client, Answered]]:
    """A client that sent these bytes, and the first answer."""
    client = Client(*await asyncio.open_connection(*gateway.address()))
    try:
        await client.send(raw)
        yield client, await client.answer()
    finally:
        client.close()


@pytest.mark.parametrize("raw", (CASES := HOSTS | PATHS | OTHERS).values(), ids=CASES.keys())
async def test_a_request_two_readers_could_read_differently_ends_its_connection(gateway: House, raw: bytes) -> None:
    async with sent(gateway, raw + FOLLOWER) as (client, answer):
        assert (answer.status, answer.fields["connection"]) == (400, "close")
        assert await client.rest() == b"", "the follower was answered on the same connection"
    assert gateway.upstream.seen == []


@pytest.mark.parametrize(
    "raw", [get("/public/x", host=None), get("/public/../x"), get("/public/x?a=%2")], ids=["Host", "path", "query"]
)
async def test_it_ends_also_on_a_connection_that_was_in_use_for_long(gateway: House, raw: bytes) -> None:
    """What came before is not read again: what is refused is read each time."""
    async with sent(gateway, FOLLOWER) as (client, first):
        await client.send(FOLLOWER)
        assert [first.status, (await client.answer()).status] == [200, 200]
        await client.send(raw)
        assert (await client.answer()).fields["connection"] == "close"
        assert await client.rest() == b""


async def test_a_refused_head_does_not_wait_for_the_body_it_announces(gateway: House) -> None:
    """Its body could be a request; it is read as neither."""
    async with sent(gateway, b"POST /public/x HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(FOLLOWER)) as (client, answer):
        assert (answer.status, answer.fields["connection"]) == (400, "close")
        await client.send(FOLLOWER * 2)
        assert await client.rest() == b""
    assert gateway.upstream.seen == []


@pytest.mark.parametrize(("raw", "status"), UNDERSTOOD.values(), ids=UNDERSTOOD.keys())
async def test_a_request_that_was_understood_and_refused_keeps_its_connection(gateway: House, raw: bytes, status: int) -> None:
    async with sent(gateway, raw + FOLLOWER) as (client, answer):
        assert (answer.status, answer.fields.get("connection")) == (status, None)
        assert (await client.answer()).status == 200
    assert [seen.target for seen in gateway.upstream.seen] == ["/public/follower"]
