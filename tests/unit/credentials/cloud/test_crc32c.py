"""CRC-32C: the vectors of RFC 3720 B.4, and its check value."""

import pytest

from gateway.credentials.cloud.crc32c import crc32c

VECTORS = {
    "the check value": (b"123456789", 0xE3069283),
    "nothing": (b"", 0),
    "zeros": (bytes(32), 0x8A9136AA),
    "ones": (b"\xff" * 32, 0x62A8AB43),
    "rising": (bytes(range(32)), 0x46DD794E),
    "falling": (bytes(range(31, -1, -1)), 0x113FDB5C),
}


@pytest.mark.parametrize(("content", "expected"), VECTORS.values(), ids=VECTORS.keys())
def test_the_checksum_is_that_of_the_rfc(content: bytes, expected: int) -> None:
    assert crc32c(content) == expected
