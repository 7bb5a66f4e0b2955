"""Addresses, networks and sets of networks. Immutable; an IPv4-mapped IPv6 address is the IPv4 address inside, everywhere."""

import re
import socket
from bisect import bisect_right
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

from gateway.authz.cel.errors import EvaluationError

CIDR: Final = re.compile(r"[0-9A-Fa-f.:]+/[0-9]{1,3}", re.ASCII)
IPV4: Final = int(socket.AF_INET)
IPV6: Final = int(socket.AF_INET6)
MAPPED: Final = b"\0" * 10 + b"\xff\xff"


class Network:
    """A range of addresses of one family. An IPv4-mapped IPv6 address (RFC 4291 2.5.5.2) counts as the IPv4 address inside."""

    __slots__ = ("first", "last")

    def __init__(self, text: str) -> None:
        """From CIDR notation. Raises ValueError, also when bits behind the prefix are set."""
        if not CIDR.fullmatch(text):
            raise ValueError("a network is written like 10.0.0.0/8 or 2001:db8::/32")
        network = _unmapped(ip_network(text))
        self.first = network.network_address.packed
        self.last = network.broadcast_address.packed

    def contains(self, address: str) -> bool:
        """Whether the address lies in the network; never for the other family. Raises EvaluationError for what is no address."""
        octets = octets_of(address)
        return self.first <= octets <= self.last and len(octets) == len(self.first)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Network) and (self.first, self.last) == (other.first, other.last)

    def __hash__(self) -> int:
        return hash((self.first, self.last))


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
