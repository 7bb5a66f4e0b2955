"""How the words begin that stand for a captured credential, and the one test for them in an Authorization field.

They are made and spent in `credentials.captured`. To `authn` they are no credential of the client's: they do not say who asks.
"""

import base64
import binascii
from typing import Final

MARK: Final = b"lgp1_"
KEY_ID: Final = b"LGPK"
"""Of an access key id: Amazon's SDKs carry it in the `Credential` of a signature."""
SIGV4_CREDENTIAL: Final = b"AWS4-HMAC-SHA256 Credential="


def is_placeholder(value: bytes) -> bool:
    """Whether an Authorization field is a placeholder: alone, behind a scheme, as the password of Basic, or in a signature."""
    if value.startswith((MARK, SIGV4_CREDENTIAL + KEY_ID)):
        return True
    scheme, _, rest = value.partition(b" ")
    if scheme.lower() != b"basic":
        return rest.lstrip(b" ").startswith(MARK)
    try:
        return base64.b64decode(rest.strip(b" "), validate=True).partition(b":")[2].startswith(MARK)
    except binascii.Error:
        return False
