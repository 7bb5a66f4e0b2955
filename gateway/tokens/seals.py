"""What only this gateway may read, under each of the secrets of `tokens.key`: the first seals, the others still open."""

from collections.abc import Sequence
from typing import final

from gateway.authn.login.seal import Seal
from gateway.authn.strength import StrongSecret


@final
class Seals:
    """Texts sealed for one purpose."""

    def __init__(self, secrets: Sequence[StrongSecret], purpose: str) -> None:
        self._seal = Seal(secrets, purpose)

    def close(self, plain: bytes, bound: str) -> str:
        """Sealed text, base64url. `bound` must be the same to open. Raises DependencyDown."""
        return self._seal.close(plain, bound.encode("utf-8", "replace"))

    def open(self, text: str, bound: str) -> bytes | None:
        """What was sealed; None where it was altered, moved or sealed by somebody else. Raises DependencyDown."""
        return self._seal.open(text.encode("ascii", "replace"), bound.encode("utf-8", "replace"))

    def marks(self, what: bytes) -> list[bytes]:
        """Keyed digests, the first of which is to be used. Raises DependencyDown."""
        return [bytes.fromhex(mark) for mark in self._seal.marks(what)]
