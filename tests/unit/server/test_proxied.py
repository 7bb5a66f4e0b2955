"""The PROXY header of a load balancer: the examples of the specification, whatever a sender may write, and nothing else."""

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.server.proxied import (
    FIXED,
    LONGEST_LINE,
    SIGNATURE,
    ProxyHeaderError,
    crc32c,
    parse_block,
    parse_line,
)

V4 = st.ip_addresses(v=4)
V6 = st.ip_addresses(v=6)
PORTS = st.integers(min_value=0, max_value=65535)


def block(family: int, rest: bytes, command: int = 0x21) -> bytes:
    """A version 2 header."""
    return SIGNATURE + struct.pack("!BBH", command, family, len(rest)) + rest


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


def addresses(source: str, destination: str = "192.0.2.1", ports: tuple[int, int] = (56324, 443)) -> bytes:
    return ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed + struct.pack("!HH", *ports)


def signed(family: int, rest: bytes, behind: bytes = b"") -> bytes:
    """A version 2 header with its checksum, made as the specification tells the sender to (2.2.3)."""
    empty = block(family, rest + tlv(3, bytes(4)) + behind)
    return block(family, rest + tlv(3, struct.pack("!I", crc32c(empty))) + behind)


def plain(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


@pytest.mark.parametrize(
    ("line", "client"),
    [
        (b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", "192.168.0.1"),
        (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255"),
        (b"PROXY TCP6 " + b":".join([b"ffff"] * 8) + b" " + b":".join([b"ffff"] * 8) + b" 65535 65535\r\n", ":".join(["ffff"] * 8)),
        (b"PROXY TCP6 2001:DB8::1 ::1 0 443\r\n", "2001:db8::1"),
        (b"PROXY TCP6 ::ffff:10.0.0.1 ::1 1 443\r\n", "10.0.0.1"),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN " + b":".join([b"ffff"] * 8) + b" " + b":".join([b"ffff"] * 8) + b" 65535 65535\r\n", None),
        (b"PROXY UNKNOWN whatever stands here\r\n", None),
    ],
    ids=["the example", "longest TCP4", "longest TCP6", "upper case", "mapped", "unknown", "longest unknown", "unknown and more"],
)
def test_lines_of_the_specification_are_understood(line: bytes, client: str | None) -> None:
    assert len(line) <= LONGEST_LINE
    assert parse_line(line) == client


@pytest.mark.parametrize(
    "line",
    [
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n",
        b"PROXY UNKNOWN\r more\r\n",
        b"PROXY UNKNOWNX\r\n",
        b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        b"PROXY TCP4 192.0.2.1\t192.0.2.2 1 2\r\n",
        b"PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.256 1 2\r\n",
        b"PROXY TCP4 2001:db8::1 192.0.2.2 1 2\r\n",
        b"PROXY TCP6 192.0.2.1 2001:db8::1 1 2\r\n",
        b"PROXY TCP6 fe80::1%eth0 2001:db8::1 1 2\r\n",
        b"PROXY TCP6 [2001:db8::1] ::1 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 \xb2\r\n",
        b"PROXY TCP4 192.0.2.\xd9\xa1 192.0.2.2 1 2\r\n",
        b"PROXY \r\n",
    ],
    ids=repr,
)
def test_any_other_line_is_refused(line: bytes) -> None:
    with pytest.raises(ProxyHeaderError):
        parse_line(line)


@given(V4, V4, PORTS, PORTS)
def test_every_tcp4_line_tells_its_source(source: object, destination: object, one: int, other: int) -> None:
    assert parse_line(f"PROXY TCP4 {source} {destination} {one} {other}\r\n".encode()) == str(source)


@given(V6, V6, PORTS, PORTS, st.booleans())
def test_every_tcp6_line_tells_its_source(
    source: ipaddress.IPv6Address, destination: ipaddress.IPv6Address, one: int, other: int, long: bool
) -> None:
    text = source.exploded if long else str(source)
    assert parse_line(f"PROXY TCP6 {text} {destination} {one} {other}\r\n".encode()) == plain(source)


@given(st.binary(max_size=LONGEST_LINE) | st.binary(max_size=90).map(lambda rest: b"PROXY " + rest + b"\r\n"))
def test_whatever_a_line_holds_it_is_an_address_or_refused(line: bytes) -> None:
    try:
        client = parse_line(line)
    except ProxyHeaderError:
        return
    assert line.startswith(b"PROXY ")
    assert client is None or str(ipaddress.ip_address(client)) == client


@given(V4 | V6, st.lists(st.tuples(st.integers(0, 255).filter(lambda kind: kind != 3), st.binary(max_size=40)), max_size=5))
def test_every_block_tells_its_source_whatever_follows_it(
    source: ipaddress.IPv4Address | ipaddress.IPv6Address, extensions: list[tuple[int, bytes]]
) -> None:
    version = source.version
    rest = addresses(str(source), "192.0.2.1" if version == 4 else "2001:db8::1")
    behind = b"".join(tlv(*extension) for extension in extensions)
    family = 0x11 if version == 4 else 0x21
    assert parse_block(block(family, rest + behind)) == plain(source)
    assert parse_block(signed(family, rest, behind)) == plain(source)


@given(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=260))
def test_whatever_a_block_holds_it_is_an_address_or_refused(command: int, family: int, rest: bytes) -> None:
    try:
        client = parse_block(block(family, rest, command))
    except ProxyHeaderError:
        return
    assert command in (0x20, 0x21)
    assert client is None or (command == 0x21 and str(ipaddress.ip_address(client)) == client)


@pytest.mark.parametrize(
    "header",
    [
        block(0x00, b"", command=0x20),
        block(0x11, addresses("192.0.2.9"), command=0x20),
        block(0xEE, b"of no meaning", command=0x20),
        block(0x00, b""),
        block(0x00, b"of no meaning"),
        block(0x12, addresses("192.0.2.9")),
        block(0x31, bytes(216)),
    ],
    ids=["local", "local with addresses", "local of any family", "unspecified", "unspecified and more", "datagrams", "unix"],
)
def test_where_no_tcp_client_is_conveyed_the_sockets_own_address_counts(header: bytes) -> None:
    assert parse_block(header) is None


@pytest.mark.parametrize(
    "header",
    [
        block(0x11, addresses("192.0.2.9"), command=0x11),
        block(0x11, addresses("192.0.2.9"), command=0x31),
        block(0x11, addresses("192.0.2.9"), command=0x22),
        block(0x10, addresses("192.0.2.9")),
        block(0x13, addresses("192.0.2.9")),
        block(0x41, addresses("192.0.2.9")),
        block(0x11, addresses("192.0.2.9")[:-1]),
        block(0x21, addresses("192.0.2.9")),
        block(0x11, addresses("192.0.2.9") + b"\x04"),
        block(0x11, addresses("192.0.2.9") + b"\x04\x00"),
        block(0x11, addresses("192.0.2.9") + b"\x04\x00\x02\x00"),
        block(0x11, addresses("192.0.2.9") + tlv(3, b"\0\0\0")),
        block(0x11, addresses("192.0.2.9") + tlv(3, b"\0\0\0\0")),
    ],
    ids=[
        "version 1 in binary",
        "version 3",
        "command 2",
        "no protocol",
        "protocol 3",
        "family 4",
        "addresses cut off",
        "addresses of the other family",
        "extension without a length",
        "extension with half a length",
        "extension cut off",
        "short checksum",
        "wrong checksum",
    ],
)
def test_any_other_block_is_refused(header: bytes) -> None:
    with pytest.raises(ProxyHeaderError):
        parse_block(header)


@given(st.integers(min_value=0), st.integers(0, 7))
def test_a_flipped_bit_under_a_checksum_is_noticed(place: int, bit: int) -> None:
    header = bytearray(signed(0x11, addresses("192.0.2.9"), tlv(2, b"api.example.com")))
    place = FIXED + place % (len(header) - FIXED)
    header[place] ^= 1 << bit
    # Its own type flipped, the checksum is no checksum any more, and whoever could do that could leave it out.
    if place != FIXED + 12:
        with pytest.raises(ProxyHeaderError):
            parse_block(bytes(header))


def test_a_second_checksum_is_refused() -> None:
    rest = addresses("192.0.2.9")
    once = signed(0x11, rest, tlv(3, bytes(4)))
    with pytest.raises(ProxyHeaderError):
        parse_block(once)


@pytest.mark.parametrize(
    ("octets", "checksum"),
    [(b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E)],
    ids=["digits", "RFC 3720 zeros", "RFC 3720 ones", "RFC 3720 increasing"],
)
def test_the_checksum_is_castagnolis(octets: bytes, checksum: int) -> None:
    assert crc32c(octets) == checksum
