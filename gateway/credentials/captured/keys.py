"""Temporary AWS keys that were captured: three words that a client signs with as with keys, and that only this gateway can spend.

The access key id and the secret are made up. The session token is a placeholder: the real keys with the made-up ones, sealed
together, so that whose request carries it can be verified with nothing stored. It is never a placeholder of the other kind.
"""

import base64
import secrets
from typing import Final, NamedTuple

import orjson

from gateway.core.placeholders import KEY_ID
from gateway.core.secret import Secret
from gateway.credentials.captured import placeholder
from gateway.credentials.captured.used import Refused
from gateway.credentials.sigv4_keys import AwsKeys, keys_of
from gateway.credentials.vault.fault import NotOpened
from gateway.credentials.vault.place import bound
from gateway.credentials.vault.ring import Ring
from gateway.scrub.needles import Needles

KEYS: Final = "captured-keys"
MEMBERS: Final = ("AccessKeyId", "SecretAccessKey", "SessionToken")
EXPIRATION: Final = "Expiration"
PLACEHOLDER: Final = "Placeholder"
MOST: Final = 5 * 1024
"""Bytes of what is sealed: the placeholder is still fit for a header field."""


class Held(NamedTuple):
    """What a session token's placeholder holds: the made-up access key id and secret, the real keys, and its times, Unix."""

    id: bytes
    secret: Secret
    keys: AwsKeys
    expires: int
    captured_at: int


def place(credential: str, principal: str) -> bytes:
    """What they are bound to: the name of the credential that spends them, and the key of the principal that may."""
    return bound(KEYS, credential, principal)


async def sealed(ring: Ring, where: bytes, real: tuple[str, ...], expires: int) -> tuple[str, str, str]:
    """What stands in place of the three MEMBERS. Raises ValueError for more than MOST, and DependencyDown.

    The access key id has the form that AWS gives them (20 of A-Z and 2-7), as clients and tools expect.
    """
    id, secret = KEY_ID.decode("ascii") + base64.b32encode(secrets.token_bytes(10)).decode("ascii"), secrets.token_urlsafe(30)
    text = orjson.dumps({**dict(zip(MEMBERS, real, strict=True)), PLACEHOLDER: [id, secret]})
    if len(text) > MOST:
        raise ValueError("keys that are too long")
    return id, secret, await placeholder.sealed(ring, where, text, expires)


async def opened(ring: Ring, where: bytes, token: bytes) -> Held:
    """Raises Refused and DependencyDown."""
    try:
        found = await placeholder.opened(ring, where, token.decode("latin-1"))
    except NotOpened as error:
        raise Refused(str(error.fault)) from None
    plain = found.secret.reveal()
    keys = keys_of(plain)
    keys.echoes = (Needles(keys.token, keys.id),)
    id, secret = orjson.loads(plain)[PLACEHOLDER]
    return Held(id.encode("ascii"), Secret(secret.encode("ascii")), keys, found.expires, found.captured_at)
