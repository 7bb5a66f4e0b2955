"""Nonces that the gateway gives out and knows again without keeping any: a step of time and its keyed digest (RFC 9449 8 and 9)."""

import base64
import binascii
import hmac
from collections.abc import Callable
from typing import Final, final

from gateway.authn.digest import b64url
from gateway.core.ports import Clock

DOMAIN: Final = b"latchgate dpop nonce v1\0"
STEP_BYTES: Final = 5
MARK_BYTES: Final = 16
LENGTH: Final = (STEP_BYTES + MARK_BYTES) // 3 * 4
"""Characters of a nonce."""


@final
class Nonces:
    """A nonce is good for one to two lifetimes, at all who have the same key."""

    def __init__(self, key: Callable[[], bytes], lifetime: float, clock: Clock) -> None:
        """`key` gives at least 32 bytes, or raises DependencyDown; `lifetime` in seconds."""
        self._key = key
        self._lifetime = lifetime
        self._now = clock.now

    def fresh(self) -> str:
        """One for now. Raises DependencyDown where there is no key."""
        return b64url(self._of(self._step()))

    def knows(self, nonce: object) -> bool:
        """Whether we gave it out, and lately. Raises DependencyDown where there is no key."""
        if not isinstance(nonce, str) or len(nonce) != LENGTH or not nonce.isascii():
            return False
        try:
            raw = base64.b64decode(nonce, altchars=b"-_", validate=True)
        except binascii.Error:
            return False
        step = int.from_bytes(raw[:STEP_BYTES], "big")
        return self._step() - step in (0, 1) and hmac.compare_digest(raw, self._of(step))

    def _step(self) -> int:
        return int(self._now() // self._lifetime)

    def _of(self, step: int) -> bytes:
        raw = step.to_bytes(STEP_BYTES, "big")
        return raw + hmac.digest(self._key(), DOMAIN + raw, "sha256")[:MARK_BYTES]
