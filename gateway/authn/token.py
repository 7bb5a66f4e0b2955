"""A signed token taken apart, nothing believed yet (RFC 7515 compact serialization, RFC 8725)."""

import base64
import binascii
import re
from typing import Any, Final, final

from gateway.authn import strict_json

COMPACT: Final = re.compile(rb"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
"""Exactly three parts, none empty: an unsecured token (`alg: none`) has no third one, an encrypted one has five."""
REFUSED_HEADERS: Final = {
    "crit": "critical extensions are not supported",  # RFC 7515 4.1.11: what is not understood must be refused
    "b64": "unencoded payloads are not supported",  # RFC 7797
    "zip": "compressed tokens are not supported",
    "enc": "encrypted tokens are not supported",
}
MAX_KID: Final = 256


class Malformed(Exception):
    """Not a token that could be verified; the text says why, for the audit trail."""


@final
class Token:
    """`header` and `payload` are parsed strictly, once; `signed` are the bytes that `signature` should cover.

    `jku`, `x5u`, `jwk` and `x5c` of the header are never read: a token does not choose the key that verifies it.
    """

    __slots__ = ("algorithm", "header", "kid", "payload", "signature", "signed", "size")

    def __init__(self, raw: bytes, limit: int) -> None:
        """Take apart at most `limit` bytes. Raises Malformed."""
        if len(raw) > limit:
            raise Malformed(f"longer than {limit} bytes")
        parts = COMPACT.fullmatch(raw)
        if parts is None:
            raise Malformed("not three base64url parts")
        self.size = len(raw)
        self.signed = raw[: parts.end(2)]
        self.signature = _decode(parts[3])
        self.header = _object(_decode(parts[1]), "header")
        self.payload = _object(_decode(parts[2]), "payload")
        self.algorithm = _text(self.header, "alg") or ""
        self.kid = _text(self.header, "kid")
        for name, reason in REFUSED_HEADERS.items():
            if name in self.header:
                raise Malformed(reason)
        if self.kid is not None and len(self.kid) > MAX_KID:
            raise Malformed("`kid` is too long")

    @property
    def issuer(self) -> str | None:
        """The `iss` claim, unverified; None when it is absent or no string."""
        issuer = self.payload.get("iss")
        return issuer if isinstance(issuer, str) else None


def _decode(part: bytes) -> bytes:
    """Base64url without padding (RFC 7515 2), in its one canonical spelling: unused bits must be zero."""
    try:
        raw = base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except binascii.Error as error:
        raise Malformed("not base64url") from error
    if base64.urlsafe_b64encode(raw).rstrip(b"=") != part:
        raise Malformed("not canonical base64url")
    return raw


def _object(raw: bytes, part: str) -> dict[str, Any]:
    try:
        value = strict_json.loads(raw)
    except ValueError as error:
        raise Malformed(f"{part}: not acceptable JSON") from error
    if not isinstance(value, dict):
        raise Malformed(f"{part}: not an object")
    if not strict_json.is_clean(value):
        raise Malformed(f"{part}: control characters")
    return value


def _text(header: dict[str, Any], name: str) -> str | None:
    value = header.get(name)
    if value is not None and not isinstance(value, str):
        raise Malformed(f"`{name}` is not a string")
    return value
