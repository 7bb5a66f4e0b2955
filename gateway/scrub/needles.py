"""What is looked for: the values an injector put into a request, in every form that is promised to be found.

Literals are looked for with bytes.find, several times as fast as one pattern of `re` for all of them, where the text has a byte at
all that they have and texts rarely: one byte is found as fast as memory is read. Texts with escapes are searched a second time
without these. Made once for a secret's value, never for a request.
"""

import base64
import hashlib
import secrets
from collections.abc import Iterable, Sequence
from typing import Final

from gateway.core.echoes import Guarded, Span
from gateway.core.shape import MOST, Shape
from gateway.scrub.escapes import LONGEST, PARTIAL, SIGNS, View, escapes_for

SHORTEST: Final = 8
"""Bytes of a value that is looked for in bodies, and in other forms than its own; shorter ones stand in every other text."""
MASK: Final = b"REDACTED"
BASIC: Final = b"Basic "
"""A word anybody may write; what follows it is the secret."""
FINGERPRINT_KEY: Final = secrets.token_bytes(32)
"""Nobody can recognise a value by its fingerprint offline; it lasts as long as the process."""
RARE: Final = b"\0QZXJKVYjqzWUGHFBPOxNLMDRkICSTEAwvybgpfmucd"
"""Bytes that values have, in the order from what few texts have to what many do."""
SAFE: Final = bytes.maketrans(b"+/", b"-_")
PERCENT: Final = 0x25
BACKSLASH: Final = 0x5C
AMPERSAND: Final = 0x26


def mask(size: int) -> bytes:
    """What stands in place of `size` bytes: as many, so that lengths, ranges and frames stay true."""
    return MASK.ljust(size, b"*")[:size]


