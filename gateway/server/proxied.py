"""PROXY protocol, versions 1 and 2: what a load balancer says about a client before the client's own bytes.

https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt. Read from the socket to the byte, so that TLS or HTTP begins where the
header ends. Never guessed: a listener expects it of everybody or of nobody.
"""

import asyncio
import ipaddress
import re
import socket
from typing import Final

from gateway.core.addresses import normalise

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
LONGEST_LINE: Final = 107
"""Bytes of a version 1 header, its CRLF included (2.1)."""
FIXED: Final = 16
"""Bytes of a version 2 header that say how many follow."""
LONGEST_BLOCK: Final = 4096
"""Bytes that may follow: addresses take 216 at most, the rest is what the sender wants to tell besides."""
LOCAL: Final = 0x20
PROXY: Final = 0x21
FAMILIES: Final = {b"TCP4": ipaddress.IPv4Address, b"TCP6": ipaddress.IPv6Address}
SIZES: Final = {0x11: 4, 0x21: 16}
"""Bytes of one address, TCP over IPv4 and IPv6."""
PORTS: Final = 4
UNTOLD: Final = frozenset((0x00, 0x12, 0x22, 0x31, 0x32))
"""Unspecified, datagrams and unix sockets: nothing here that a TCP connection could have come from."""
CRC32C: Final = 0x03
PORT: Final = re.compile(rb"0|[1-9][0-9]{0,4}")
POLYNOMIAL: Final = 0x82F63B78


class ProxyHeaderError(Exception):
    """A peer that has to send a PROXY header sent none, too slowly, or a broken one."""


async def conveyed(loop: asyncio.AbstractEventLoop, sock: socket.socket, seconds: float) -> str | None:
    """The client's address as the header tells it, in its one spelling; None where it tells none and the socket's own counts.

    Raises ProxyHeaderError, also when the header is not complete in `seconds`.
    """
    try:
        async with asyncio.timeout(seconds):
            # No header is shorter: of version 1 `PROXY UNKNOWN`, of version 2 the signature.
            start = await receive(loop, sock, len(SIGNATURE))
            if start == SIGNATURE:
                return parse_block(await read_block(loop, sock, start))
            return parse_line(await read_line(loop, sock, start))
    except OSError as error:
        raise ProxyHeaderError("the header did not come") from error


async def read_line(loop: asyncio.AbstractEventLoop, sock: socket.socket, line: bytes) -> bytes:
    """A version 1 header that begins with `line`."""
    if not line.startswith(b"PROXY "):
        raise ProxyHeaderError("no PROXY header")
    # A byte at a time: what follows the line is not ours to take from the socket.
    while not line.endswith(b"\n"):
        if len(line) >= LONGEST_LINE:
            raise ProxyHeaderError("the line does not end")
        line += await receive(loop, sock, 1)
    return line


async def read_block(loop: asyncio.AbstractEventLoop, sock: socket.socket, start: bytes) -> bytes:
    """A version 2 header that begins with `start`."""
    head = start + await receive(loop, sock, FIXED - len(start))
    size = int.from_bytes(head[14:16], "big")
    if size > LONGEST_BLOCK:
        raise ProxyHeaderError("the header is too long")
    return head + await receive(loop, sock, size)


async def receive(loop: asyncio.AbstractEventLoop, sock: socket.socket, size: int) -> bytes:
    """Exactly `size` bytes."""
    received = b""
    while len(received) < size:
        piece = await loop.sock_recv(sock, size - len(received))
        if not piece:
            raise ProxyHeaderError("the header ends too early")
        received += piece
    return received


def parse_line(line: bytes) -> str | None:
    """The client's address in a version 1 header (2.1), None of an UNKNOWN one. Raises ProxyHeaderError."""
    if not line.endswith(b"\r\n") or line.find(b"\r") != len(line) - 2:
        raise ProxyHeaderError("the line does not end with CRLF")
    words = line[:-2].split(b" ")
    if words[:2] == [b"PROXY", b"UNKNOWN"]:
        return None
    family = FAMILIES.get(words[1]) if len(words) == 6 and words[0] == b"PROXY" else None
    if family is None or b"%" in line or not all(map(is_port, words[4:])):
        raise ProxyHeaderError("the line is not one of the protocol")
    try:
        source, _ = [str(family(word.decode("ascii"))) for word in words[2:4]]
    except ValueError as error:
        raise ProxyHeaderError("an address is none of its family") from error
    return normalise(source)


def is_port(text: bytes) -> bool:
    """Whether this is a port without leading zeros."""
    return PORT.fullmatch(text) is not None and int(text) <= 65535


def parse_block(header: bytes) -> str | None:
    """The client's address in a whole version 2 header (2.2), None where it conveys none. Raises ProxyHeaderError."""
    command, family = header[12], header[13]
    if command == LOCAL:
        return None  # the proxy's own connection, a health check: the rest of the header is to be ignored
    if command != PROXY:
        raise ProxyHeaderError("the version or the command is not one of the protocol")
    if family in UNTOLD:
        return None
    size = SIZES.get(family)
    if size is None:
        raise ProxyHeaderError("the address family is not one of the protocol")
    end = FIXED + 2 * size + PORTS
    if len(header) < end:
        raise ProxyHeaderError("the addresses are cut off")
    check_extensions(header, end)
    return normalise(str(ipaddress.ip_address(header[FIXED : FIXED + size])))


def check_extensions(header: bytes, at: int) -> None:
    """Walk over what follows the addresses. A checksum must be right (2.2.3); nothing else there is believed, or looked at."""
    seen = False
    while at < len(header):
        start, end = at + 3, at + 3 + int.from_bytes(header[at + 1 : at + 3], "big")
        if start > len(header) or end > len(header):
            raise ProxyHeaderError("an extension is cut off")
        if header[at] == CRC32C:
            whole = header[:start] + bytes(4) + header[end:]
            if seen or end - start != 4 or crc32c(whole) != int.from_bytes(header[start:end], "big"):
                raise ProxyHeaderError("the checksum is wrong")
            seen = True
        at = end


def crc32c(octets: bytes) -> int:
    """The checksum of RFC 9260 appendix A (Castagnoli), which SCTP uses too."""
    crc = 0xFFFFFFFF
    for octet in octets:
        crc = crc >> 8 ^ TABLE[(crc ^ octet) & 0xFF]
    return crc ^ 0xFFFFFFFF


def entry(octet: int) -> int:
    """One line of the table that `crc32c` goes by."""
    for _ in range(8):
        octet = octet >> 1 ^ (POLYNOMIAL if octet & 1 else 0)
    return octet


TABLE: Final = tuple(map(entry, range(256)))
