"""Formats that schemas may assert: those of JSON Schema 2020-12, and three of ours that refuse what injection needs.

`no-markup` is text that can start no tag and no character reference. `single-line` is text that is one line to every reader of
lines. `safe-filename` names a file in the folder it is put in, on every system. All of them refuse; nothing is ever rewritten.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Any, Final

from gateway.config.validation import suggest
from gateway.edge.keywords import subschemas, unknown_type
from gateway.edge.pointer import pointer

STANDARD: Final = frozenset(
    ("date", "time", "date-time", "duration", "email", "idn-email", "hostname", "idn-hostname", "ipv4", "ipv6", "uri",
     "uri-reference", "iri", "iri-reference", "uri-template", "uuid", "json-pointer", "relative-json-pointer", "regex")
)  # fmt: skip

# Angle brackets, also those that Unicode's compatibility forms turn into one (NFKD); control characters other than tab, line
# feed and carriage return; character references, numeric or named.
MARKUP: Final = re.compile(
    "[<>\u226e\u226f\ufe64\ufe65\uff1c\uff1e\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|&(?:#|[A-Za-z][A-Za-z0-9]{0,31};)"
)

# What some reader takes for the end of a line (CR, LF, VT, FF, NEL, U+2028, U+2029), and all other control characters.
LINES: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")

NAME_BYTES: Final = 255
# Separators and what Windows keeps for itself; control characters, half characters, and those that turn the direction of text, so
# that a name reads backwards; an escaped octet; two dots; a dot, dash, tilde or space in front; a dot or space at the end.
UNSAFE: Final = re.compile(
    '[/\\\\:*?"<>|\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]'
    r"|%[0-9A-Fa-f]{2}|\.\.|\A[.~ -]|[. ]\Z"
)
# Names that Windows gives to devices, whatever comes behind a dot.
DEVICE: Final = re.compile(r"(?:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9\u00b9\u00b2\u00b3])[ ]*(?:\.|\Z)", re.IGNORECASE)


def is_without_markup(text: str) -> bool:
    """The format `no-markup` (OWASP XSS Prevention: what an HTML parser could leave text by)."""
    return MARKUP.search(text) is None


def is_single_line(text: str) -> bool:
    """The format `single-line` (CWE-93, CWE-117)."""
    return LINES.search(text) is None


def is_safe_filename(text: str) -> bool:
    """The format `safe-filename` (OWASP File Upload): 1 to 255 bytes of UTF-8 in NFC, judged as it is and as NFKC makes it."""
    if not 0 < len(text.encode("utf-8", "surrogatepass")) <= NAME_BYTES or not unicodedata.is_normalized("NFC", text):
        return False
    return all(UNSAFE.search(form) is None and DEVICE.match(form) is None for form in (text, unicodedata.normalize("NFKC", text)))


OWN: Final[dict[str, Callable[[str], bool]]] = {
    "no-markup": is_without_markup,
    "single-line": is_single_line,
    "safe-filename": is_safe_filename,
}
KNOWN: Final = STANDARD | OWN.keys()


def refuse_unknown(schema: Any, known: Iterable[str] = KNOWN) -> None:
    """Raises ValueError with the place of a format that nothing here checks, or of a type that is none, wherever it stands."""
    names = frozenset(known)
    for steps, here in subschemas(schema):
        if wrong := unknown_type(here):
            raise ValueError(f"{pointer((*steps, 'type'))}: {wrong}")
        name = here.get("format")
        if isinstance(name, str) and name not in names:
            hint = suggest(name, sorted(names)) or f"known are {', '.join(sorted(names))}"
            raise ValueError(f"{pointer((*steps, 'format'))}: unknown format '{name[:80]}' ({hint})")
