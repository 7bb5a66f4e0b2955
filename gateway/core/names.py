"""Header field names as the laxest server compares them.

CGI, WSGI and PHP turn `X-User`, `X_User` and `X.User` into one variable, so a field is the same field for us when only its
letters and digits agree (CVE-2025-64484).
"""

from typing import Final

_LOWER: Final = bytes(range(256)).lower()
_DROPPED: Final = bytes(octet for octet in range(256) if not chr(octet).isalnum() or octet > 127)


def folded(name: bytes) -> bytes:
    """Letters and digits only, lower case: the form in which names are compared when a spelling must not matter."""
    return name.translate(_LOWER, _DROPPED)
