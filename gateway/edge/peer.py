"""Whose request is it really: the client's address, scheme and certificate behind proxies we trust.

Exactly one family of forwarding fields is believed, and only from peers in `trusted_proxies` (CONTRACT 2). The client is
the right-most hop that is not a trusted proxy: everything to the left of it was written by strangers.
"""

import base64
import binascii
import ipaddress
import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote_to_bytes

from gateway.config.values import Network
from gateway.core.addresses import normalise
from gateway.core.errors import BadRequest
from gateway.core.message import Inbound

HOP: Final = re.compile(rb'(?:[^;,"]|"(?:[^"\\]|\\.)*")+')
PAIR: Final = re.compile(rb'\s*([A-Za-z]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s";,]*)\s*')
PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
MOST_VERDICTS: Final = 4096


class Networks:
    """Is an address in one of these networks? Verdicts are remembered, boundedly: peers repeat."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = tuple(networks)
        self._verdicts: dict[str, bool] = {}

    def __contains__(self, address: str) -> bool:
        if not self._networks:
            return False
        verdict = self._verdicts.get(address)
        if verdict is None:
            verdict = self._judge(address)
            if len(self._verdicts) >= MOST_VERDICTS:
                self._verdicts.clear()
            self._verdicts[address] = verdict
        return verdict

    def _judge(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed.version == network.version and parsed in network for network in self._networks)


def address_of(text: str) -> str:
    """One address as written by a proxy (port, brackets, zone dropped; IPv4-mapped IPv6 unmapped). Raises BadRequest."""
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        return normalise(host)
    except ValueError as error:
        raise BadRequest("a trusted proxy named a client that is no address") from error


def values(inbound: Inbound, name: bytes) -> list[bytes]:
    return [value for key, value in inbound.headers if key == name]


def by_x_forwarded_for(inbound: Inbound, trusted: Networks) -> tuple[str, bool | None]:
    """(client address, scheme is https or None when not told) by the X-Forwarded family."""
    client = inbound.peer
    for hop in reversed(b",".join(values(inbound, b"x-forwarded-for")).split(b",")):
        if not hop.strip():
            continue
        client = address_of(hop.decode("latin-1"))
        if client not in trusted:
            break
    protocols = values(inbound, b"x-forwarded-proto")
    if not protocols:
        return client, None
    return client, _is_https(protocols[-1].rpartition(b",")[2])


def by_forwarded(inbound: Inbound, trusted: Networks) -> tuple[str, bool | None]:
    """(client address, scheme is https or None when not told) by RFC 7239."""
    client, secure = inbound.peer, None
    for element in reversed(_elements(b",".join(values(inbound, b"forwarded")))):
        pairs = _pairs(element)
        if b"proto" in pairs:
            secure = _is_https(pairs[b"proto"])
        node = pairs.get(b"for", b"unknown").decode("latin-1")
        # RFC 7239 6.2 and 6.3: an unknown or obfuscated node ends what can be known.
        if node.lower() == "unknown" or node.startswith("_"):
            break
        client = address_of(node)
        if client not in trusted:
            break
    return client, secure


def _is_https(value: bytes) -> bool:
    scheme = value.strip().lower()
    if scheme not in (b"http", b"https"):
        raise BadRequest("a trusted proxy named a scheme that is neither http nor https")
    return scheme == b"https"


def _elements(line: bytes) -> list[bytes]:
    """The comma-separated elements of a Forwarded field, quotes respected."""
    elements, depth, start = [], False, 0
    for index, octet in enumerate(line):
        if octet == 0x22 and (index == 0 or line[index - 1] != 0x5C):
            depth = not depth
        elif octet == 0x2C and not depth:
            elements.append(line[start:index])
            start = index + 1
    elements.append(line[start:])
    if depth:
        raise BadRequest("a trusted proxy sent an unclosed quote")
    return [element for element in elements if element.strip()]


def _pairs(element: bytes) -> dict[bytes, bytes]:
    pairs: dict[bytes, bytes] = {}
    for part in HOP.findall(element):
        found = PAIR.fullmatch(part)
        if found is None or found[1].lower() in pairs:
            raise BadRequest("a trusted proxy sent a forwarding field that does not parse")
        value = found[2]
        if value.startswith(b'"'):
            value = re.sub(rb"\\(.)", rb"\1", value[1:-1])
        pairs[found[1].lower()] = value
    return pairs


def by_client_cert(inbound: Inbound) -> bytes | None:
    """The certificate a trusted proxy conveys by RFC 9440, as DER."""
    found = values(inbound, b"client-cert")
    if not found:
        return None
    value = found[0].strip()
    if len(found) > 1 or len(value) < 2 or not (value.startswith(b":") and value.endswith(b":")):
        raise BadRequest("Client-Cert is not one byte sequence")
    return _base64(value[1:-1])


def by_xfcc(inbound: Inbound) -> bytes | None:
    """The certificate of the nearest element of Envoy's x-forwarded-client-cert, as DER."""
    found = values(inbound, b"x-forwarded-client-cert")
    if not found:
        return None
    certificate = _pairs(_elements(b",".join(found))[-1]).get(b"cert")
    if certificate is None:
        return None
    pem = PEM.search(unquote_to_bytes(certificate))
    if pem is None:
        raise BadRequest("x-forwarded-client-cert holds no PEM certificate")
    return _base64(pem[1])


def _base64(text: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequest("a conveyed certificate is not base64") from error
