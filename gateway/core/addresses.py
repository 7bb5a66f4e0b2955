"""Which IP addresses the gateway may dial: one spelling per address, and where it lies.

Read by everything that dials a configured URL (upstreams, key sets, discovery), so that the rule cannot differ between them.
"""

import ipaddress
from typing import Final

IPv4 = ipaddress.IPv4Address
IPv6 = ipaddress.IPv6Address

METADATA: Final = frozenset(
    {
        "169.254.169.254",  # AWS, Azure, Google, OpenStack and most others
        "169.254.169.253",  # AWS resolver
        "169.254.170.2",  # AWS task credentials
        "169.254.170.23",  # AWS pod identity
        "fd00:ec2::254",
        "fd00:ec2::253",
        "fd00:ec2::23",
        "fd20:ce::254",  # Google, IPv6 only
        "fe80::a9fe:a9fe",  # OpenStack, link-local
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure wire server
        "192.0.0.192",  # Oracle
    }
)
"""Where clouds hand out a machine's own credentials."""

# IANA special-purpose registries (RFC 6890) beyond what `is_global` already knows, and the ranges that carry an IPv4
# address inside, behind which any private one may hide.
REFUSED: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        "192.0.0.0/24",
        "192.88.99.0/24",  # 6to4 relay anycast, RFC 7526
        "168.63.129.16/32",
        "::/96",  # IPv4-compatible, RFC 4291 2.5.5.1
        "::ffff:0:0:0/96",  # IPv4-translated, RFC 2765
        "64:ff9b::/96",  # NAT64, RFC 6052
        "64:ff9b:1::/48",  # local NAT64, RFC 8215
        "2001::/23",  # Teredo and other protocol assignments
        "2002::/16",  # 6to4, RFC 3056
        "3fff::/20",  # documentation, RFC 9637
        "5f00::/16",  # SRv6 SIDs, RFC 9602
        "fec0::/10",  # site-local, RFC 3879
    )
)


def normalise(address: str) -> str:
    """One spelling per address: the zone dropped, IPv4-mapped IPv6 unmapped, IPv6 compressed.

    Raises ValueError for anything else than a dotted-quad IPv4 or an IPv6 address.
    """
    return str(_parse(address))


def is_public(address: str) -> bool:
    """Whether an address is an ordinary one of the public internet. Raises ValueError for what is no address."""
    found = _parse(address)
    if found.is_multicast or not found.is_global:
        return False
    return not any(found.version == network.version and found in network for network in REFUSED)


def is_metadata(address: str) -> bool:
    """Whether a cloud's metadata service answers there, also when hidden in 6to4, NAT64 or IPv4-compatible IPv6."""
    found = _parse(address)
    return str(found) in METADATA or any(str(inner) in METADATA for inner in _inside(found))


def is_link_local(address: str) -> bool:
    """Whether an address is link-local (169.254/16, fe80::/10), also when hidden inside another IPv6 form."""
    found = _parse(address)
    return found.is_link_local or any(inner.is_link_local for inner in _inside(found))


def vet(address: str, *, private: bool, literal: bool = False) -> None:
    """Raise ValueError with the reason when the gateway must not dial `address`.

    `private` lifts the ban on private and loopback addresses. Link-local and metadata addresses need more: `literal`, that
    the configuration itself names this very address and allows it, so that no DNS answer can lead there.
    """
    found = _parse(address)
    if found.is_multicast or found.is_unspecified or str(found) == "255.255.255.255":
        raise ValueError(f"{address} is no host's address")
    if is_metadata(address) or is_link_local(address):
        if not (private and literal):
            raise ValueError(f"{address} is a link-local or metadata address")
    elif not private and not is_public(address):
        raise ValueError(f"{address} is not a public address")


def _parse(address: str) -> IPv4 | IPv6:
    found = ipaddress.ip_address(address.partition("%")[0])
    return found.ipv4_mapped or found if isinstance(found, IPv6) else found


def _inside(address: IPv4 | IPv6) -> list[IPv4]:
    """The IPv4 addresses an IPv6 address may carry."""
    if isinstance(address, IPv4):
        return []
    bits = int(address)
    low = IPv4(bits & 0xFFFFFFFF)
    if bits >> 112 == 0x2002:
        return [IPv4(bits >> 80 & 0xFFFFFFFF)]
    if bits >> 96 == 0x20010000:
        return [IPv4(~bits & 0xFFFFFFFF)]
    hides = bits >> 32 in (0, 0xFFFF0000) or bits >> 96 == 0x0064FF9B or bits >> 80 == 0x0064FF9B0001
    return [low] if hides else []
