"""A listener behind a load balancer that speaks the PROXY protocol: whom it believes, and what it does with everybody else."""

import ipaddress
import ssl
import struct
from pathlib import Path
from typing import Any

import pytest

from gateway.config.values import Network
from gateway.server.listener import Listener
from gateway.server.proxied import LONGEST_BLOCK, SIGNATURE
from gateway.server.tls import ServerTls
from tests.fakes import CountingMetrics
from tests.pki import Pki
from tests.rawhttp import FOLLOWER, Client, Echo, limits, serving

CLIENT = "198.51.100.7"
LINE = b"PROXY TCP4 198.51.100.7 203.0.113.1 56324 443\r\n"
ADDRESSES = ipaddress.ip_address(CLIENT).packed + ipaddress.ip_address("203.0.113.1").packed + struct.pack("!HH", 56324, 443)
BLOCK = SIGNATURE + struct.pack("!BBH", 0x21, 0x11, len(ADDRESSES)) + ADDRESSES
LOCAL = SIGNATURE + struct.pack("!BBH", 0x20, 0x00, 0)


def networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


HERE = networks("127.0.0.0/8", "::1/128")


def client_context(pki: Pki) -> ssl.SSLContext:
    context = ssl.create_default_context()
    pki.ca.configure_trust(context)
    return context


async def is_shut(client: Client) -> bool:
    """Whether the connection was ended without a word."""
    return await client.rest() == b""


@pytest.mark.parametrize("header", [LINE, BLOCK], ids=["version 1", "version 2"])
@pytest.mark.parametrize("cut", [0, 1, 12, 13, 20], ids=lambda cut: f"cut at {cut}")
async def test_the_client_is_whom_the_header_names_however_it_comes(header: bytes, cut: int) -> None:
    echo = Echo()
    async with serving(echo, proxies=HERE) as gate:
        client = await gate.connect()
        if cut:
            await client.send(header[:cut])
            assert await client.is_silent(0.02)
        await client.send(header[cut:] + FOLLOWER + FOLLOWER)
        assert (await client.answer()).body == b"GET /follower 0\n"
        assert (await client.answer()).body == b"GET /follower 0\n"
    assert [inbound.peer for inbound in echo.seen] == [CLIENT, CLIENT]


@pytest.mark.parametrize("header", [LOCAL, b"PROXY UNKNOWN\r\n"], ids=["LOCAL", "UNKNOWN"])
async def test_where_nobody_is_named_the_load_balancer_is_the_client(header: bytes) -> None:
    echo = Echo()
    async with serving(echo, proxies=HERE) as gate:
        client = await gate.ask(header + FOLLOWER)
        assert (await client.answer()).status == 200
    assert [inbound.peer for inbound in echo.seen] == ["127.0.0.1"]


@pytest.mark.parametrize("header", [LINE, BLOCK], ids=["version 1", "version 2"])
async def test_tls_begins_behind_the_header(tmp_path: Path, header: bytes) -> None:
    pki, echo = Pki(tmp_path), Echo()
    async with serving(echo, tls=ServerTls(pki.model()), proxies=HERE) as gate:
        client = await gate.ask(header)
        await client.writer.start_tls(client_context(pki), server_hostname="localhost")
        await client.send(FOLLOWER)
        assert (await client.answer()).status == 200
    assert (echo.seen[0].peer, echo.seen[0].secure) == (CLIENT, True)


@pytest.mark.parametrize(
    "data",
    [
        FOLLOWER,
        b"GET / HTTP/1.1\r\nPROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00\x00\x00\x00",
        b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n" + FOLLOWER,
        b"PROXY UNKNOWN " + b"x" * 200 + b"\r\n",
        SIGNATURE[:-1] + b"\x0b" + bytes(100),
        SIGNATURE + b"\x21\x11\x00\x04" + bytes(4) + FOLLOWER,
        SIGNATURE + b"\x21\x11" + struct.pack("!H", LONGEST_BLOCK + 1),
        SIGNATURE + b"\x31\x11\x00\x0c" + ADDRESSES + FOLLOWER,
    ],
    ids=["HTTP", "HTTP with a header inside", "TLS", "bare LF", "endless line", "no signature", "short", "too long", "version 3"],
)
async def test_whoever_does_not_begin_with_a_header_is_shut_out(data: bytes) -> None:
    """Never guessed: a client that could leave the header out, or write one, would be whoever it likes."""
    echo, metrics = Echo(), CountingMetrics()
    async with serving(echo, proxies=HERE, metrics=metrics) as gate:
        assert await is_shut(await gate.ask(data))
        await gate.until(lambda: metrics.counted("gateway.connections.refused", listener="main", reason="proxy-header") == 1)
    assert echo.seen == []


