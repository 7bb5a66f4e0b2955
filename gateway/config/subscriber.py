"""Whom a client's address is counted as: by limits, and by who looks for guessing."""

import socket
from typing import Final

MAPPED: Final = bytes(10) + b"\xff\xff"


def network(address: str) -> str:
    """An IPv4 address itself, also an IPv4-mapped one, or the /64 of an IPv6 address as 16 hex digits: one subscriber commands
    a whole /64. Raises ValueError for an IPv6 address that is none.
    """
    if ":" not in address:
        return address
    try:
        packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    except OSError as error:
        raise ValueError("no IPv6 address") from error
    return socket.inet_ntop(socket.AF_INET, packed[12:]) if packed.startswith(MAPPED) else packed[:8].hex()
