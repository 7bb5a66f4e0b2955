"""A client on a plain socket, for what wrk does not do: whole transfers, events, thousands of idle connections."""

import contextlib
import re
import socket
from collections.abc import Iterator

from bench.arena import Instance
from bench.contenders.contender import Ask
from bench.load import HEADERS, Unclean

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@contextlib.contextmanager
def connected(instance: Instance, port: int | None = None) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port or instance.port), 30) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield client


def head(ask: Ask, length: int | None = None) -> bytes:
    """A request's head as it goes over the wire."""
    fields = {"Host": "127.0.0.1", **HEADERS, **ask.headers} | ({} if length is None else {"Content-Length": str(length)})
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{ask.method} {ask.path} HTTP/1.1\r\n{lines}\r\n".encode()


def answer_head(client: socket.socket) -> tuple[bytes, bytes]:
    """The answer's head and what came with it of the body. Raises Unclean for another status than 200."""
    found = b""
    while b"\r\n\r\n" not in found:
        piece = client.recv(65536)
        if not piece:
            raise Unclean("the connection was closed before an answer")
        found += piece
    start, _, rest = found.partition(b"\r\n\r\n")
    if not start.startswith(b"HTTP/1.1 200"):
        raise Unclean(f"answered {start[9:12].decode(errors='replace')}")
    return start, rest


def answer_length(client: socket.socket, buffer: bytearray) -> int:
    """Read a whole answer of a stated length and give it; the body is thrown away."""
    start, rest = answer_head(client)
    stated = LENGTH.search(start)
    if stated is None:
        raise Unclean("an answer without Content-Length")
    left = int(stated[1]) - len(rest)
    while left > 0:
        got = client.recv_into(buffer)
        if not got:
            raise Unclean("the connection was closed within an answer")
        left -= got
    return int(stated[1])
