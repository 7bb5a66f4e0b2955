"""HAProxy, who wrote the PROXY protocol, in front of a whole gateway: the client's own address arrives, through TLS too."""

import asyncio
import contextlib
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.house import House, converse, house, request_bytes
from tests.pki import Pki

CONFIG = """
global
    maxconn 100
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend clients
    bind unix@{front}
    bind unix@{bound} accept-proxy
    default_backend gateway
backend gateway
    server gateway 127.0.0.1:{port} {options}
"""
CLIENT = "PROXY TCP4 198.51.100.7 203.0.113.1 56324 443\r\n"
EVERYTHING = "send-proxy-v2 proxy-v2-options crc32c,unique-id,ssl,cert-cn,ssl-cipher,authority"


@asynccontextmanager
async def haproxy(folder: Path, port: int, options: str) -> AsyncIterator[Path]:
    """HAProxy on two unix sockets, the second of which believes a header itself; gives that one's path."""
    executable = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    assert executable is not None, "haproxy is needed: apt install haproxy"
    front, bound = folder / "front", folder / "bound"
    file = folder / "haproxy.cfg"
    file.write_text(CONFIG.format(front=front, bound=bound, port=port, options=options))
    process = await asyncio.create_subprocess_exec(executable, "-db", "-q", "-f", str(file))
    try:
        async with asyncio.timeout(30):
            while not (front.exists() and bound.exists()):
                assert process.returncode is None, "haproxy has ended"
                await asyncio.sleep(0.01)
        yield bound
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def ask(path: Path, first: str, *, tls: ssl.SSLContext | None = None) -> int:
    """The status of one request through HAProxy."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(first.encode())
    if tls is not None:
        await writer.start_tls(tls, server_hostname="localhost")
    return (await converse(reader, writer, request_bytes("/public/a"))).status


async def clients(home: House) -> list[str]:
    return [event["client"] for event in await home.requests()]


LISTEN = {"address": "127.0.0.1:0", "proxy_protocol": {"from": ["127.0.0.1"]}}


@pytest.mark.parametrize(
    "options", ["send-proxy", "send-proxy-v2", EVERYTHING], ids=["version 1", "version 2", "everything it can tell"]
)
async def test_the_clients_address_arrives(tmp_path: Path, options: str) -> None:
    async with house(tmp_path, listen=LISTEN) as home, haproxy(tmp_path, home.address()[1], options) as bound:
        assert await ask(bound, CLIENT) == 200
        assert await ask(bound, "PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n") == 200
        assert await ask(bound, "PROXY UNKNOWN\r\n") == 200
        assert await clients(home) == ["198.51.100.7", "2001:db8::7", "127.0.0.1"]


async def test_the_clients_address_arrives_before_tls(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    model = pki.model()
    tls = {"certificate": str(model.certificate), "key": {"file": str(model.key.file)}}
    context = ssl.create_default_context()
    pki.ca.configure_trust(context)
    async with house(tmp_path, listen=LISTEN | {"tls": tls}) as home:
        async with haproxy(tmp_path, home.address()[1], EVERYTHING) as bound:
            assert await ask(bound, CLIENT, tls=context) == 200
        assert await clients(home) == ["198.51.100.7"]


async def test_without_the_header_nobody_is_served(tmp_path: Path) -> None:
    async with house(tmp_path, listen=LISTEN) as home, haproxy(tmp_path, home.address()[1], "") as bound:
        with pytest.raises(ConnectionError):
            await ask(bound, CLIENT)
        assert await clients(home) == []
