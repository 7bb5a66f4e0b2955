"""One login as it is kept: sealed text in a store, and what requests read of it."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final, final

from gateway.authn.login.provider import Login
from gateway.core.principal import Identity

FORMAT: Final = 2
SHOWN: Final = 32
"""Hexadecimal digits of a session's public name: the half of a digest, of no use as a cookie."""


def digest(value: bytes) -> str:
    """The name a session is kept under: whoever reads the store learns no cookie."""
    return hashlib.sha256(value).hexdigest()


@dataclass(frozen=True, slots=True)
class Session:
    """`opened`, `ends` and `refreshed` are Unix times: of the login, of its latest possible end, and of its claims. `network` is
    where the login happened, `key` the mark of the key it was opened under: without that key its tags are not found any more."""

    provider: str
    subject: str
    login: Login
    opened: float
    ends: float
    refreshed: float
    network: str
    key: str

    def dump(self) -> bytes:
        login = self.login
        told = [FORMAT, self.provider, self.subject, login.claims, login.refresh_token, login.id_token]
        return json.dumps([*told, self.opened, self.ends, self.refreshed, self.network, self.key], separators=(",", ":")).encode()


def load(raw: bytes) -> Session | None:
    """What `dump` gave; None for another format, which another version of this program wrote."""
    found: list[Any] = json.loads(raw)
    if found[0] != FORMAT:
        return None
    _, provider, subject, claims, refresh_token, id_token, opened, ends, refreshed, network, key = found
    return Session(provider, subject, Login(claims, refresh_token, id_token), opened, ends, refreshed, network, key)


@final
class Live:
    """A session as it was last read. `fresh` and `confirmed` are monotonic: until when it counts without another look, and when it
    was last seen in the store. Whatever ends it sets `fresh` to zero. `clients` are addresses it may be used by without a word.
    """

    __slots__ = ("clients", "confirmed", "fresh", "id", "identity", "kept", "retry", "session", "version")

    def __init__(self, id: str, version: int, session: Session, identity: Identity) -> None:
        self.id = id
        self.version = version
        self.session = session
        self.identity = identity
        self.clients: set[str] = set()
        self.fresh = self.confirmed = self.kept = self.retry = 0.0

    @property
    def name(self) -> str:
        """What it is called where others may read it."""
        return self.id[:SHOWN]
