"""How an API key is written: `lgk_<id>_<secret><check>`. Pure text, no file, no clock.

`id` is public and looked up, `secret` is 256 random bits in base 62, `check` a CRC-32 in base 62, so that a typing error and a
scanner's false alarm are told from a key offline.
"""

import hmac
import re
import secrets
import zlib
from typing import Final

ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ID_LENGTH: Final = 12
SECRET_LENGTH: Final = 43
"""62 ** 43 is a little more than 2 ** 256."""
CHECK_LENGTH: Final = 6
BODY: Final = re.compile(rb"([0-9A-Za-z]{12})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})")
HASH: Final = re.compile(r"hmac-sha256:[0-9a-f]{64}", re.ASCII)
NO_HEAD: Final = "0" * (4 + ID_LENGTH + 1 + SECRET_LENGTH)
"""What is checked in place of what is no key."""
DOMAIN: Final = b"latchgate api key v1\0"


def generate(prefix: str) -> tuple[str, str]:
    """A fresh (id, whole key)."""
    id = _random(ID_LENGTH)
    head = f"{prefix}_{id}_{_random(SECRET_LENGTH)}"
    return id, head + check(head)


def check(head: str) -> str:
    """The six check characters of everything before them."""
    number, digits = zlib.crc32(head.encode()), ""
    for _ in range(CHECK_LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits


def identify(prefix: bytes, key: bytes) -> str | None:
    """The public id of a well-formed key with a right check, else None. Looks at no secret; what is no key takes as long."""
    body = BODY.fullmatch(key, len(prefix) + 1)
    shaped = body is not None and key.startswith(prefix + b"_")
    right = check(key[:-CHECK_LENGTH].decode("ascii") if shaped else NO_HEAD).encode()
    return body[1].decode("ascii") if body is not None and shaped and right == body[3] else None


def digest(pepper: bytes, key: bytes) -> str:
    """What is stored of a key. The key is random, so a keyed hash does and a slow one is not needed."""
    return "hmac-sha256:" + hmac.digest(pepper, DOMAIN + key, "sha256").hex()


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))
