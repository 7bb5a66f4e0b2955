"""Identities as they are counted: however one is written, there is one counter (CVE-2026-47203)."""

import unicodedata
from hashlib import blake2b
from typing import Final

LONGEST: Final = 64
LONGEST_READ: Final = 1024


def canonical(about: str) -> str:
    """NFKC, case folded, without invisible characters and outer spaces; a digest where that is long.

    Two identities may share a counter by this; nobody becomes somebody else.
    """
    if about.isascii() and len(about) <= LONGEST:
        return about.lower().strip()
    if len(about) > LONGEST_READ:
        return digest(about)
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", about).casefold())
    text = "".join(each for each in folded if unicodedata.category(each) not in ("Cf", "Cc", "Cs")).strip()
    return text if len(text) <= LONGEST else digest(text)


def digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
