"""What a person let a client do: bound to the code that a browser carries, then to refresh tokens and every token made of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from gateway.core.principal import Identity

FORMAT: Final = 1
OFFLINE: Final = "offline_access"
"""The scope that lets a client go on when the login session is over (OpenID Connect Core 11)."""


@final
@dataclass(frozen=True, slots=True)
class Granted:
    """`session` is the name its login session is kept under, `family` what everything that is issued of it can be revoked by, `jkt`
    the thumbprint of the key that refresh tokens are bound to. Unix times: `at` of the consent, `until` when its login session is
    over at the latest, None where it outlives that."""

    client: str
    issuer: str
    subject: str
    groups: tuple[str, ...]
    claims: dict[str, Any]
    scopes: tuple[str, ...]
    audiences: tuple[str, ...]
    session: str
    family: str
    jkt: str | None
    at: float
    until: float | None

    @property
    def offline(self) -> bool:
        """Whether it outlives the login session."""
        return OFFLINE in self.scopes

    def identity(self, scopes: Sequence[str] | None = None) -> Identity:
        """The person, as the login session saw him last, with what was allowed of his rights: with these scopes of them, all where
        None. Where the client has no scopes, it was allowed whatever the person may do at the audiences."""
        kept = tuple(scope for scope in (self.scopes if scopes is None else scopes) if scope != OFFLINE)
        limited = any(scope != OFFLINE for scope in self.scopes)
        return Identity(
            id=self.subject,
            issuer=self.issuer,
            scheme="session",
            claims=self.claims,
            groups=self.groups,
            scopes=kept,
            scope_ceiling=limited,
            expires=self.until,
        )

    def told(self) -> list[Any]:
        """As JSON has it; `taken` reads it."""
        person = [self.issuer, self.subject, list(self.groups), self.claims]
        what = [list(self.scopes), list(self.audiences)]
        return [self.client, *person, *what, self.session, self.family, self.jkt, self.at, self.until]


def taken(told: list[Any]) -> Granted:
    client, issuer, subject, groups, claims, scopes, audiences, session, family, jkt, at, until = told
    what = tuple(scopes), tuple(audiences)
    return Granted(client, issuer, subject, tuple(groups), claims, *what, session, family, jkt, at, until)


def dump(*parts: Any) -> bytes:
    """A record's text, with its format."""
    return json.dumps([FORMAT, *parts], separators=(",", ":")).encode()


def load(raw: bytes | None) -> list[Any] | None:
    """What `dump` gave; None for another format, which another version of this program wrote, and for nothing."""
    found: list[Any] = [None] if raw is None else json.loads(raw)
    return found[1:] if found[0] == FORMAT else None
