"""What is left of a redacted value. Strings come in pieces, and of a long one only what the style shows is kept.

`hash` gives equal values equal tokens, keyed, so that nobody without the key can try values. `last4` and `partial` (the first two
and the last two) mask everything of a value under eight characters. The mask is as long whatever it stands for.
"""

import codecs
import hmac
import json
from typing import Final, Protocol

from gateway.core.obligations import Style

MASK: Final = "****"
MASKED: Final = b'"****"'
SHORTEST: Final = 8
"""Characters of a value of which some are shown."""
WORDS: Final = (b"true", b"false", b"null")
DIGITS: Final = 32
"""Of the 64 hexadecimal digits of a SHA-256: what nobody finds a second value for."""
SHOWN: Final = {Style.LAST4: (0, 4), Style.PARTIAL: (2, 2)}


class Sink(Protocol):
    """Takes a string's characters; its end gives the JSON that stands in its place."""

    def take(self, text: str) -> None: ...
    def end(self) -> bytes: ...


class Styles:
    """Makes sinks. `key` is for `hash`; with none there is no `hash`, see `Shaping.prepare`."""

    __slots__ = ("_keyed",)

    def __init__(self, key: bytes) -> None:
        self._keyed = hmac.new(key, digestmod="sha256")

    def sink(self, style: Style) -> Sink:
        """For one value."""
        return Digest(self._keyed.copy()) if style is Style.HASH else Ends(*SHOWN[style])

    def left(self, style: Style, raw: bytes) -> bytes:
        """What is left of a string, number or word that is here as a whole, as JSON.

        A number is its own text. Any rest of true, false or null would tell all.
        """
        if raw in WORDS:
            return MASKED
        sink = self.sink(style)
        sink.take(unescaped(raw[1:-1].decode("utf-8")) if raw.startswith(b'"') else raw.decode("ascii"))
        return sink.end()


class Digest:
    """A keyed hash of the characters, in UTF-8."""

    __slots__ = ("_hash",)

    def __init__(self, hash: hmac.HMAC) -> None:
        self._hash = hash

    def take(self, text: str) -> None:
        # Half a surrogate pair has no UTF-8, and must have a hash.
        self._hash.update(text.encode("utf-8", "surrogatepass"))

    def end(self) -> bytes:
        return b'"hmac:%s"' % self._hash.hexdigest()[:DIGITS].encode("ascii")


class Ends:
    """A few characters from both ends of the value."""

    __slots__ = ("_count", "_first", "_head", "_last", "_tail")

    def __init__(self, head: int, tail: int) -> None:
        self._head = head
        self._tail = tail
        self._first = self._last = ""
        self._count = 0

    def take(self, text: str) -> None:
        self._count += len(text)
        self._first += text[: self._head - len(self._first)] if len(self._first) < self._head else ""
        self._last = (self._last + text[-self._tail :])[-self._tail :]

    def end(self) -> bytes:
        if self._count < SHORTEST:
            return MASKED
        return json.dumps(self._first + MASK + self._last).encode("ascii")


class Unescaping:
    """A string's bytes to its characters, piece by piece: a character may be cut anywhere between its bytes or its two escapes."""

    __slots__ = ("_decoder", "_half", "_sink")

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._half = ""

    def take(self, piece: bytes) -> None:
        """A piece with no escape cut in two, of valid UTF-8."""
        text = self._half + unescaped(self._decoder.decode(piece))
        self._half = text[-1:] if is_high(text[-1:]) else ""
        text = text.removesuffix(self._half)
        self._sink.take(paired(text))

    def end(self) -> bytes:
        self._sink.take(self._half)
        return self._sink.end()


def unescaped(text: str) -> str:
    """The inside of a JSON string without its escapes."""
    if "\\" not in text:
        return text
    found: str = json.loads(f'"{text}"', strict=False)
    return found


def is_sayable(text: str) -> bool:
    """Whether UTF-8 has it: no half of a surrogate pair."""
    return text.isascii() or not any("\ud800" <= sign <= "\udfff" for sign in text)


def is_high(sign: str) -> bool:
    """Whether a character may be the first half of a pair."""
    return "\ud800" <= sign <= "\udbff"


def paired(text: str) -> str:
    """The same with halves that belong together put together."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