def forms(value: bytes) -> set[bytes]:
    """A value as it is, with `+` for a space, in UTF-16, and in base64 wherever it may stand in a longer text.

    Base64 (RFC 4648 4 and 5) of a longer text depends on the value alone but for the signs at its ends, which hold up to four bits
    of its first and of its last byte: these are not looked for. So padding plays no part either.
    """
    found = {value, value.replace(b" ", b"+"), b"\0".join([value[at : at + 1] for at in range(len(value))])}
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + value)
        core = encoded[-(-8 * offset // 6) : 8 * (offset + len(value)) // 6]
        found |= {core, core.translate(SAFE)}
    return found


class Needles:
    """All forms of the values that belong together: a secret, and what is said on the wire."""

    __slots__ = ("_escapes", "_reach", "clean", "every", "fingerprint", "forms", "in_bodies", "in_heads", "mark", "short")

    def __init__(self, *values: bytes, once: bool = False) -> None:
        """`once`: they are of no use for another request, so they are looked for as they are (and escaped) only."""
        told = independent(dict.fromkeys(value for each in values if (value := each.removeprefix(BASIC))))
        long = tuple([value for value in told if len(value) >= SHORTEST])
        found: set[bytes] = set(long) if once else set().union(*[forms(value) for value in long])
        self.forms = longest_first(found)
        self.every = longest_first(found.union(told))
        self.in_bodies, self.in_heads = guarded(self.forms), guarded(self.every)
        self._reach = max(map(len, self.forms), default=0)
        self._escapes = escapes_for(told)
        self.clean: set[Shape] = set()
        self.mark = hash(told)
        self.short = len(long) < len(told)
        self.fingerprint = hashlib.blake2s(b"\0".join(told), key=FINGERPRINT_KEY, digest_size=8).hexdigest()

    def __repr__(self) -> str:
        return "Needles(***)"

    # In heads

    def in_names(self, shape: Shape) -> bool:
        """Whether there is any in the names of a message's fields, which are in lower case."""
        if any(map(self.in_name, shape.names)):
            return True
        if shape.kept:
            if len(self.clean) >= MOST:
                self.clean.clear()
            self.clean.add(shape)
        return False

    def in_name(self, name: bytes) -> bool:
        """Whether there is any in one name."""
        return any(form.lower() in name for form in self.forms)

    def replaced(self, value: bytes) -> bytes:
        """The value of a field with MASK in place of each, also of the short ones."""
        parts: list[bytes] = []
        at = 0
        for start, end in self._spans(value, self.every):
            parts += (value[at:start], MASK)
            at = end
        return b"".join((*parts, value[at:])) if parts else value

    # In bodies

    def spans(self, text: bytes) -> list[Span]:
        """Where they are, in their order, those that overlap together."""
        return self._spans(text, self.forms) if self.occur(text, self.in_bodies) else []

    def begun(self, text: bytes) -> int:
        """How many bytes at the end of a text may be the beginning of one."""
        most = max([begun(text, form) for form in self.forms], default=0)
        tail = text[-(self._reach * LONGEST) :]
        if self.forms and any(tail.find(sign) >= 0 for sign in SIGNS):
            most = max(most, self._begun_escaped(tail))
        return most

    # In both

    def occur(self, text: bytes, guarded: Guarded) -> bool:
        """Whether there is any of these in a text, with or without its escapes."""
        for sign, forms in guarded:
            if sign in text:  # of a number this is one memchr, without the arguments of `find`
                for form in forms:
                    if text.find(form) >= 0:  # `in` would first take these bytes for a number
                        return True
        if PERCENT not in text and BACKSLASH not in text and AMPERSAND not in text:
            return False
        plain = self._escapes.without(text)
        return plain is not text and any(plain.find(form) >= 0 for _, forms in guarded for form in forms)

    # Inside

    def _spans(self, text: bytes, forms: tuple[bytes, ...]) -> list[Span]:
        view = View(self._escapes, text)
        found = list(places(text, forms))
        found += [view.span(start, end) for start, end in places(view.text, forms)]
        return merged(found)

    def _begun_escaped(self, tail: bytes) -> int:
        partial = PARTIAL.search(tail)
        whole = tail if partial is None else tail[: partial.start()]
        view = View(self._escapes, whole)
        most = max([begun(view.text, form) for form in self.forms])
        start = view.span(len(view.text) - most, len(view.text))[0] if most else len(whole)
        return len(tail) - start


def independent(values: Iterable[bytes]) -> tuple[bytes, ...]:
    """Without those that hold another one, long enough to be found in whatever form: `Bearer s3cret-token` holds `s3cret-token`."""
    given = tuple(values)
    return tuple([value for value in given if not any(len(o) >= SHORTEST and o in value and o != value for o in given)])


def guarded(forms: Sequence[bytes]) -> Guarded:
    """Each form once, behind a byte without which a text holds none of those that stand with it."""
    found: list[tuple[int, tuple[bytes, ...]]] = []
    left = list(forms)
    for sign in RARE:
        if held := tuple([form for form in left if sign in form]):
            found.append((sign, held))
            left = [form for form in left if sign not in form]
    return (*found, *[(form[0], (form,)) for form in left])


def longest_first(found: Iterable[bytes]) -> tuple[bytes, ...]:
    """In an order that does not depend on the run."""
    return tuple(sorted(found, key=lambda form: (-len(form), form)))


def places(text: bytes, forms: tuple[bytes, ...]) -> Iterable[Span]:
    """Where these are."""
    for form in forms:
        at = text.find(form)
        while at >= 0:
            yield at, at + len(form)
            at = text.find(form, at + 1)


def merged(spans: list[Span]) -> list[Span]:
    """In their order, those that overlap made one."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start < found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def begun(text: bytes, form: bytes) -> int:
    """How many bytes at the end of a text are the beginning of a form, and not all of it."""
    tail = text[max(0, len(text) - len(form) + 1) :]
    first = form[:1]
    at = tail.find(first)
    while at >= 0:
        if form.startswith(tail[at:]):
            return len(tail) - at
        at = tail.find(first, at + 1)
    return 0
