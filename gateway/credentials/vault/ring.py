"""The key ring: the first key writes, all read. How values are sealed with it is told in the package's charter."""

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from gateway.core.secret import Secret
from gateway.credentials.vault import cipher, text
from gateway.credentials.vault.fault import Fault, NotOpened
from gateway.credentials.vault.keys import KeyEncryption
from gateway.credentials.vault.place import bound
from gateway.credentials.vault.sizes import MAX_SECRET

MAX_SEALS: Final = 2**20
"""Values one data key seals. NIST SP 800-38D 8.3 allows 2 ** 32 with random nonces."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What was inside a sealed text, and what stands on its outside: authenticated as well."""

    secret: Secret
    key_id: str
    sealed_at: int


class DataKey:
    """A data key kept apart from what it seals. One that was unwrapped only opens: nobody knows how often it has sealed."""

    __slots__ = ("_key", "_left", "_now", "id", "key_id", "made_at", "wrapped")

    def __init__(self, wrapped: text.WrappedKey, key: bytes, now: Callable[[], float], seals: int) -> None:
        self.id = wrapped.id
        self.key_id = wrapped.key_id
        self.made_at = wrapped.made_at
        self.wrapped = str(wrapped)
        self._key = Secret(key)
        self._now = now
        self._left = seals

    @property
    def may_seal(self) -> bool:
        """Whether it was made in this process and has not sealed too much yet; else make another."""
        return self._left > 0

    def seal(self, place: bytes, secret: Secret) -> str:
        """A value sealed for its place, see `place.row`. Raises ValueError where it is empty or too long, or `may_seal` is not."""
        if not self.may_seal:
            raise ValueError("this data key seals no more: make another")
        self._left -= 1
        head = text.Row(self.id, int(self._now()))
        nonce, ciphertext = cipher.encrypt(self._key.reveal(), _plain(secret), head.bound(place))
        return str(text.Row(head.data_key_id, head.sealed_at, nonce, ciphertext))

    def open(self, place: bytes, sealed: str) -> Opened:
        """What `seal` was given, at the same place. Raises NotOpened."""
        row = text.row(sealed)
        if row.data_key_id != self.id:
            raise NotOpened(Fault.UNKNOWN_KEY, "is under another data key")
        plain = cipher.decrypt(self._key.reveal(), row.nonce, row.ciphertext, row.bound(place))
        return Opened(Secret(plain), self.key_id, row.sealed_at)


class Ring:
    """Key-encryption keys by their ids. Never empty; safe to use from several threads."""

    def __init__(self, keys: Iterable[KeyEncryption], now: Callable[[], float]) -> None:
        """The first key wraps what is new. Raises ValueError for none, and for two of one id."""
        found = list(keys)
        self._keys = {key.id: key for key in found}
        if not found or len(self._keys) != len(found):
            raise ValueError("a key ring has at least one key, and each has its own id")
        self._first = found[0]
        self._now = now

    def __repr__(self) -> str:
        return f"Ring({', '.join(self._keys)})"

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all keys; that of the writing one first."""
        return tuple(self._keys)

    def seal(self, place: bytes, secret: Secret) -> str:
        """A value under a data key of its own. Raises ValueError where it is empty or too long, and DependencyDown."""
        plain, at, key = _plain(secret), int(self._now()), cipher.new_key()
        wrapped = self._first.wrap(key, _wrapping(self._first.id))
        head = text.Value(self._first.id, at, wrapped)
        nonce, ciphertext = cipher.encrypt(key, plain, head.bound(place))
        return str(text.Value(head.key_id, at, wrapped, nonce, ciphertext))

    def open(self, place: bytes, sealed: str) -> Opened:
        """What `seal` was given, at the same place. Raises NotOpened and DependencyDown."""
        value = text.value(sealed)
        key = self._key(value.key_id).unwrap(value.wrapped, _wrapping(value.key_id))
        plain = cipher.decrypt(key, value.nonce, value.ciphertext, value.bound(place))
        return Opened(Secret(plain), value.key_id, value.sealed_at)

    def data_key(self) -> DataKey:
        """A new data key, wrapped by the first key. Raises DependencyDown."""
        head, key = text.WrappedKey(self._first.id, int(self._now()), secrets.token_urlsafe(16)), cipher.new_key()
        wrapped = text.WrappedKey(head.key_id, head.made_at, head.id, self._first.wrap(key, head.bound()))
        return DataKey(wrapped, key, self._now, MAX_SEALS)

    def unwrapped(self, wrapped: str) -> DataKey:
        """A data key that `data_key` or `rewrapped` gave, to open with. Raises NotOpened and DependencyDown."""
        head, key = self._unwrap(wrapped)
        return DataKey(head, key, self._now, 0)

    def rewrapped(self, wrapped: str) -> str | None:
        """A data key wrapped by the first key, its id the same; None where it is. Raises NotOpened and DependencyDown."""
        if text.wrapped_key(wrapped).key_id == self._first.id:
            return None
        head, key = self._unwrap(wrapped)
        mine = text.WrappedKey(self._first.id, int(self._now()), head.id)
        return str(text.WrappedKey(mine.key_id, mine.made_at, mine.id, self._first.wrap(key, mine.bound())))

    def _unwrap(self, wrapped: str) -> tuple[text.WrappedKey, bytes]:
        head = text.wrapped_key(wrapped)
        return head, self._key(head.key_id).unwrap(head.wrapped, head.bound())

    def _key(self, id: str) -> KeyEncryption:
        known = self._keys.get(id)
        if known is None:
            raise NotOpened(Fault.UNKNOWN_KEY, f"is under the key '{id}', which the ring does not have: {', '.join(self._keys)}")
        return known


def _wrapping(key_id: str) -> bytes:
    """What the wrapping of a value's own data key is bound to. The value is bound to the wrapped key, not the other way round."""
    return bound(text.VALUE, key_id)


def _plain(secret: Secret) -> bytes:
    plain = secret.reveal()
    if not 0 < len(plain) <= MAX_SECRET:
        raise ValueError(f"a secret has at least 1 byte and at most {MAX_SECRET // 1024} KiB")
    return plain
