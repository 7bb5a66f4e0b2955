"""Header fields in HPACK (RFC 7541): read by the hpack library, which lives here; written without any table.

What we write is never put into a table, neither here nor at the other end: on a connection that many share, what compresses well
would tell one of them what another sent (RFC 7541 7.1), and a table is memory that the other end asks for.
"""

from collections.abc import Iterable
from typing import Final

from hpack import Decoder, HPACKError

from gateway.core.message import Field
from gateway.http2.frames import Code, ConnectionFault

NEVER_INDEXED: Final = 0x10
EMPTY_TABLE: Final = b"\x20"
"""The encoder's table has no room (RFC 7541 6.3): said once, before the first block, it holds whatever the other end allows."""
TABLE: Final = 4096


class Fields:
    """Reads the header blocks of one connection, in their order. `largest` bounds a list of fields (RFC 9113 6.5.2) in bytes."""

    __slots__ = ("_decoder",)

    def __init__(self, largest: int) -> None:
        self._decoder = Decoder(max_header_list_size=largest)
        self._decoder.max_allowed_table_size = TABLE

    def read(self, block: bytes) -> list[Field]:
        """Raises ConnectionFault: after a block that cannot be read, no other can."""
        try:
            return [(bytes(name), bytes(value)) for name, value in self._decoder.decode(block, raw=True)]
        except HPACKError as error:
            raise ConnectionFault(Code.COMPRESSION_ERROR, f"a header block: {type(error).__name__}") from error


def written(fields: Iterable[Field]) -> bytes:
    """A header block."""
    made = bytearray()
    for name, value in fields:
        made.append(NEVER_INDEXED)
        made += length(len(name)) + name + length(len(value)) + value
    return bytes(made)


def length(size: int) -> bytes:
    """The length of a string that is not compressed: an integer with a prefix of seven bits (RFC 7541 5.1, 5.2)."""
    if size < 0x7F:
        return bytes((size,))
    made = bytearray((0x7F,))
    size -= 0x7F
    while size >= 0x80:
        made.append(size & 0x7F | 0x80)
        size >>= 7
    made.append(size)
    return bytes(made)
