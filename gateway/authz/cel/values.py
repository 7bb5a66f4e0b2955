"""Values that Python has no fitting type for: moments and networks. Both are immutable and compare only with their own kind."""

import re
import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

from gateway.authz.cel.errors import EvaluationError

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
NANOSECONDS: Final = 1_000_000_000
FIRST_SECOND: Final = -62_135_596_800
LAST_SECOND: Final = 253_402_300_799
RFC3339: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?(Z|[+-][0-9]{2}:[0-9]{2})", re.ASCII
)
CIDR: Final = re.compile(r"[0-9A-Fa-f.:]+/[0-9]{1,3}", re.ASCII)
IPV4: Final = int(socket.AF_INET)
IPV6: Final = int(socket.AF_INET6)
MAPPED: Final = b"\0" * 10 + b"\xff\xff"


@dataclass(frozen=True, slots=True, order=True)
class Timestamp:
    """A moment, in nanoseconds since 1970-01-01T00:00:00Z."""

    nanoseconds: int

    @classmethod
    def of(cls, seconds: float) -> "Timestamp":
        """From Unix time. Raises ValueError outside the years 1 to 9999, as the CEL specification bounds timestamps."""
        if not FIRST_SECOND <= seconds < LAST_SECOND + 1:
            raise ValueError("a timestamp is in the years 1 to 9999")
        return cls(int(seconds * NANOSECONDS))

    @classmethod
    def parse(cls, text: str) -> "Timestamp":
        """From RFC 3339 text. Raises ValueError."""
        found = RFC3339.fullmatch(text)
        if found is None:
            raise ValueError("a timestamp is written like 2026-11-21T10:58:00Z")
        offset = "+00:00" if found[3] == "Z" else found[3]
        moment = datetime.fromisoformat(found[1] + offset)
        seconds = (moment - EPOCH) // timedelta(seconds=1)
        if not FIRST_SECOND <= seconds <= LAST_SECOND:
            raise ValueError("a timestamp is in the years 1 to 9999")
        return cls(seconds * NANOSECONDS + int((found[2] or "0").ljust(9, "0")))

    def __str__(self) -> str:
        seconds, fraction = divmod(self.nanoseconds, NANOSECONDS)
        text = (EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None).isoformat()
        return f"{text}.{fraction:09d}Z" if fraction else f"{text}Z"


class Network:
    """A range of addresses of one family. An IPv4-mapped IPv6 address (RFC 4291 2.5.5.2) counts as the IPv4 address inside."""

    __slots__ = ("_first", "_last")

    def __init__(self, text: str) -> None:
        """From CIDR notation. Raises ValueError, also when bits behind the prefix are set."""
        if not CIDR.fullmatch(text):
            raise ValueError("a network is written like 10.0.0.0/8 or 2001:db8::/32")
        network = _unmapped(ip_network(text))
        self._first = network.network_address.packed
        self._last = network.broadcast_address.packed

    def contains(self, address: str) -> bool:
        """Whether the address lies in the network; never for the other family. Raises EvaluationError for what is no address."""
        try:
            octets = packed(address)
        except (OSError, ValueError, TypeError) as error:
            raise EvaluationError("not an IP address") from error
        return self._first <= octets <= self._last and len(octets) == len(self._first)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Network) and (self._first, self._last) == (other._first, other._last)

    def __hash__(self) -> int:
        return hash((self._first, self._last))


@lru_cache(maxsize=1024)
def packed(address: str) -> bytes:
    """The octets of an address, of an IPv4-mapped one those of the IPv4 address inside. Raises OSError, ValueError, TypeError.

    Remembered, since all rules of a request ask about the same few addresses.
    """
    octets = socket.inet_pton(IPV6 if ":" in address else IPV4, address)
    return octets[12:] if octets.startswith(MAPPED) else octets


def _unmapped(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    packed = network.network_address.packed
    if network.version == 6 and network.prefixlen >= 96 and packed.startswith(MAPPED):
        return IPv4Network((packed[12:], network.prefixlen - 96))
    return network
