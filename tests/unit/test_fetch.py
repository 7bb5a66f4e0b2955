"""The control plane's client: vetted addresses, real TLS, nothing followed, nothing read beyond its cap."""

import asyncio
import contextlib
import gzip
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from gateway.core.errors import DependencyDown
from gateway.core.ports import Fetch, Fetched
from gateway.fetch import HttpFetch, resolve
from tests.issuer import Serve, https_server, response


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


class Names:
    """A resolver whose answers tests choose; it remembers what it was asked."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


LOCAL = ["127.0.0.1"]


@contextlib.asynccontextmanager
async def fetching(resolver: Callable[[str, int], Awaitable[list[str]]] | None = None) -> AsyncIterator[HttpFetch]:
    client = HttpFetch(user_agent="gateway-test", resolve=resolver or Names(LOCAL))
    try:
        yield client
    finally:
        await client.close()


def answering(raw: bytes, seen: list[str] | None = None) -> Serve:
    async def serve(head: str, writer: asyncio.StreamWriter) -> None:
        if seen is not None:
            seen.append(head)
        writer.write(raw)

    return serve


async def get(
    client: Fetch, port: int, ca: str | None, *, host: str = "idp.test", limit: int = 1000, timeout: float = 20, **more: Any
) -> Fetched:
    more = {"allow_private": True} | more
    return await client.get(f"https://{host}:{port}/keys?x=1#part", limit=limit, timeout=timeout, ca=ca, **more)


async def test_an_answer_comes_back_with_status_headers_and_body(authority: trustme.CA, ca: str) -> None:
    seen: list[str] = []
    async with (
        https_server(authority, answering(response(200, b"hello", "Cache-Control: max-age=9"), seen)) as port,
        fetching() as client,
    ):
        answer = await get(client, port, ca)
    assert (answer.status, answer.body, answer.headers["cache-control"]) == (200, b"hello", "max-age=9")
    lines = seen[0].lower().split("\r\n")
    assert lines[0] == "get /keys?x=1 http/1.1"
    assert f"host: idp.test:{port}" in lines
    assert "accept-encoding: identity" in lines
    assert "user-agent: gateway-test" in lines
    assert not any(line.startswith(("authorization", "cookie")) for line in lines)


@pytest.mark.parametrize("status", [301, 302, 307, 308, 404, 500, 503])
async def test_a_redirect_or_an_error_is_an_answer_like_any_other(status: int, authority: trustme.CA, ca: str) -> None:
    seen: list[str] = []
    raw = response(status, b"", "Location: https://idp.test/elsewhere")
    async with https_server(authority, answering(raw, seen)) as port, fetching() as client:
        assert (await get(client, port, ca)).status == status
    assert len(seen) == 1


async def test_an_answer_of_exactly_the_limit_is_read_and_one_byte_more_is_not(authority: trustme.CA, ca: str) -> None:
    async with https_server(authority, answering(response(200, b"x" * 1000))) as port, fetching() as client:
        assert len((await get(client, port, ca)).body) == 1000
        with pytest.raises(DependencyDown, match="larger than 999"):
            await get(client, port, ca, limit=999)


async def test_an_endless_answer_is_cut_at_the_limit(authority: trustme.CA, ca: str) -> None:
    """Row 138, CVE-2026-26998."""
    sent = 0

    async def endless(head: str, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
            sent += 0x4000
            await writer.drain()

    async with https_server(authority, endless) as port, fetching() as client:
        with pytest.raises(DependencyDown, match="larger"):
            await get(client, port, ca, limit=100_000)
    assert sent < 50_000_000


async def test_an_announced_giant_is_not_read(authority: trustme.CA, ca: str) -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 5000000000\r\n\r\n" + b"x" * 4000
    async with https_server(authority, answering(raw)) as port, fetching() as client:
        with pytest.raises(DependencyDown, match="larger"):
            await get(client, port, ca)


@pytest.mark.parametrize(
    "first",
    [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"],
    ids=["nothing", "half a head", "half a body"],
)
async def test_a_server_that_stalls_is_left_at_the_deadline(first: bytes, authority: trustme.CA, ca: str) -> None:
    left = asyncio.Event()

    async def stall(head: str, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        await writer.drain()
        await left.wait()

    async with https_server(authority, stall) as port, fetching() as client:
        with pytest.raises(DependencyDown, match="no complete answer within"):
            await get(client, port, ca, timeout=0.3)
        left.set()


async def test_a_server_that_drips_is_left_at_the_deadline(authority: trustme.CA, ca: str) -> None:
    async def drip(head: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n")
        for _ in range(900):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with https_server(authority, drip) as port, fetching() as client:
        with pytest.raises(DependencyDown, match="no complete answer"):
            await get(client, port, ca, timeout=0.3)


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip"])
async def test_a_compressed_answer_is_refused_unread(encoding: str, authority: trustme.CA, ca: str) -> None:
    raw = response(200, gzip.compress(b"0" * 10_000_000), f"Content-Encoding: {encoding}")
    async with https_server(authority, answering(raw)) as port, fetching() as client:
        with pytest.raises(DependencyDown, match="compressed"):
            await get(client, port, ca, limit=1_000_000)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * 200_000,
    ],
)
async def test_what_is_no_complete_http_answer_is_an_outage(raw: bytes, authority: trustme.CA, ca: str) -> None:
    async with https_server(authority, answering(raw)) as port, fetching() as client:
        with pytest.raises(DependencyDown, match=r"idp\.test"):
            await get(client, port, ca)


async def test_a_certificate_for_another_name_or_of_an_unknown_authority_is_refused(authority: trustme.CA, ca: str) -> None:
    seen: list[str] = []
    async with https_server(authority, answering(response(200, b""), seen), "other.test") as port, fetching() as client:
        with pytest.raises(DependencyDown, match="ConnectError"):
            await get(client, port, ca)
        assert (await get(client, port, ca, host="other.test")).status == 200
        with pytest.raises(DependencyDown, match="ConnectError"):
            await get(client, port, None, host="other.test")
    assert len(seen) == 1


async def test_two_names_at_one_address_never_share_a_connection(authority: trustme.CA, ca: str) -> None:
    seen: list[str] = []
    async with https_server(authority, answering(response(200, b""), seen)) as port, fetching() as client:
        await get(client, port, ca)
        with pytest.raises(DependencyDown, match="ConnectError"):
            await get(client, port, ca, host="evil.test")
    assert len(seen) == 1


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "192.168.1.1",
        "169.254.1.1",
        "0.0.0.0",
        "::1",
        "fe80::1%eth0",
        "fd00::1",
        "::ffff:10.0.0.1",
        "2002:7f00:1::",
        "64:ff9b::7f00:1",
        "fec0::1",
        "169.254.169.254",
        "224.0.0.1",
    ],
)
async def test_addresses_that_are_not_public_are_refused_unless_allowed(address: str, ca: str) -> None:
    """Rows 122 and 123: CVE-2026-53708, CVE-2026-44430."""
    async with fetching(Names([address])) as client:
        with pytest.raises(DependencyDown, match="no address that may be dialled"):
            await get(client, 443, ca, allow_private=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "[::1]", "localhost"])
async def test_a_spelling_of_loopback_is_loopback(host: str, ca: str) -> None:
    async with fetching(resolve) as client:
        with pytest.raises(DependencyDown):
            await get(client, 1, ca, host=host, allow_private=False)


@pytest.mark.parametrize("address", ["169.254.169.254", "fd00:ec2::254", "100.100.100.200"])
async def test_metadata_services_are_refused_even_where_private_is_allowed(address: str, ca: str) -> None:
    async with fetching(Names([address])) as client:
        with pytest.raises(DependencyDown, match="no address that may be dialled"):
            await get(client, 443, ca)


async def test_the_address_that_was_judged_is_the_one_dialled(authority: trustme.CA, ca: str) -> None:
    """Row 122, CVE-2026-53708: the name is asked for once; a second, different answer is never used."""
    names = Names(LOCAL, ["192.0.2.1"], ["192.0.2.1"])
    async with https_server(authority, answering(response(200, b""))) as port, fetching(names) as client:
        assert (await get(client, port, ca)).status == 200
    assert names.asked == ["idp.test"]


async def test_of_several_addresses_only_those_that_may_be_dialled_are_and_the_next_is_tried(
    authority: trustme.CA, ca: str
) -> None:
    names = Names(["169.254.169.254", "127.0.0.2", "127.0.0.1"])
    async with https_server(authority, answering(response(200, b""))) as port, fetching(names) as client:
        assert (await get(client, port, ca)).status == 200


@pytest.mark.parametrize(
    "url",
    [
        "http://idp.test/",
        "ftp://idp.test/",
        "file:///etc/passwd",
        "data:,x",
        "//idp.test/",
        "",
        "https://",
        "https://user:pass@idp.test/",
        "https://a b/",
        "https://" + "a" * 70 + ".test/",
        "https://idp.test:99999/",
    ],
)
async def test_other_schemes_and_what_is_no_url_are_refused(url: str) -> None:
    async with fetching(resolve) as client:
        with pytest.raises(DependencyDown) as caught:
            await client.get(url, limit=10, timeout=5)
    assert "pass" not in caught.value.detail.replace("passwd", "")


async def test_plaintext_is_spoken_only_where_the_entry_allows_it() -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response(200, b"plain"))
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server, fetching() as client:
        port = server.sockets[0].getsockname()[1]
        url = f"http://idp.test:{port}/"
        assert (await client.get(url, limit=10, timeout=20, allow_plaintext=True, allow_private=True)).body == b"plain"
        with pytest.raises(DependencyDown, match="scheme must be https"):
            await client.get(url, limit=10, timeout=20, allow_private=True)


async def test_a_name_that_does_not_exist_and_a_port_nobody_listens_on_are_outages(ca: str) -> None:
    async def nobody(host: str, port: int) -> list[str]:
        raise OSError(-2, "Name or service not known")

    async with fetching(nobody) as client:
        with pytest.raises(DependencyDown, match=r"idp\.test.*not known"):
            await get(client, 443, ca)
    async with fetching() as client:
        with pytest.raises(DependencyDown, match="ConnectError"):
            await get(client, 1, ca)


async def test_a_ca_file_that_is_missing_is_an_outage_and_a_replaced_one_is_used(authority: trustme.CA, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    async with https_server(authority, answering(response(200, b""))) as port, fetching() as client:
        with pytest.raises(DependencyDown, match="No such file"):
            await get(client, port, str(path))
        path.write_text("not a certificate")
        with pytest.raises(DependencyDown):
            await get(client, port, str(path))
        trustme.CA().cert_pem.write_to_path(str(path))
        with pytest.raises(DependencyDown, match="ConnectError"):
            await get(client, port, str(path))
        authority.cert_pem.write_to_path(str(path))
        assert (await get(client, port, str(path))).status == 200


async def test_proxies_of_the_environment_are_not_used(authority: trustme.CA, ca: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "ALL_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with https_server(authority, answering(response(200, b"direct"))) as port, fetching() as client:
        assert (await get(client, port, ca)).body == b"direct"


async def test_many_at_once_are_all_answered_through_few_connections(authority: trustme.CA, ca: str) -> None:
    open_now, most = 0, 0

    async def count(head: str, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        await asyncio.sleep(0)
        writer.write(response(200, b""))
        await writer.drain()
        open_now -= 1

    async with https_server(authority, count) as port, fetching() as client:
        answers = await asyncio.gather(*(get(client, port, ca, timeout=60) for _ in range(40)))
    assert {answer.status for answer in answers} == {200}
    assert most <= 16


async def test_a_cancelled_fetch_leaves_the_client_usable(authority: trustme.CA, ca: str) -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def wait(head: str, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await go.wait()
        writer.write(response(200, b""))

    async with https_server(authority, wait) as port, fetching() as client:
        for _ in range(20):
            asked.clear()
            task = asyncio.create_task(get(client, port, ca))
            await asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        go.set()
        assert (await get(client, port, ca)).status == 200


def test_httpx_is_not_loaded_before_it_is_needed() -> None:
    code = "import sys, gateway.fetch, gateway.authn.gate; sys.exit('httpx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
