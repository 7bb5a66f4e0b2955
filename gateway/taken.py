"""What of the bytes written to a connection its other end has taken: the system is asked, which knows more than the event loop."""

import asyncio
import fcntl
import socket
import struct
import termios
from typing import Final

ACKNOWLEDGED: Final = 120
"""Where Linux's tcp_info has tcpi_bytes_acked, since 4.1."""
TCP_INFO_SIZE: Final = 128


def taken(transport: asyncio.Transport) -> int:
    """How many bytes the other end has taken, to compare with what this said before, while nothing more is written.

    What its system has acknowledged, where the system tells: between us and the socket TLS has a buffer nobody can ask for.
    Elsewhere, less than nothing by what still waits here.
    """
    connection = transport.get_extra_info("socket")
    if connection is not None and hasattr(socket, "TCP_INFO"):
        try:
            told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_SIZE)
        except OSError:
            told = b""  # a unix socket
        if len(told) >= TCP_INFO_SIZE:
            return int(struct.unpack_from("=Q", told, ACKNOWLEDGED)[0])
    return -waiting(transport)


def waiting(transport: asyncio.Transport) -> int:
    """How many bytes the other end has not taken yet, as far as can be told: with us and, where the system tells, with it.

    Under TLS what lies between us and the socket is not counted, but while there is any the system's queue is not empty either,
    except for the moment until the event loop has filled it again.
    """
    return transport.get_write_buffer_size() + queued(transport.get_extra_info("socket"))


def queued(connection: socket.socket | None) -> int:
    """The bytes the system holds that the other end has not acknowledged (TIOCOUTQ, tcp(7)); 0 where it does not tell."""
    if connection is None:
        return 0
    try:
        return int(struct.unpack("=i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)))[0])
    except (OSError, ValueError):
        return 0  # closed, or nothing with a queue
