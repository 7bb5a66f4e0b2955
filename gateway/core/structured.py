"""Structured field values (RFC 9651), read strictly and written in their one canonical form.

An Integer is an int, a Decimal a Decimal, a String a str, a Byte Sequence bytes, a Boolean a bool; Token, Date and Display are
their own. An item is (value, parameters), an inner list (items, parameters); parameters and dictionaries keep their order.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final, TypeVar, final


@final
class Token(str):
    """A Token (3.3.4)."""

    __slots__ = ()


@final
class Display(str):
    """A Display String (3.3.8): any text."""

    __slots__ = ()


@final
class Date(int):
    """A Date (3.3.7): Unix seconds."""


Bare = int | Decimal | str | bytes | bool
Parameters = dict[str, Bare]
Item = tuple[Bare, Parameters]
InnerList = tuple[list[Item], Parameters]
Member = Item | InnerList
T = TypeVar("T")

KEY: Final = re.compile(r"[a-z*][a-z0-9_.*-]*", re.ASCII)
NUMBER: Final = re.compile(r"(-?)([0-9]+)(?:\.([0-9]*))?", re.ASCII)
STRING: Final = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"', re.ASCII)
TOKEN: Final = re.compile(r"[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*", re.ASCII)
BYTES: Final = re.compile(r":([A-Za-z0-9+/]*={0,2}):", re.ASCII)
BOOLEAN: Final = re.compile(r"\?([01])", re.ASCII)
DISPLAY: Final = re.compile(r'%"((?:[ !#$&-~]|%[0-9a-f]{2})*)"', re.ASCII)
ESCAPED: Final = re.compile(r"\\(.)")
OCTET: Final = re.compile(rb"%([0-9a-f]{2})")
PLAIN: Final = re.compile(r"[ -~]*", re.ASCII)
LARGEST: Final = 999_999_999_999_999


def dictionary(text: str, *, once: bool = False) -> dict[str, Member]:
    """A Dictionary. `once` refuses a key that comes twice, of which the last would count. Raises ValueError."""
    return _Reader(text, once).whole(_Reader.members)


def listed(text: str) -> list[Member]:
    """A List. Raises ValueError."""
    return _Reader(text, False).whole(_Reader.listed)


def item(text: str) -> Item:
    """An Item. Raises ValueError."""
    return _Reader(text, False).whole(_Reader.item)


@final
class _Reader:
    """4.2: one pass over the text, with nothing taken back."""

    def __init__(self, text: str, once: bool) -> None:
        self._text = text.strip(" ")
        self._at = 0
        self._once = once

    def whole(self, read: Callable[["_Reader"], T]) -> T:
        """What `read` makes of all the text."""
        found = read(self)
        if self._at != len(self._text):
            raise ValueError("something is left over")
        return found

    def members(self) -> dict[str, Member]:
        found: dict[str, Member] = {}
        while self._more(bool(found)):
            key = self._key(found)
            member = self._member() if self._takes("=") else (True, self._parameters())
            found[key] = member
        return found

    def listed(self) -> list[Member]:
        found: list[Member] = []
        while self._more(bool(found)):
            found.append(self._member())
        return found

    def item(self) -> Item:
        return self._bare(), self._parameters()

    def _more(self, begun: bool) -> bool:
        """Whether another member comes, after its comma."""
        if not begun:
            return self._at < len(self._text)
        self._skip(" \t")
        if self._at == len(self._text):
            return False
        if not self._takes(","):
            raise ValueError("no comma between members")
        self._skip(" \t")
        if self._at == len(self._text):
            raise ValueError("a comma at the end")
        return True

    def _member(self) -> Member:
        return self._inner() if self._peek() == "(" else self.item()

    def _inner(self) -> InnerList:
        self._at += 1
        items: list[Item] = []
        while True:
            self._skip(" ")
            if self._takes(")"):
                return items, self._parameters()
            items.append(self.item())
            if self._peek() not in (" ", ")"):
                raise ValueError("no space between the items of an inner list, or no end")

    def _parameters(self) -> Parameters:
        found: Parameters = {}
        while self._takes(";"):
            self._skip(" ")
            key = self._key(found)
            value = self._bare() if self._takes("=") else True
            found[key] = value
        return found

    def _key(self, known: Mapping[str, object]) -> str:
        key = self._match(KEY, "a key")[0]
        if self._once and key in known:
            raise ValueError(f"{key} twice")
        return key

    def _bare(self) -> Bare:
        first = self._peek()
        if first == '"':
            return ESCAPED.sub(r"\1", self._match(STRING, "a string")[1])
        if first == ":":
            return _decoded(self._match(BYTES, "a byte sequence")[1])
        if first == "?":
            return self._match(BOOLEAN, "a boolean")[1] == "1"
        if first == "%":
            return _displayed(self._match(DISPLAY, "a display string")[1])
        if first == "@":
            self._at += 1
            seconds = self._number()
            if not isinstance(seconds, int):
                raise ValueError("a date with a fraction")
            return Date(seconds)
        if first == "-" or first.isdigit():
            return self._number()
        return Token(self._match(TOKEN, "a value")[0])

    def _number(self) -> int | Decimal:
        found = self._match(NUMBER, "a number")
        sign, digits, fraction = found.groups()
        if fraction is None:
            if len(digits) > 15:
                raise ValueError("an integer of more than 15 digits")
            return int(sign + digits)
        if len(digits) > 12 or not 0 < len(fraction) <= 3:
            raise ValueError("a decimal of more than 12 digits, or of none or more than 3 behind the point")
        return Decimal(found[0])

    def _match(self, pattern: re.Pattern[str], what: str) -> re.Match[str]:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise ValueError(f"not {what}")
        self._at = found.end()
        return found

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _takes(self, sign: str) -> bool:
        if self._peek() != sign:
            return False
        self._at += 1
        return True

    def _skip(self, signs: str) -> None:
        while self._peek() and self._peek() in signs:
            self._at += 1


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None


def _displayed(text: str) -> Display:
    return Display(OCTET.sub(lambda found: bytes((int(found[1], 16),)), text.encode("ascii")).decode("utf-8"))


def written(member: Member) -> str:
    """4.1: an item or inner list in its one form. Raises ValueError for what has none."""
    value, parameters = member
    if isinstance(value, list):
        return f"({' '.join(written(each) for each in value)}){_parameters(parameters)}"
    return _bare(value) + _parameters(parameters)


def whole(found: Mapping[str, Member] | list[Member] | Item) -> str:
    """A field's value: a Dictionary, List or Item. Raises ValueError as `written` does."""
    if isinstance(found, Mapping):
        return ", ".join(
            _key(key) + (_parameters(member[1]) if member[0] is True else f"={written(member)}") for key, member in found.items()
        )
    return ", ".join(map(written, found)) if isinstance(found, list) else written(found)