@pytest.mark.parametrize("part", [b"", LINE[:5], LINE[:-1], BLOCK[:13], BLOCK[:-1]], ids=repr)
async def test_a_header_that_does_not_end_in_time_ends_the_connection(part: bytes) -> None:
    metrics = CountingMetrics()
    async with serving(Echo(), proxies=HERE, limits=limits(header_timeout=0.1), metrics=metrics) as gate:
        assert await is_shut(await gate.ask(part))
        await gate.until(lambda: metrics.counted("gateway.connections.refused", listener="main", reason="proxy-header") == 1)


async def test_a_load_balancer_that_hangs_up_within_the_header_leaves_nothing_behind() -> None:
    metrics = CountingMetrics()
    async with serving(Echo(), proxies=HERE, metrics=metrics) as gate:
        (await gate.ask(BLOCK[:20])).close()
        await gate.until(lambda: metrics.counted("gateway.connections.refused", listener="main", reason="proxy-header") == 1)
        assert gate.server.connections == 0


async def test_only_the_load_balancers_may_connect() -> None:
    """Before anything is read, whatever the lists say about others."""
    echo, metrics = Echo(), CountingMetrics()
    async with serving(echo, proxies=networks("192.0.2.0/24"), allow_from=HERE, metrics=metrics) as gate:
        client = await gate.connect()
        assert await is_shut(client)
        assert metrics.counted("gateway.connections.refused", listener="main", reason="address") == 1
    assert echo.seen == []


@pytest.mark.parametrize(
    ("lists", "header", "served"),
    [
        ({"allow_from": networks("198.51.100.0/24")}, LINE, True),
        ({"allow_from": networks("198.51.100.0/24")}, b"PROXY TCP4 192.0.2.1 203.0.113.1 1 443\r\n", False),
        ({"deny_from": networks("198.51.100.7/32")}, BLOCK, False),
        ({"deny_from": networks("198.51.100.7/32")}, b"PROXY TCP6 ::ffff:198.51.100.7 ::1 1 443\r\n", False),
        ({"deny_from": networks("127.0.0.0/8")}, LINE, True),
        ({"allow_from": networks("198.51.100.0/24")}, LOCAL, False),
    ],
    ids=["allowed", "not allowed", "denied", "denied, mapped", "the peer is not asked", "LOCAL is the peer's own"],
)
async def test_the_lists_judge_whom_the_header_names(lists: dict[str, Any], header: bytes, served: bool) -> None:
    echo = Echo()
    async with serving(echo, proxies=HERE, **lists) as gate:
        client = await gate.ask(header + FOLLOWER)
        if served:
            assert (await client.answer()).status == 200
        else:
            assert await is_shut(client)
    assert len(echo.seen) == served


async def test_a_header_nobody_asked_for_is_a_bad_request() -> None:
    for header in (LINE, BLOCK):
        echo = Echo()
        async with serving(echo) as gate:
            client = await gate.ask(header + FOLLOWER)
            assert (await client.answer()).status in (400, 505)
            assert await client.rest() == b""
        assert echo.targets == []


async def test_a_unix_sockets_file_decides_who_may_speak_for_others(tmp_path: Path) -> None:
    echo = Echo()
    async with serving(echo, address=f"unix:{tmp_path / 'gateway.sock'}", proxies=()) as gate:
        assert (await (await gate.ask(LINE + FOLLOWER)).answer()).status == 200
        assert (await (await gate.ask(LOCAL + FOLLOWER)).answer()).status == 200
        assert await is_shut(await gate.ask(FOLLOWER))
    assert [inbound.peer for inbound in echo.seen] == [CLIENT, ""]


async def test_other_load_balancers_after_a_reload_end_the_connections_of_the_former_ones() -> None:
    async with serving(Echo(), proxies=HERE) as gate:
        kept, waiting = await gate.ask(LINE + FOLLOWER), await gate.ask(LINE[:20])
        assert (await kept.answer()).status == 200
        gate.server.apply([Listener("main", "127.0.0.1:0", Echo(), proxies=networks("192.0.2.0/24"))])
        assert await is_shut(kept)
        await waiting.send(LINE[20:] + FOLLOWER)
        assert await is_shut(waiting)


async def test_headers_that_are_awaited_count_as_connections() -> None:
    async with serving(Echo(), proxies=HERE, limits=limits(connections=1)) as gate:
        waiting = [await gate.ask(LINE[:20]) for _ in range(70)]
        shut = [client for client in waiting if not await client.is_silent(0.02)]
        assert len(shut) >= 5
