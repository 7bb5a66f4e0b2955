"""What only this gateway may read, in a cookie or a store: AES-256-GCM under keys made of `sessions.key`, one for each purpose."""

import base64
import binascii
import hmac
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.authn.strength import StrongSecret

NONCE: Final = 12
TAG: Final = 16


@final
class Seal:
    """Texts sealed for one purpose: by the first of its secrets, opened by any. Each may be replaced while running: what the old
    one sealed does not open any more."""

    def __init__(self, secrets: Sequence[StrongSecret], purpose: str) -> None:
        self._secrets = secrets
        self._purpose = purpose.encode()

    def close(self, plain: bytes, bound: bytes) -> str:
        """Sealed text, base64url. `bound` must be the same to open. Raises DependencyDown."""
        nonce = os.urandom(NONCE)
        sealed = AESGCM(self._key(self._secrets[0])).encrypt(nonce, plain, bound)
        return base64.urlsafe_b64encode(nonce + sealed).rstrip(b"=").decode("ascii")

    def open(self, text: bytes, bound: bytes) -> bytes | None:
        """What was sealed; None where it was altered, moved or sealed under another key. Raises DependencyDown."""
        try:
            raw = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
        except (binascii.Error, ValueError):
            return None
        if len(raw) < NONCE + TAG:
            return None
        for secret in self._secrets:
            with suppress(InvalidTag):
                return AESGCM(self._key(secret)).decrypt(raw[:NONCE], raw[NONCE:], bound)
        return None

    def mark(self, what: bytes) -> str:
        """A keyed digest in hexadecimal: equal for equal, telling nothing. Raises DependencyDown."""
        return self.marks(what)[0]

    def marks(self, what: bytes) -> tuple[str, ...]:
        """What `mark` gives, and gave while one of the other secrets was the first. Raises DependencyDown."""
        return tuple(hmac.digest(self._key(secret), what, "sha256").hex() for secret in self._secrets)

    def _key(self, secret: StrongSecret) -> bytes:
        # HKDF's expand step (RFC 5869 2.3) of one block: the configured secret is a strong key already.
        return hmac.digest(secret.current(), b"latchgate:" + self._purpose + b"\x01", "sha256")
