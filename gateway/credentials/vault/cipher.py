"""AES-256-GCM (NIST SP 800-38D) with random nonces of 96 bits and tags of 128: nothing else is encrypted or decrypted here."""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.credentials.vault.fault import Fault, NotOpened
from gateway.credentials.vault.sizes import KEY, NONCE, TAG


def new_key() -> bytes:
    """256 random bits."""
    return os.urandom(KEY)


def encrypt(key: bytes, plain: bytes, bound: bytes) -> tuple[bytes, bytes]:
    """A fresh nonce, and the ciphertext with its tag; `bound` must be the same to decrypt. Raises ValueError for other keys."""
    nonce = os.urandom(NONCE)
    return nonce, _aes(key).encrypt(nonce, plain, bound)


def decrypt(key: bytes, nonce: bytes, ciphertext: bytes, bound: bytes) -> bytes:
    """The plaintext. Raises NotOpened, also for a nonce or tag of another length, and ValueError for a key of another one."""
    if len(nonce) != NONCE or len(ciphertext) < TAG:
        raise NotOpened(Fault.MALFORMED, "a nonce has 12 bytes and a ciphertext at least 16")
    try:
        return _aes(key).decrypt(nonce, ciphertext, bound)
    except InvalidTag:
        # Whatever is wrong, it is wrong in the same way: a chained exception would say nothing more.
        raise NotOpened(Fault.ALTERED, "the key is another one, or the text was altered or moved") from None


def decrypt_foreign(key: bytes, nonce: bytes, ciphertext: bytes) -> bytes:
    """What others have encrypted, without associated data and with a nonce of 12 or 16 bytes. Raises NotOpened."""
    if len(nonce) not in {NONCE, 16} or len(ciphertext) < TAG:
        raise NotOpened(Fault.MALFORMED, "a nonce has 12 or 16 bytes and a tag 16")
    try:
        return _aes(key).decrypt(nonce, ciphertext, None)
    except InvalidTag:
        raise NotOpened(Fault.ALTERED, "the key is another one, or the text was altered") from None


def _aes(key: bytes) -> AESGCM:
    if len(key) != KEY:
        raise ValueError(f"a key has {KEY} bytes, not {len(key)}")
    return AESGCM(key)
