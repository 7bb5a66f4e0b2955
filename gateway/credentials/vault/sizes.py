"""How long things are, in bytes. Apart from `cipher`, so that reading a text loads no cryptography."""

from typing import Final

KEY: Final = 32
NONCE: Final = 12
TAG: Final = 16
MAX_SECRET: Final = 64 * 1024
"""A value: what a secret's file may hold, too."""
MAX_WRAPPED: Final = 1024
"""A wrapped data key. Sixty suffice for keys in our hands; services that wrap answer with a few hundred."""
MAX_TEXT: Final = 100 * 1024
