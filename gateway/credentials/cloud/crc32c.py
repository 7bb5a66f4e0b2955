"""CRC-32C (Castagnoli, RFC 3720 B.4), by which Google's services tell what was damaged on its way."""

from typing import Final

POLYNOMIAL: Final = 0x82F63B78
"""0x1EDC6F41 with its bits reversed."""


def _entry(octet: int) -> int:
    for _ in range(8):
        octet = octet >> 1 ^ POLYNOMIAL * (octet & 1)
    return octet


TABLE: Final = tuple(_entry(octet) for octet in range(256))


def crc32c(content: bytes) -> int:
    """The checksum of `content`, 32 bits. A few kilobytes a millisecond: it is for keys and secrets."""
    checksum = 0xFFFFFFFF
    for octet in content:
        checksum = checksum >> 8 ^ TABLE[(checksum ^ octet) & 0xFF]
    return checksum ^ 0xFFFFFFFF
