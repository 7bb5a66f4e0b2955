"""Addresses, networks and sets of networks. Immutable.

What is written as an IPv4-mapped IPv6 address is refused by `ip()` and `cidr()`, as Kubernetes does, but where an address given
as text is looked for in a network it counts as the IPv4 address inside: another spelling must not lead out of a deny list.
"""

import re
import socket
from bisect import bisect_right
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from gateway.authz.cel.errors import EvaluationError

CIDR: Final = re.compile(r"[0-9A-Fa-f.:]+/[0-9]{1,3}", re.ASCII)
IPV4: Final = int(socket.AF_INET)
IPV6: Final = int(socket.AF_INET6)
MAX_ADDRESS: Final = 64
MAPPED: Final = b"\0" * 10 + b"\xff\xff"


class Address:
    """An IP address, as `ip()` reads one: no zone; IPv4-mapped IPv6 without dots is the IPv4 address, with dots refused (as in
    Kubernetes' CEL library)."""

    __slots__ = ("octets",)

    def __init__(self, text: str) -> None:
        """Raises ValueError."""
        try:
            octets = socket.inet_pton(IPV6 if ":" in text else IPV4, text)
        except (OSError, ValueError) as error:
            raise ValueError(f"{text[:64]!r} is not an IP address") from error
        if octets.startswith(MAPPED) and "." in text:
            raise ValueError("an IPv4-mapped IPv6 address is written as the IPv4 address it is")
        self.octets = octets[12:] if octets.startswith(MAPPED) else octets

    @classmethod
    def of(cls, octets: bytes) -> "Address":
        """From network order."""
        found = cls.__new__(cls)
        found.octets = octets
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and self.octets == other.octets

    def __hash__(self) -> int:
        return hash(self.octets)

    def __str__(self) -> str:
        return str(ip_address(self.octets))


class Network:
    """An address with the length of its prefix, as `cidr()` reads one; a range of addresses of one family."""

    __slots__ = ("address", "first", "last", "prefix")

    def __init__(self, text: str, *, exact: bool = True) -> None:
        """From CIDR notation. Raises ValueError, also when bits behind the prefix are set, unless not `exact`."""
        if not CIDR.fullmatch(text):
            raise ValueError("a network is written like 10.0.0.0/8 or 2001:db8::/32")
        start, _, length = text.partition("/")
        self.address = Address(start)
        bits = 8 * len(self.address.octets)
        if ":" in start and bits == 8 * 4:
            raise ValueError("an IPv4-mapped IPv6 network is written as the IPv4 network it is")
        self.prefix = int(length)
        if self.prefix > bits or str(self.prefix) != length:
            raise ValueError(f"the prefix of {text!r} is a number up to {bits}")
        host = (1 << (bits - self.prefix)) - 1
        number = int.from_bytes(self.address.octets)
        self.first = (number & ~host).to_bytes(bits // 8)
        self.last = (number | host).to_bytes(bits // 8)
        if exact and self.first != self.address.octets:
            raise ValueError(f"{text} has host bits set: write {self.masked()}")

    def contains(self, address: str) -> bool:
        """Whether the address lies in the network; never for the other family. Raises EvaluationError for what is no address."""
        octets = octets_of(address)
        return self.first <= octets <= self.last and len(octets) == len(self.first)

    def covers(self, other: "Network") -> bool:
        """Whether all addresses of another network lie in this one."""
        return len(other.first) == len(self.first) and self.first <= other.first and other.last <= self.last

    def masked(self) -> "Network":
        """The same without bits behind the prefix."""
        return Network(f"{Address.of(self.first)}/{self.prefix}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Network) and (self.address, self.prefix) == (other.address, other.prefix)

    def __hash__(self) -> int:
        return hash((self.address, self.prefix))

    def __str__(self) -> str:
        return f"{self.address}/{self.prefix}"


@lru_cache(maxsize=1024)
def packed(address: str) -> bytes:
    """The octets of an address, of an IPv4-mapped one those of the IPv4 address inside. Raises OSError, ValueError, TypeError.

    Remembered, since all rules of a request ask about the same few addresses.
    """
    if len(address) > MAX_ADDRESS:
        raise ValueError("not an IP address")
    octets = socket.inet_pton(IPV6 if ":" in address else IPV4, address)
    return octets[12:] if octets.startswith(MAPPED) else octets


class AddressSet:
    """Addresses of many networks, asked by bisection: ten thousand networks cost what one does, twice over."""

    __slots__ = ("_ranges",)

    def __init__(self, networks: Iterable[Network]) -> None:
        """Overlapping networks become one range."""
        by_family: dict[int, list[tuple[bytes, bytes]]] = {4: [], 16: []}
        for network in networks:
            by_family[len(network.first)].append((network.first, network.last))
        self._ranges = {length: _merged(ranges) for length, ranges in by_family.items()}

    def contains(self, address: str) -> bool:
        """Whether the address lies in one of the networks. Raises EvaluationError for what is no address."""
        octets = octets_of(address)
        firsts, lasts = self._ranges[len(octets)]
        place = bisect_right(firsts, octets) - 1
        return place >= 0 and octets <= lasts[place]


def _merged(ranges: list[tuple[bytes, bytes]]) -> tuple[list[bytes], list[bytes]]:
    """First and last addresses of ranges that do not overlap, in order."""
    firsts: list[bytes] = []
    lasts: list[bytes] = []
    for first, last in sorted(ranges):
        if lasts and first <= lasts[-1]:
            lasts[-1] = max(lasts[-1], last)
        else:
            firsts.append(first)
            lasts.append(last)
    return firsts, lasts


def octets_of(address: str) -> bytes:
    """`packed`, for values that may be anything. Raises EvaluationError."""
    try:
        return packed(address)
    except (OSError, ValueError, TypeError) as error:
        raise EvaluationError("not an IP address") from error