def _parameters(parameters: Parameters) -> str:
    return "".join(f";{_key(key)}" + ("" if value is True else f"={_bare(value)}") for key, value in parameters.items())


def _key(key: str) -> str:
    if not KEY.fullmatch(key):
        raise ValueError("not a key")
    return key


def _bare(value: Bare) -> str:
    if isinstance(value, bool):
        return f"?{value:d}"
    if isinstance(value, int):
        if abs(value) > LARGEST:
            raise ValueError("an integer of more than 15 digits")
        return f"@{value:d}" if isinstance(value, Date) else f"{value:d}"
    if isinstance(value, bytes):
        return f":{base64.b64encode(value).decode('ascii')}:"
    return _decimal(value) if isinstance(value, Decimal) else _text(value)


def _text(value: str) -> str:
    if isinstance(value, Token):
        if not TOKEN.fullmatch(value):
            raise ValueError("not a token")
        return str(value)
    if isinstance(value, Display):
        octets = (chr(octet) if 0x20 <= octet < 0x7F and octet not in b'%"' else f"%{octet:02x}" for octet in value.encode("utf-8"))
        return f'%"{"".join(octets)}"'
    if not PLAIN.fullmatch(value):
        raise ValueError("a string holds printable ASCII only")
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _decimal(value: Decimal) -> str:
    rounded = value.quantize(Decimal("0.001"), ROUND_HALF_EVEN)
    whole, _, fraction = f"{rounded:f}".partition(".")
    if len(whole.lstrip("-")) > 12:
        raise ValueError("a decimal of more than 12 digits before the point")
    return f"{whole}.{fraction.rstrip('0') or '0'}"
