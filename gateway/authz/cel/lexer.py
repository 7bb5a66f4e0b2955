"""Source text to tokens, by the lexis of the CEL specification ("Syntax").

Unsigned and bytes literals and back-quoted names are recognised only to be refused by name.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gateway.authz.cel.errors import CelError

MAX_BYTES: Final = 4096
MAX_INT: Final = 2**63 - 1

SPACE: Final = re.compile(r"(?:[ \t\n\f\r]+|//[^\n]*)+", re.ASCII)
NUMBER: Final = re.compile(
    r"(?P<hex>0[xX][0-9a-fA-F]+)|(?P<double>[0-9]*\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)|(?P<int>[0-9]+)"
)
NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
OPERATOR: Final = re.compile(r"&&|\|\||==|!=|<=|>=|[-+*/%<>!?:.,()\[\]{}]")
QUOTE: Final = re.compile(r"(?P<prefix>[rR]?[bB]?|[bB][rR])(?P<quote>\"\"\"|'''|\"|')")
ESCAPE: Final = re.compile(
    r"\\(?:(?P<plain>[\\?\"'`abfnrtv])|[xX](?P<hex>[0-9a-fA-F]{2})|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8})|(?P<octal>[0-3][0-7]{2}))"
)
PLAIN: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class Kind(StrEnum):
    """What a token is."""

    NAME = "name"
    NUMBER = "number"
    STRING = "string"
    OPERATOR = "operator"
    END = "end of the expression"


@dataclass(frozen=True, slots=True)
class Token:
    """One word of the source. `value` is the number or string a literal stands for."""

    kind: Kind
    text: str
    start: int
    end: int
    value: int | float | str | None = None

    def shown(self) -> str:
        """The token as a message names it."""
        return self.kind.value if self.kind is Kind.END else f"{self.text!r}"


def tokens(source: str) -> list[Token]:
    """All tokens of `source`, the last of kind END. Raises CelError."""
    _admit(source)
    found: list[Token] = []
    place = _after_space(source, 0)
    while place < len(source):
        token = _token(source, place)
        found.append(token)
        place = _after_space(source, token.end)
    found.append(Token(Kind.END, "", len(source), len(source)))
    return found


def _admit(source: str) -> None:
    """Size, and characters that no text may contain. The size is checked first, so that everything after it is bounded."""
    if len(source) > MAX_BYTES:
        raise CelError(f"an expression may be {MAX_BYTES} bytes long", MAX_BYTES)
    for place, character in enumerate(source):
        if character == "\0" or "\ud800" <= character <= "\udfff":
            raise CelError(f"the character U+{ord(character):04X} is not allowed", place)
    if len(source.encode()) > MAX_BYTES:
        raise CelError(f"an expression may be {MAX_BYTES} bytes long", 0)


def _after_space(source: str, place: int) -> int:
    found = SPACE.match(source, place)
    return found.end() if found else place


def _token(source: str, place: int) -> Token:
    if found := QUOTE.match(source, place):
        return _string(source, place, found)
    if found := NUMBER.match(source, place):
        return _number(source, found)
    if found := NAME.match(source, place):
        return Token(Kind.NAME, found[0], place, found.end())
    if found := OPERATOR.match(source, place):
        return Token(Kind.OPERATOR, found[0], place, found.end())
    raise CelError(f"unexpected character {source[place]!r}", place, _advice(source[place]))


def _advice(character: str) -> str:
    hints = {
        "=": "use '==' to compare",
        "&": "use '&&'",
        "|": "use '||'",
        "`": "write ['a-name'] for a name that is not an identifier",
    }
    return hints.get(character, "")


def _number(source: str, found: re.Match[str]) -> Token:
    start, end = found.span()
    if source[end : end + 1] in ("u", "U"):
        raise CelError("unsigned numbers are not available", start, "leave out the 'u'")
    if NAME.match(source, end):
        raise CelError(f"{source[start : end + 1]!r} is not a number", start)
    value: int | float
    if found["double"]:
        value = float(found[0])
        if value == float("inf"):
            raise CelError("the number is too large for a double", start)
    else:
        value = int(found[0], 16 if found["hex"] else 10)
        if value > MAX_INT + 1:
            raise CelError("the number is too large for a 64-bit integer", start)
    return Token(Kind.NUMBER, found[0], start, end, value)


def _string(source: str, start: int, found: re.Match[str]) -> Token:
    prefix, quote = found["prefix"].lower(), found["quote"]
    if "b" in prefix:
        raise CelError("bytes literals are not available", start)
    pieces: list[str] = []
    place = found.end()
    while not source.startswith(quote, place):
        piece, place = _character(source, place, start, raw=prefix == "r", multiline=len(quote) == 3)
        pieces.append(piece)
    if prefix == "r" and source[place - 1] == "\\":
        # The grammar ends the string here, Google's C++ engine refuses it: a reader cannot tell, so neither do we.
        raise CelError("a raw string may not end with a backslash", start)
    end = place + len(quote)
    return Token(Kind.STRING, source[start:end], start, end, "".join(pieces))


def _character(source: str, place: int, start: int, *, raw: bool, multiline: bool) -> tuple[str, int]:
    """One character of a string literal and the place after it."""
    character = source[place : place + 1]
    if not character or (character in "\r\n" and not multiline):
        raise CelError("the string is not closed", start)
    if character != "\\" or raw:
        return character, place + 1
    found = ESCAPE.match(source, place)
    if found is None:
        raise CelError(f"unknown escape {source[place : place + 2]!r}", place, "write a backslash as '\\\\'")
    return _unescape(found), found.end()


def _unescape(found: re.Match[str]) -> str:
    if plain := found["plain"]:
        return PLAIN.get(plain, plain)
    code = int(found["octal"], 8) if found["octal"] else int(found["hex"] or found["short"] or found["long"], 16)
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise CelError(f"{found[0]} is not a character", found.start())
    return chr(code)
