"""Digests as tokens state them."""

import base64
import hashlib
import re
from typing import Final

SHA256: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
"""A SHA-256 in base64url without padding (RFC 7515 2)."""


def b64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def sha256(raw: bytes) -> str:
    """As `ath` and `x5t#S256` state it."""
    return b64url(hashlib.sha256(raw).digest())
