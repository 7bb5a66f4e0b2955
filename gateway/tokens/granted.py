"""What a person let a client do: bound to the code that a browser carries, then to refresh tokens and every token made of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, final

from gateway.core.principal import Identity
from gateway.tokens.model import Client

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

    def identity(self, scopes: Sequence[str], *, limited: bool) -> Identity:
        """The person, as the login session saw him last, with what was allowed of his rights: these scopes of them where it is
        `limited`, else whatever he may do at the audiences."""
        return Identity(
            id=self.subject,
            issuer=self.issuer,
            scheme="session",
            claims=self.claims,
            groups=self.groups,
            scopes=tuple(scope for scope in scopes if scope != OFFLINE),
            scope_ceiling=limited,
            expires=self.until,
        )

    def within(self, client: Client, audience: str) -> "Granted | None":
        """What is left of it where the client may have less now; None for nothing, or where it takes other logins. `audience` is
        that of clients which name none."""
        audiences = tuple(each for each in self.audiences if each in (client.audiences or [audience]))
        if not audiences or client.login not in {None, self.issuer}:
            return None
        return replace(self, audiences=audiences, scopes=tuple(scope for scope in self.scopes if scope in client.scopes))

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
