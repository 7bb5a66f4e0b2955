"""One grant, opened: what is written into its sealed column, all of it, so that no column beside can change what it means."""

from dataclasses import dataclass, replace
from typing import Any, Final, Self

import orjson

from gateway.core.secret import Secret

LIVE: Final = "live"
BROKEN: Final = "broken"

Key = tuple[str, str, str]
"""provider, issuer, subject."""


class Malformed(ValueError):
    """An opened grant that is none: it was sealed by somebody else, or by a newer gateway."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A principal's tokens at a provider. Times are Unix seconds; `version` is 0 before the first is stored.

    `previous` is the refresh token that the last refresh replaced, at `refreshed_at`. `client` is the client that the tokens were
    given to, "" where their principal made them himself. `account` is the id of whom they speak for at the provider, `name` what
    people call it, both as they are shown, and `whose` a digest of the id, "" where nobody said. `expires_at` None is a token that
    does not end by itself, or of which nobody said when.
    `problem` says in one word why it is broken.
    """

    provider: str
    issuer: str
    subject: str
    access: Secret
    refresh: Secret | None = None
    previous: Secret | None = None
    scopes: tuple[str, ...] = ()
    client: str = ""
    created_at: float = 0.0
    refreshed_at: float = 0.0
    expires_at: float | None = None
    state: str = LIVE
    problem: str = ""
    version: int = 0
    account: str = ""
    name: str = ""
    whose: str = ""

    @property
    def key(self) -> Key:
        return self.provider, self.issuer, self.subject

    @property
    def is_live(self) -> bool:
        return self.state == LIVE

    def broken(self, problem: str) -> Self:
        """The same, of no use until its principal connects again."""
        return replace(self, state=BROKEN, problem=problem)

    def written(self) -> Secret:
        """What is sealed."""
        return Secret(
            orjson.dumps(
                {
                    "access": _text(self.access),
                    "refresh": _text(self.refresh),
                    "previous": _text(self.previous),
                    "scopes": self.scopes,
                    "client": self.client,
                    "created_at": self.created_at,
                    "refreshed_at": self.refreshed_at,
                    "expires_at": self.expires_at,
                    "state": self.state,
                    "problem": self.problem,
                    "account": self.account,
                    "name": self.name,
                    "whose": self.whose,
                }
            )
        )


def read(key: Key, version: int, written: Secret) -> Grant:
    """The grant that `written` gave. Raises Malformed, without a word of it."""
    try:
        members: dict[str, Any] = orjson.loads(written.reveal())
        return Grant(
            *key,
            access=Secret(members["access"].encode()),
            refresh=_secret(members["refresh"]),
            previous=_secret(members["previous"]),
            scopes=tuple(str(scope) for scope in members["scopes"]),
            client=str(members["client"]),
            created_at=float(members["created_at"]),
            refreshed_at=float(members["refreshed_at"]),
            expires_at=None if members["expires_at"] is None else float(members["expires_at"]),
            state=BROKEN if members["state"] == BROKEN else LIVE,
            problem=str(members["problem"]),
            version=version,
            account=str(members.get("account", "")),
            name=str(members.get("name", "")),
            whose=str(members.get("whose", "")),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Malformed("a grant cannot be read") from None


def _text(secret: Secret | None) -> str | None:
    return None if secret is None else secret.reveal().decode()


def _secret(text: str | None) -> Secret | None:
    return None if text is None else Secret(text.encode())
