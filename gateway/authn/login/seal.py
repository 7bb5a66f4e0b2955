"""What only this gateway may read, in a cookie or a store: AES-256-GCM under keys made of `sessions.key`, one for each purpose."""

import base64
import binascii
import hmac
import os
from typing import Final, final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.authn.strength import StrongSecret

NONCE: Final = 12
TAG: Final = 16


@final
class Seal:
    """Texts sealed for one purpose. The key may be replaced while running: what the old one sealed does not open any more."""

    def __init__(self, secret: StrongSecret, purpose: str) -> None:
        self._secret = secret
        self._purpose = purpose.encode()

    def close(self, plain: bytes, bound: bytes) -> str:
        """Sealed text, base64url. `bound` must be the same to open. Raises DependencyDown."""
        nonce = os.urandom(NONCE)
        sealed = AESGCM(self._key()).encrypt(nonce, plain, bound)
        return base64.urlsafe_b64encode(nonce + sealed).rstrip(b"=").decode("ascii")

    def open(self, text: bytes, bound: bytes) -> bytes | None:
        """What was sealed; None where it was altered, moved or sealed under another key. Raises DependencyDown."""
        try:
            raw = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
            return AESGCM(self._key()).decrypt(raw[:NONCE], raw[NONCE:], bound) if len(raw) >= NONCE + TAG else None
        except (InvalidTag, binascii.Error, ValueError):
            return None

    def mark(self, what: bytes) -> str:
        """A keyed digest in hexadecimal: equal for equal, telling nothing. Raises DependencyDown."""
        return hmac.digest(self._key(), what, "sha256").hex()

    def _key(self) -> bytes:
        # HKDF's expand step (RFC 5869 2.3) of one block: the configured secret is a strong key already.
        return hmac.digest(self._secret.current(), b"latchgate:" + self._purpose + b"\x01", "sha256")
