"""What may not be printed: names of secrets, shapes of tokens, characters that forge lines.

A belt. Rooms keep secrets out of what they hand over (`core.secret.Secret` masks itself); here the rest is caught.
"""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote_plus

MASK: Final = "REDACTED"

# OpenTelemetry HTTP conventions (url.query) first, then what APIs of this field put into a query. Names with a word of
# FIELD_WORDS in them (access_token, api_key ...) need no entry.
QUERY_NAMES: Final = frozenset(
    {
        "x-amz-signature",
        "x-amz-credential",
        "awsaccesskeyid",
        "signature",
        "sig",
        "x-goog-signature",
        "x-goog-credential",
        "key",
        "code",
        "state",
        "client_assertion",
        "se",
        "sp",
        "sv",
        "jwt",
        "auth",
        "sid",
        "session",
        "assertion",
        "samlresponse",
    }
)
FIELD_WORDS: Final = ("authorization", "cookie", "token", "secret", "password", "passwd", "apikey", "pepper", "privatekey")
FIELD_WORD: Final = re.compile("|".join(FIELD_WORDS))

# A compact JWS, and the value after an authentication scheme (RFC 9110 11.4).
JWS: Final = re.compile(r"eyJ[A-Za-z0-9_-]{4,1000}\.[A-Za-z0-9_.-]*")
SCHEME: Final = re.compile(r"\b(bearer|basic|dpop|digest|negotiate)(\s{1,8}|%20|\+)[A-Za-z0-9._~+/=:-]{6,}", re.IGNORECASE)
SEPARATOR: Final = re.compile("([&;])")
USERINFO: Final = re.compile(r"(?<=://)[^/@\s]{1,512}@")

# DEL and C1 controls, line and paragraph separators, marks that reorder text: valid in JSON, able to forge what is displayed.
UNSEEN: Final = re.compile("[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def is_sensitive(name: str) -> bool:
    """Does a field of this name hold a secret? Compared without case, dashes and underscores."""
    return FIELD_WORD.search(name.lower().replace("-", "").replace("_", "")) is not None


def scrub(text: str) -> str:
    """`text` with everything shaped like a credential masked: compact JWTs, `Bearer …`, URL userinfo."""
    return masked(text) if may_mask(text) else text


def may_mask(text: str) -> bool:
    """Is there anything in `text` without which no pattern matches? Most paths and queries have none of it."""
    if not (text.isascii() and text.isprintable()):
        return True
    return " " in text or "+" in text or "%20" in text or "://" in text or "eyJ" in text


def masked(text: str) -> str:
    """`text` as `scrub` gives it, whatever is in it."""
    text = JWS.sub(MASK, text)
    text = SCHEME.sub(rf"\1 {MASK}", text)
    return USERINFO.sub(f"{MASK}:{MASK}@", text)


def visible(text: str) -> str:
    """`text` on one line: every character that could forge or hide a line as its escape."""
    if text.isascii() and text.isprintable():
        return text
    return CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def sealed(line: bytes) -> bytes:
    """A JSON line with characters that JSON allows but displays obey as JSON escapes."""
    if line.isascii() and line.find(b"\x7f") < 0:
        return line
    return UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", line.decode("utf-8")).encode("utf-8")


def redact_query(query: bytes, names: Iterable[str] = QUERY_NAMES) -> str:
    """A raw query with the values of `names` (lower case) masked and the keys kept: `color=blue&sig=REDACTED`.

    Names are compared decoded and without case (OpenTelemetry HTTP conventions, url.query), values also by shape.
    """
    hidden = names if isinstance(names, frozenset) else frozenset(names)
    parts = SEPARATOR.split(query.decode("latin-1"))
    return "".join([_redact_pair(part, hidden) for part in parts])


def _redact_pair(pair: str, hidden: frozenset[str]) -> str:
    name, equals, value = pair.partition("=")
    plain = _plain(name) if equals else ""
    if equals and (plain in hidden or is_sensitive(plain)):
        return f"{name}={MASK}"
    return visible(f"{name}{equals}{_scrub_value(value)}") if equals else visible(_scrub_value(pair))


def _plain(name: str) -> str:
    decoded = unquote_plus(name) if "%" in name or "+" in name else name
    if "%" in decoded:  # an escape of an escape: whoever decodes twice must not read a secret here
        decoded = unquote_plus(decoded)
    return decoded.strip().lower().split("[", 1)[0]


def _scrub_value(value: str) -> str:
    shown = unquote_plus(value) if "%" in value or "+" in value else value
    return value if scrub(shown) == shown else MASK
