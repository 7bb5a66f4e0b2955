"""What a client gets in place of a credential: the credential itself, sealed for it, for one use, until a time.

    lgp1_<key id>~<sealed at>~<wrapped data key>~<nonce>~<ciphertext>

It is a value of the vault (`lgs1`, see vault/text.py) in signs that may stand behind `Bearer` (RFC 6750 2.1, b64token): whoever has
the key ring can open it, and nothing is stored. Its encryption is bound to the principal and to the credential it is spent with.
"""

import asyncio
import re
from typing import Final, NamedTuple

from gateway.core.placeholders import MARK
from gateway.core.secret import Secret
from gateway.credentials.vault.fault import Fault, NotOpened
from gateway.credentials.vault.place import bound
from gateway.credentials.vault.ring import Ring
from gateway.credentials.vault.text import VALUE

PREFIX: Final = MARK.decode("ascii")
LONGEST: Final = 8192
FORM: Final = re.compile(r"lgp1_[A-Za-z0-9._~-]{64,}", re.ASCII)
CAPTURED: Final = "captured"
TIME: Final = 8
"""Bytes in front of the credential: when it ends, whole Unix seconds."""
MOST: Final = 4096
"""Bytes of a credential: sealed and written down it is still fit for a header field."""


class Spendable(NamedTuple):
    """An opened placeholder: the credential, until when it may be spent, and when it was captured; Unix times."""

    secret: Secret
    expires: int
    captured_at: int


def place(credential: str, principal: str) -> bytes:
    """What a placeholder is bound to: the name of the credential that spends it, and the key of the principal that may."""
    return bound(CAPTURED, credential, principal)


async def sealed(ring: Ring, where: bytes, value: bytes, expires: int) -> str:
    """The placeholder of a credential of at most MOST bytes. Raises DependencyDown."""
    text = await asyncio.to_thread(ring.seal, where, Secret(expires.to_bytes(TIME) + value))
    return PREFIX + text.removeprefix(f"{VALUE}:").replace(":", "~")


async def opened(ring: Ring, where: bytes, placeholder: str) -> Spendable:
    """Raises NotOpened where it is none, not whole, bound to something else or under a key that is gone; and DependencyDown."""
    if len(placeholder) > LONGEST or FORM.fullmatch(placeholder) is None:
        raise NotOpened(Fault.MALFORMED, "is no placeholder")
    text = f"{VALUE}:{placeholder.removeprefix(PREFIX).replace('~', ':')}"
    found = await asyncio.to_thread(ring.open, where, text)
    plain = found.secret.reveal()
    return Spendable(Secret(plain[TIME:]), int.from_bytes(plain[:TIME]), found.sealed_at)
