"""How subjects and client addresses appear in the audit trail: as they are, shortened, or as a keyed hash."""

import hashlib
import hmac
import ipaddress
from collections.abc import Callable

from gateway.audit.model import Mask, Masking
from gateway.core.secret import Secret


class Masks:
    """How subjects and client addresses appear. Without masking the texts pass through untouched.

    `keyed_hash` is HMAC-SHA-256 (RFC 2104), 128 bits of it: equal inputs give equal marks under one key, and nobody
    without the key can try candidates. The same identifier of two issuers has two marks, as it is two principals.
    """

    __slots__ = ("_key", "client", "subject")

    def __init__(self, mask: Mask, key: Secret) -> None:
        self._key = key
        self.subject: Callable[[str, str], str] | None = self._choose(mask.subject, partial_subject)
        self.client: Callable[[str, str], str] | None = self._choose(mask.client, partial_client)

    def _choose(self, masking: Masking, partial: Callable[[str, str], str]) -> Callable[[str, str], str] | None:
        if masking == "none":
            return None
        return partial if masking == "partial" else self._hashed

    def _hashed(self, text: str, realm: str) -> str:
        framed = f"{len(realm)}:{realm}:{text}".encode("utf-8", "surrogatepass")
        return "hmac:" + hmac.digest(self._key.reveal(), framed, hashlib.sha256)[:16].hex()


def partial_subject(text: str, realm: str = "") -> str:
    """`alice@example.com` -> `al***@example.com`, `spiffe://…/ci` -> `sp***`."""
    del realm
    name, at, domain = text.rpartition("@")
    return f"{name[:2]}***{at}{domain}" if name else f"{text[:2]}***"


def partial_client(text: str, realm: str = "") -> str:
    """The network instead of the address: /24 of IPv4, /48 of IPv6."""
    del realm
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return "***" if text else ""
    return str(ipaddress.ip_network((address, 24 if address.version == 4 else 48), strict=False))
