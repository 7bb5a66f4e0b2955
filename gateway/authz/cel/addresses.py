"""The functions of addresses and networks, in the names and meaning of Kubernetes' CEL libraries IP and CIDR."""

from collections.abc import Callable
from typing import Any, Final

from gateway.authz.cel.errors import EvaluationError
from gateway.authz.cel.networks import Address, AddressSet, Network

UNSPECIFIED: Final = (bytes(4), bytes(16))
BROADCAST: Final = b"\xff" * 4


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise EvaluationError("not a string")


def ip(value: Any) -> Address:
    """`ip(text)`, `cidr(…).ip()`. Raises ValueError or EvaluationError."""
    return value.address if isinstance(value, Network) else Address(_text(value))


def cidr(value: Any) -> Network:
    """`cidr(text)`. Raises ValueError or EvaluationError."""
    return Network(_text(value), exact=False)


def is_ip(value: Any) -> bool:
    """`isIP(text)`."""
    try:
        Address(_text(value))
    except ValueError:
        return False
    return True


def is_cidr(value: Any) -> bool:
    """`isCIDR(text)`."""
    try:
        Network(_text(value), exact=False)
    except ValueError:
        return False
    return True


def is_canonical(value: Any) -> bool:
    """`ip.isCanonical(text)`: whether it is written as RFC 5952 has it. Raises ValueError for what is no address."""
    return str(Address(_text(value))) == _text(value)


def contains_ip(network: Any, address: Any) -> bool:
    """`cidr('…').containsIP(address)` with text or an address; `inSet(address, '…')`."""
    if isinstance(address, Address):
        address = str(address)
    if not isinstance(network, Network | AddressSet):
        raise EvaluationError("not a network")
    return network.contains(address)


def contains_cidr(network: Any, other: Any) -> bool:
    """`cidr('…').containsCIDR(other)` with text or a network. Raises ValueError or EvaluationError."""
    if not isinstance(network, Network):
        raise EvaluationError("not a network")
    return network.covers(other if isinstance(other, Network) else cidr(other))


def masked(value: Any) -> Network:
    """`cidr('…').masked()`."""
    if isinstance(value, Network):
        return value.masked()
    raise EvaluationError("not a network")


def prefix_length(value: Any) -> int:
    """`cidr('…').prefixLength()`."""
    if isinstance(value, Network):
        return value.prefix
    raise EvaluationError("not a network")


def family(octets: bytes) -> int:
    """4 or 6."""
    return 4 if len(octets) == 4 else 6


def is_unspecified(octets: bytes) -> bool:
    return octets in UNSPECIFIED


def is_loopback(octets: bytes) -> bool:
    return octets[0] == 127 if len(octets) == 4 else octets == bytes(15) + b"\1"


def is_link_local_unicast(octets: bytes) -> bool:
    if len(octets) == 4:
        return octets.startswith(b"\xa9\xfe")
    return octets[0] == 0xFE and octets[1] & 0xC0 == 0x80


def is_link_local_multicast(octets: bytes) -> bool:
    if len(octets) == 4:
        return octets.startswith(b"\xe0\0\0")
    return octets[0] == 0xFF and octets[1] & 0x0F == 0x02


def is_global_unicast(octets: bytes) -> bool:
    """As Go's netip has it: also private addresses, but none of the kinds above, no multicast, no broadcast."""
    multicast = octets[0] & 0xF0 == 0xE0 if len(octets) == 4 else octets[0] == 0xFF
    return not (multicast or is_unspecified(octets) or is_loopback(octets) or is_link_local_unicast(octets) or octets == BROADCAST)


def of_address(question: Callable[[bytes], Any]) -> Callable[[Any], Any]:
    """A question about an address's octets as a function of any value."""

    def asked(value: Any) -> Any:
        if isinstance(value, Address):
            return question(value.octets)
        raise EvaluationError("not an IP address")

    return asked
