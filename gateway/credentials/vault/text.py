"""How sealed things are written: fields behind a word that names form and version, each bounded, in exactly one spelling.

    lgs1:<key id>:<sealed at>:<wrapped data key>:<nonce>:<ciphertext>     a value with its own data key
    lgk1:<key id>:<made at>:<data key id>:<wrapped data key>              a data key kept apart from what it seals
    lgd1:<data key id>:<sealed at>:<nonce>:<ciphertext>                   a value under a data key kept apart

Times are whole Unix seconds; bytes are base64url without padding (RFC 4648 5). Everything else is refused.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final

from gateway.credentials.vault.fault import Fault, NotOpened
from gateway.credentials.vault.place import bound
from gateway.credentials.vault.sizes import MAX_SECRET, MAX_TEXT, MAX_WRAPPED, NONCE, TAG

VALUE: Final = "lgs1"
KEY: Final = "lgk1"
ROW: Final = "lgd1"

ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
DATA_KEY_ID: Final = re.compile(r"[A-Za-z0-9_-]{22}", re.ASCII)
TIME: Final = re.compile(r"0|[1-9][0-9]{0,11}", re.ASCII)
BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Value:
    """`lgs1`: a sealed value and the data key it is under, wrapped by the key `key_id`."""

    key_id: str
    sealed_at: int
    wrapped: bytes
    nonce: bytes = b""
    ciphertext: bytes = b""

    def bound(self, place: bytes) -> bytes:
        """What the value's encryption is bound to: everything that stands before it, and where it stands."""
        return bound(VALUE, self.key_id, str(self.sealed_at), self.wrapped, place)

    def __str__(self) -> str:
        return _join(VALUE, self.key_id, self.sealed_at, self.wrapped, self.nonce, self.ciphertext)


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """`lgk1`: a data key wrapped by the key `key_id`."""

    key_id: str
    made_at: int
    id: str
    wrapped: bytes = b""

    def bound(self) -> bytes:
        """What the wrapping is bound to."""
        return bound(KEY, self.key_id, str(self.made_at), self.id)

    def __str__(self) -> str:
        return _join(KEY, self.key_id, self.made_at, self.id, self.wrapped)


@dataclass(frozen=True, slots=True)
class Row:
    """`lgd1`: a value under the data key `data_key_id`."""

    data_key_id: str
    sealed_at: int
    nonce: bytes = b""
    ciphertext: bytes = b""

    def bound(self, place: bytes) -> bytes:
        """What the value's encryption is bound to."""
        return bound(ROW, self.data_key_id, str(self.sealed_at), place)

    def __str__(self) -> str:
        return _join(ROW, self.data_key_id, self.sealed_at, self.nonce, self.ciphertext)


def value(text: str) -> Value:
    """Raises NotOpened for what `str(Value)` does not give."""
    key_id, at, wrapped, nonce, ciphertext = _split(text, VALUE, 5)
    return Value(_id(key_id), _time(at), _bytes(wrapped, 1, MAX_WRAPPED), *_sealed(nonce, ciphertext))


def wrapped_key(text: str) -> WrappedKey:
    """Raises NotOpened for what `str(WrappedKey)` does not give."""
    key_id, at, id, wrapped = _split(text, KEY, 4)
    return WrappedKey(_id(key_id), _time(at), _id(id, DATA_KEY_ID), _bytes(wrapped, 1, MAX_WRAPPED))


def row(text: str) -> Row:
    """Raises NotOpened for what `str(Row)` does not give."""
    id, at, nonce, ciphertext = _split(text, ROW, 4)
    return Row(_id(id, DATA_KEY_ID), _time(at), *_sealed(nonce, ciphertext))


def base64url(raw: bytes) -> str:
    """RFC 4648 5, without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _join(word: str, *fields: str | int | bytes) -> str:
    return ":".join([word, *(base64url(field) if isinstance(field, bytes) else str(field) for field in fields)])


def _split(text: str, word: str, count: int) -> list[str]:
    if len(text) > MAX_TEXT:
        raise NotOpened(Fault.MALFORMED, "is longer than anything sealed")
    found, *fields = text.split(":", count + 1)
    if found != word:
        raise NotOpened(Fault.MALFORMED, f"is not sealed in a form that this version knows: '{word}:' is expected")
    if len(fields) != count:
        raise NotOpened(Fault.MALFORMED, f"is not whole: {count} fields are expected behind '{word}:'")
    return fields


def _id(text: str, form: re.Pattern[str] = ID) -> str:
    if form.fullmatch(text) is None:
        raise NotOpened(Fault.MALFORMED, "has no well-formed key id")
    return text


def _time(text: str) -> int:
    if TIME.fullmatch(text) is None:
        raise NotOpened(Fault.MALFORMED, "has no well-formed time")
    return int(text)


def _sealed(nonce: str, ciphertext: str) -> tuple[bytes, bytes]:
    return _bytes(nonce, NONCE, NONCE), _bytes(ciphertext, TAG + 1, TAG + MAX_SECRET)


def _bytes(text: str, least: int, most: int) -> bytes:
    """The bytes of canonical base64url. Unused bits that are set would be a second spelling of the same bytes."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) if BASE64URL.fullmatch(text) else b""
    except binascii.Error:
        raw = b""
    if not least <= len(raw) <= most or base64url(raw) != text:
        raise NotOpened(Fault.MALFORMED, "is not whole: a field is not base64url, too short or too long")
    return raw
