"""Passwords: which may be chosen (NIST SP 800-63B 5.1.1.2), and how they are stored (OWASP Password Storage Cheat Sheet).

A hash costs 19 MiB and some 30 ms, so only AT_ONCE are made at a time, on threads, and few may wait: whoever sends many passwords
takes neither the memory nor the processors away.
"""

import asyncio
import hmac
import lzma
import os
import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final, TypeVar, final

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from gateway.authn.operators_model import LocalOperators
from gateway.authn.strength import StrongSecret
from gateway.core.errors import Unavailable
from gateway.core.reason import Reason

T = TypeVar("T")
SHORTEST: Final = 12
LONGEST: Final = 128
MOST_BYTES: Final = 1024
MEMORY: Final = 19456
"""KiB."""
PASSES: Final = 2
LANES: Final = 1
CURRENT: Final = f"$argon2id$v=19$m={MEMORY},t={PASSES},p={LANES}$"
DUMMY: Final = CURRENT + "A" * 22 + "$" + "A" * 43
"""Of nobody's password."""
AT_ONCE: Final = 2
MOST_WAITING: Final = 16
BCRYPT: Final = re.compile(r"\$2[aby]\$(0[4-9]|1[0-2])\$[./A-Za-z0-9]{53}")
"""With a cost of at most 12: what takes longer would tell who was imported."""
BCRYPT_BYTES: Final = 72
"""All that bcrypt ever read of a password."""
COMMON: Final = Path(__file__).with_name("common.txt.xz")
CONTEXT: Final = ("latchgate", "gateway")
KINDS: Final = (str.islower, str.isupper, str.isdecimal, lambda each: not each.isalnum())


class Unfit(ValueError):
    """A password that may not be chosen; the message says why, and never what it is."""


def canonical(password: str) -> bytes:
    """However it was typed (NIST SP 800-63B 5.1.1.2: NFKC). Raises Unfit for what no password can be."""
    if len(password) > LONGEST or any(unicodedata.category(each) in ("Cc", "Cs") for each in password):
        raise Unfit(f"a password has at most {LONGEST} characters, none of them a control character")
    raw = unicodedata.normalize("NFKC", password).encode()
    if len(raw) > MOST_BYTES:
        raise Unfit(f"a password has at most {LONGEST} characters")
    return raw


def check(password: str, name: str, rules: LocalOperators) -> None:
    """See that a password may be chosen. Raises Unfit. `history` is judged by `Passwords.is_one_of`."""
    text = canonical(password).decode()
    if len(text) < SHORTEST:
        raise Unfit(f"a password has at least {SHORTEST} characters")
    folded = text.casefold()
    if len(set(folded)) < 5 or is_common(folded):
        raise Unfit("this password is one of those that are tried first")
    rest = folded
    for word in (name.casefold(), *CONTEXT):
        rest = rest.replace(word, "")
    if len(rest) < SHORTEST // 2:
        raise Unfit("this password is hardly more than the name or this program's")
    if sum(any(kind(each) for each in text) for kind in KINDS) < rules.classes:
        raise Unfit(f"`admin.operators.local.classes` wants {rules.classes} of lower case, upper case, digits and others")


def is_common(folded: str) -> bool:
    """Whether a password, case folded, is in the list, also with a mark or two behind it."""
    listed = _listed()
    return any(f"\n{each}\n".encode() in listed for each in {folded, folded.rstrip(".,!?*#-_ ")} if each)


@lru_cache(maxsize=1)
def _listed() -> bytes:
    return b"\n" + lzma.decompress(COMMON.read_bytes())


@final
class Threads:
    """Where hashes are made, for all configurations of a process: AT_ONCE at a time, MOST_WAITING with those that wait."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` gives. Raises Unavailable."""
        if self._waiting >= MOST_WAITING:
            raise Unavailable("operators: too many logins at once", reason=Reason.OVERLOADED)
        self._waiting += 1
        try:
            async with self._turns:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1


@final
class Passwords:
    """Hashes and verifies. `key` goes into each hash (RFC 9106 3.1, the secret value): a stolen database alone cannot be tried."""

    def __init__(self, key: StrongSecret, rules: LocalOperators, threads: Threads) -> None:
        self._key = key
        self.rules = rules
        self._threads = threads

    async def chosen(self, password: str, name: str, before: Sequence[str] = ()) -> str:
        """The hash of a new password. Raises Unfit for one that may not be chosen, or whose hash is in `before`."""
        await asyncio.to_thread(check, password, name, self.rules)
        if before and await self.is_one_of(password, before):
            raise Unfit("this password was used before")
        return await self.hash(password)

    async def hash(self, password: str) -> str:
        """In PHC form. Raises Unfit, Unavailable where too many wait, and DependencyDown."""
        raw, secret = canonical(password), self._secret()
        return await self._threads.run(lambda: hashed(raw, secret))

    async def verify(self, encoded: str | None, password: str) -> bool:
        """Whether this is the password of a hash. None takes as long, and is never true. Raises as `hash` does, but for Unfit."""
        try:
            raw = canonical(password)
        except Unfit:
            return False
        secret = self._secret()
        right = await self._threads.run(lambda: matches(encoded or DUMMY, raw, secret))
        return right and encoded is not None

    async def is_one_of(self, password: str, history: Sequence[str]) -> bool:
        """Whether a password was used before. Raises as `hash` does."""
        return any([await self.verify(each, password) for each in history])

    def _secret(self) -> bytes:
        return hmac.digest(self._key.current(), b"latchgate:operator-password\x01", "sha256")


def hashed(raw: bytes, secret: bytes) -> str:
    """argon2id in PHC form."""
    made = Argon2id(salt=os.urandom(16), length=32, iterations=PASSES, lanes=LANES, memory_cost=MEMORY, secret=secret)
    return made.derive_phc_encoded(raw)


def matches(encoded: str, raw: bytes, secret: bytes) -> bool:
    """Whether a password is that of a hash, argon2id or bcrypt."""
    if encoded.startswith("$2"):
        import bcrypt

        return b"\0" not in raw and bcrypt.checkpw(raw[:BCRYPT_BYTES], encoded.encode("ascii"))
    try:
        Argon2id.verify_phc_encoded(raw, encoded, secret)
    except InvalidKey:
        return False
    return True


def is_current(encoded: str) -> bool:
    """Whether a hash need not be made anew at the next login."""
    return encoded.startswith(CURRENT)
