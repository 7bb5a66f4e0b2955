"""Whether a body is the one that its Content-Digest vouches for (RFC 9530)."""

import hashlib
import hmac
from typing import Final

from gateway.core import structured

ALGORITHMS: Final = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}
"""Those that are active; what else a field holds does not count (5, "Hash Algorithms")."""
LONGEST: Final = 1024


def stated(field: str) -> dict[str, bytes]:
    """The digests of a field by algorithm. Raises ValueError for a field that is too long, or has none that counts."""
    if len(field) > LONGEST:
        raise ValueError(f"Content-Digest has more than {LONGEST} bytes")
    found = {key: member[0] for key, member in structured.dictionary(field, once=True).items() if key in ALGORITHMS}
    digests = {key: value for key, value in found.items() if isinstance(value, bytes)}
    if not digests or len(digests) < len(found):
        raise ValueError("Content-Digest has neither sha-256 nor sha-512, or one that is no byte sequence")
    return digests


def fits(digests: dict[str, bytes], body: bytes) -> bool:
    """Whether all of the digests are the body's."""
    return all(hmac.compare_digest(value, ALGORITHMS[key](body).digest()) for key, value in digests.items())
