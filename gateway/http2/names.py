"""Which fields may stand in a head (RFC 9113 8.2): of the characters that HTTP/1.1 may carry too, so that both mean the same."""

import re
from typing import Final

NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
VALUE: Final = re.compile(rb"(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?")
"""Without white space around it (RFC 9113 8.2.1), and of the characters that HTTP/1.1 may carry."""
CONNECTION: Final = frozenset(
    (b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"http2-settings")
)
"""RFC 9113 8.2.2."""


def is_sound(name: bytes, value: bytes) -> bool:
    """Whether a field may leave: nothing in it could be read as another one."""
    return NAME.fullmatch(name) is not None and VALUE.fullmatch(value) is not None
