"""Operators' sessions, in the process that serves the admin listener: few, short, gone with it. Of an id the digest is kept.

Whether the account behind one still stands is the office's to ask.
"""

import hashlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

from gateway.operators.account import Role

ID: Final = re.compile(r"[A-Za-z0-9_-]{43}")
MOST: Final = 1000
FOREIGN: Final = "oidc"
"""The factor of those whom a provider vouches for."""
MOST_EACH: Final = 10


@dataclass(slots=True)
class Session:
    """`opened` and `used` are monotonic, `stamp` is the account's as it was then."""

    digest: str
    name: str
    role: Role
    stamp: str
    factor: str
    csrf: str
    opened: float
    used: float


@final
class Sessions:
    """Bounded: of one name the oldest leaves, of all the one that was used longest ago."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._now = monotonic
        self._held: dict[str, Session] = {}

    def open(self, name: str, role: Role, stamp: str, factor: str) -> tuple[str, Session]:
        """A new one, and its id, never seen before."""
        mine = sorted((each for each in self._held.values() if each.name == name), key=lambda each: each.opened)
        for each in mine[: max(0, len(mine) - MOST_EACH + 1)]:
            self.end(each)
        if len(self._held) >= MOST:
            self.end(min(self._held.values(), key=lambda each: each.used))
        value, now = secrets.token_urlsafe(32), self._now()
        session = Session(_digest(value), name, role, stamp, factor, secrets.token_urlsafe(32), now, now)
        self._held[session.digest] = session
        return value, session

    def find(self, value: str, idle: float, absolute: float) -> Session | None:
        """The session of an id that is not over yet; it counts as used."""
        session = self._held.get(_digest(value)) if ID.fullmatch(value) else None
        if session is None:
            return None
        now = self._now()
        if now - session.used > idle or now - session.opened > absolute:
            self.end(session)
            return None
        session.used = now
        return session

    def end(self, session: Session) -> None:
        """It counts no more."""
        self._held.pop(session.digest, None)

    def end_all(self, name: str) -> None:
        """None of a name counts any more."""
        for each in [each for each in self._held.values() if each.name == name]:
            self.end(each)


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode("ascii", "replace")).hexdigest()
