"""Room for bodies that are read before anybody knows who sends them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, final

from gateway.config.subscriber import network
from gateway.core.errors import Unavailable

MOST: Final = 64 * 1024 * 1024
"""Bytes of all such bodies at a time in a process: one of the largest `max_body` always fits."""
SHARE: Final = 4
"""No address, and no key that signs heads, has more than this part of it, unless by one body: whoever sends slowly keeps few others
out."""


@final
class Unverified:
    """Bytes that are being read. Each body takes what was announced, so that none is given up half read."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._left = most
        self._taken: dict[str, int] = {}

    @contextmanager
    def taken(self, client: str, length: int | None, most: int, signer: str = "") -> Iterator[None]:
        """Keep room for a body of that length, or of `most` bytes where none is said; none for a longer one, which is not read.
        `signer` is whoever signed the head, where that is known: a head that was captured takes no more room than an address.

        Raises Unavailable where there is none left.
        """
        size = most if length is None else length if length <= most else 0
        shares = [network(client), f"signer {signer}"] if signer else [network(client)]
        held = max(self._taken.get(who, 0) for who in shares)
        if size > self._left or (held and held + size > self._most // SHARE):
            raise Unavailable("signatures: too many bodies are being read that are not verified yet")
        self._take(shares, size)
        try:
            yield
        finally:
            self._take(shares, -size)

    def _take(self, shares: list[str], size: int) -> None:
        self._left -= size
        for who in shares:
            self._taken[who] = self._taken.get(who, 0) + size
            if not self._taken[who]:
                del self._taken[who]
