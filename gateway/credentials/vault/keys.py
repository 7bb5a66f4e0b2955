"""Key-encryption keys. One that is in our hands is 32 random bytes, written in base64 or hexadecimal; passphrases are refused."""

import base64
import re
from typing import Final, Protocol

from gateway.core.secret import Secret
from gateway.credentials.vault import cipher
from gateway.credentials.vault.fault import Fault, NotOpened
from gateway.credentials.vault.sizes import KEY, NONCE

HEXADECIMAL: Final = re.compile(rb"[0-9A-Fa-f]{64}")
BASE64: Final = re.compile(rb"(?:[A-Za-z0-9+/]{43}|[A-Za-z0-9_-]{43})=?")
REFUSED: Final = "is no key: 32 bytes in base64 or hexadecimal are needed, not a passphrase (`gateway secrets key` makes one)"
DISTINCT: Final = 8
"""Of 32 random bytes at least this many differ, but for one key in more than 2 ** 80."""


class KeyEncryption(Protocol):
    """One key-encryption key, wherever it lies. Both calls may wait for the network."""

    @property
    def id(self) -> str:
        """The name that what it wraps carries."""
        ...

    def wrap(self, key: bytes, bound: bytes) -> bytes:
        """A data key wrapped. Raises DependencyDown where the key lies elsewhere and cannot be asked."""
        ...

    def unwrap(self, wrapped: bytes, bound: bytes) -> bytes:
        """The data key. Raises NotOpened where it is not one that this key wrapped with the same `bound`, and DependencyDown."""
        ...


class LocalKey:
    """A key-encryption key in our hands: from the environment or a file."""

    def __init__(self, id: str, secret: Secret) -> None:
        """Raises ValueError for what is no key."""
        self.id = id
        self._key = Secret(parse(secret))

    def wrap(self, key: bytes, bound: bytes) -> bytes:
        nonce, wrapped = cipher.encrypt(self._key.reveal(), key, bound)
        return nonce + wrapped

    def unwrap(self, wrapped: bytes, bound: bytes) -> bytes:
        return data_key(cipher.decrypt(self._key.reveal(), wrapped[:NONCE], wrapped[NONCE:], bound))


def parse(secret: Secret) -> bytes:
    """The 32 bytes that base64, base64url or hexadecimal digits stand for. Raises ValueError for everything else."""
    text = secret.reveal().strip()
    raw = bytes.fromhex(text.decode("ascii")) if HEXADECIMAL.fullmatch(text) else _base64(text)
    if len(raw) != KEY or len(set(raw)) < DISTINCT:
        raise ValueError(REFUSED)
    return raw


def _base64(text: bytes) -> bytes:
    if BASE64.fullmatch(text) is None:
        return b""
    return base64.urlsafe_b64decode(text.rstrip(b"=") + b"=")


def data_key(raw: bytes) -> bytes:
    """What was unwrapped. Raises NotOpened where it is no key."""
    if len(raw) != KEY:
        raise NotOpened(Fault.ALTERED, "what was wrapped is no data key")
    return raw
