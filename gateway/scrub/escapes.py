"""Text without its escapes: percent (RFC 3986 2.1), JSON and JavaScript (RFC 8259 7), HTML (WHATWG HTML 13.5).

One layer of them. What decodes to nothing that a secret is made of is left alone, for speed: nearly all escapes in real texts are
quotes, spaces and angle brackets.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final

PLAIN: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-./=_~:@$!")
"""What secrets and their base64 are mostly made of; no sign that begins, or ends, an escape."""
ANY_HEX: Final = rb"[0-9A-Fa-f]"
PLAIN_HEX: Final = rb"(?:3[0-9aAdD]|4[0-9A-Fa-f]|5[0-9aAfF]|6[1-9A-Fa-f]|7[0-9aAeE]|2[14bBdDeEfF])"
NAMED: Final = {
    b"plus": b"+", b"sol": b"/", b"equals": b"=", b"lowbar": b"_", b"UnderBar": b"_", b"period": b".", b"colon": b":",
    b"commat": b"@", b"dollar": b"$", b"excl": b"!", b"amp": b"&", b"AMP": b"&", b"lt": b"<", b"LT": b"<", b"gt": b">", b"GT": b">",
    b"quot": b'"', b"QUOT": b'"', b"apos": b"'", b"num": b"#", b"percnt": b"%", b"ast": b"*", b"comma": b",", b"semi": b";",
    b"quest": b"?", b"lpar": b"(", b"rpar": b")", b"lsqb": b"[", b"lbrack": b"[", b"rsqb": b"]", b"rbrack": b"]", b"lcub": b"{",
    b"lbrace": b"{", b"rcub": b"}", b"rbrace": b"}", b"verbar": b"|", b"vert": b"|", b"bsol": b"\\", b"Hat": b"^", b"grave": b"`",
    b"nbsp": b"\xc2\xa0", b"Tab": b"\t", b"NewLine": b"\n",
}  # fmt: skip
PLAIN_NAMES: Final = b"|".join(name for name, sign in NAMED.items() if sign[0] in PLAIN)
SHORT: Final = {b'"': b'"', b"'": b"'", b"\\": b"\\", b"/": b"/", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
LONGEST: Final = 12
"""Bytes of an escape at most: a surrogate pair. Digits in HTML may have more zeros in front than we take."""
SLASH: Final = b"\\/"
SIGNS: Final = (b"%", b"\\", b"&")
PARTIAL: Final = re.compile(
    rb"(?:%[0-9A-Fa-f]?|\\(?:u[0-9A-Fa-f]{0,3}|u[dD][89abAB][0-9A-Fa-f]{2}(?:\\(?:u[0-9A-Fa-f]{0,3})?)?|x[0-9A-Fa-f]?)?"
    rb"|&(?:#(?:[0-9]{0,7}|[xX][0-9A-Fa-f]{0,6})|[A-Za-z]{0,8}))\Z"
)
"""The beginning of an escape at the end of a text."""

Decode = Callable[["re.Match[bytes]"], bytes]


def decoded(found: "re.Match[bytes]") -> bytes:
    """What one escape stands for."""
    token = found[0]
    if token[:1] == b"%":
        return bytes((int(token[1:], 16),))
    if token[:1] == b"&":
        return of_html(token[1:-1])
    if token[1:2] == b"u":
        text = "".join([chr(int(part, 16)) for part in token.lower().split(b"\\u")[1:]])
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
    return bytes.fromhex(token[2:].decode()) if token[1:2] == b"x" else SHORT[token[1:]]


def of_html(name: bytes) -> bytes:
    """What a character reference stands for, without its ampersand and semicolon."""
    if name[:1] != b"#":
        return NAMED[name]
    number = int(name[1:].lstrip(b"xX"), 16 if name[1:2] in b"xX" else 10)
    return chr(number).encode("utf-8", "replace") if number < 0x110000 else b"\xef\xbf\xbd"


class Escapes:
    """What takes escapes out of a text. Each pattern begins with a byte that `re` looks for as fast as memory is read."""

    __slots__ = ("_each", "_slashes", "_whole")

    def __init__(self, *patterns: bytes, slashes: bool) -> None:
        """The patterns of the three kinds in the order of SIGNS. `slashes`: a backslash before a slash can be taken out first."""
        self._slashes = slashes
        self._each = tuple([re.compile(pattern) for pattern in patterns])
        self._whole = re.compile(b"|".join(patterns))

    def without(self, text: bytes) -> bytes:
        """The text without its escapes; the very same object where it has none."""
        if self._slashes and text.find(SLASH) >= 0:
            text = text.replace(SLASH, b"/")  # PHP writes every one so; a pattern would take them out one at a time
        for sign, pattern in zip(SIGNS, self._each, strict=True):
            if text.find(sign) >= 0 and pattern.search(text) is not None:
                # All kinds at once: one may stand beside another, and none within another's.
                return self._whole.sub(decoded, text)
        return text

    def pieces(self, text: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Where each escape begins and ends, and what it stands for."""
        for found in self._whole.finditer(text):
            yield found.start(), found.end(), decoded(found)


USUAL: Final = Escapes(
    rb"%" + PLAIN_HEX,
    rb"\\(?:u00" + PLAIN_HEX + rb"|x" + PLAIN_HEX + rb"|/)",
    rb"&(?:#(?:0{0,4}(?:3[36]|4[35-9]|5[0-8]|6[14-9]|[78][0-9]|9[05]|9[7-9]|1[01][0-9]|12[0-26])|[xX]0{0,4}" + PLAIN_HEX + rb")|"
    + PLAIN_NAMES + rb");",
    slashes=True,
)  # fmt: skip
"""For secrets of PLAIN signs."""
EVERY: Final = Escapes(
    rb"%[0-9A-Fa-f]{2}",
    rb"\\(?:u[dD][89abAB][0-9A-Fa-f]{2}\\u[dD][c-fC-F][0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|[\"'\\/bfnrt])",
    rb"&(?:#(?:[0-9]{1,7}|[xX][0-9A-Fa-f]{1,6})|" + b"|".join(sorted(NAMED, reverse=True)) + rb");",
    slashes=False,
)
"""For all others."""


def escapes_for(values: tuple[bytes, ...]) -> Escapes:
    """What takes out the escapes that texts with these values in them may have."""
    return USUAL if PLAIN.issuperset(b"".join(values)) else EVERY


class View:
    """A text without its escapes, and where in the text its bytes came from."""

    __slots__ = ("_marks", "text")

    def __init__(self, escapes: Escapes, text: bytes) -> None:
        parts: list[bytes] = []
        marks: list[tuple[int, int, int, int]] = []
        at = size = 0
        for start, end, meaning in escapes.pieces(text):
            parts += (text[at:start], meaning)
            size += start - at
            marks.append((size, size + len(meaning), start, end))
            size, at = size + len(meaning), end
        parts.append(text[at:])
        self.text = b"".join(parts)
        self._marks = marks

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where in the text the bytes of the view from `start` to `end` came from; an escape as a whole."""
        return self._place(start, last=False), self._place(end - 1, last=True)

    def _place(self, place: int, *, last: bool) -> int:
        low, high = 0, len(self._marks)
        while low < high:
            middle = (low + high) // 2
            if self._marks[middle][0] <= place:
                low = middle + 1
            else:
                high = middle
        if not low:
            return place + last
        _, behind, start, end = self._marks[low - 1]
        if place < behind:
            return end if last else start
        return end + place - behind + last
