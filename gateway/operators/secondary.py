"""Second factors that are typed: codes of an authenticator (RFC 6238), and recovery codes."""

import base64
import hmac
import re
import secrets
import struct
from typing import Final
from urllib.parse import quote, urlencode

from gateway.authn.login.seal import Seal

DIGITS: Final = 6
SECONDS: Final = 30
EARLIER: Final = 1
"""Steps that a clock may be off, either way (RFC 6238 5.2)."""
SEED_BYTES: Final = 20
"""RFC 4226 4, R6."""
CODE: Final = re.compile(r"[0-9]{6}")
CODES: Final = 10
CODE_BYTES: Final = 10
ISSUER: Final = "Latchgate"


def hotp(seed: bytes, counter: int, digits: int = DIGITS, digest: str = "sha1") -> str:
    """RFC 4226 5.3; RFC 6238 allows the longer digests."""
    mac = hmac.digest(seed, struct.pack(">Q", counter), digest)
    start = mac[-1] & 0x0F
    number = struct.unpack(">I", mac[start : start + 4])[0] & 0x7FFFFFFF
    return f"{number % 10**digits:0{digits}d}"


def step_of(seed: bytes, code: str, now: float, after: int) -> int | None:
    """The time step of a code, None where it is of none that counts now. One of `after` or earlier was used, or could have been."""
    if not CODE.fullmatch(code):
        return None
    current, found = int(now // SECONDS), None
    for step in range(current - EARLIER, current + EARLIER + 1):
        if hmac.compare_digest(hotp(seed, step), code) and step > after:
            found = step
    return found


def new_seed() -> bytes:
    return secrets.token_bytes(SEED_BYTES)


def shown(seed: bytes, name: str) -> dict[str, str]:
    """A seed for an authenticator: as text, and as the URI that goes into a QR code."""
    text = base64.b32encode(seed).decode()
    label = quote(f"{ISSUER}:{name}")
    return {"secret": text, "uri": f"otpauth://totp/{label}?{urlencode({'secret': text, 'issuer': ISSUER})}"}


def new_codes(seal: Seal, name: str) -> tuple[list[str], tuple[str, ...]]:
    """Recovery codes, 80 bits each, to be shown once; and what is kept of them."""
    codes = [base64.b32encode(secrets.token_bytes(CODE_BYTES)).decode().lower() for _ in range(CODES)]
    return ["-".join(re.findall("....", code)) for code in codes], tuple(digest(seal, name, code) for code in codes)


def digest(seal: Seal, name: str, code: str) -> str:
    """What is kept of a recovery code: under our key, and of no use for another account."""
    plain = "".join(each for each in code.casefold() if each.isalnum())
    return seal.mark(f"recovery\0{name}\0{plain}".encode("utf-8", "surrogatepass"))


def used(codes: tuple[str, ...], mark: str) -> tuple[str, ...] | None:
    """The codes that are left after one was used, None where it is none of them."""
    left = tuple(each for each in codes if not hmac.compare_digest(each, mark))
    return left if len(left) < len(codes) else None
