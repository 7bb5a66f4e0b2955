"""What the audit trail is told of grants: every change of one, by version and keyed fingerprint, and never a token.

Uses are not told here: the event of each request names the credential that it went out with.
"""

import shlex
from datetime import UTC, datetime
from typing import Any, Final, final

from gateway.credentials.grants.grant import Grant, Key
from gateway.credentials.header import bearer
from gateway.credentials.tokens import Tell
from gateway.scrub.needles import Needles

MOST: Final = 1024


def untold(name: str, /, **fields: Any) -> None:
    """An audit trail for nobody."""


@final
class Evidence:
    """One event for each change, however often it is met."""

    def __init__(self, tell: Tell = untold) -> None:
        self._tell = tell
        self._refused: set[tuple[Key, int]] = set()

    def refreshed(self, grant: Grant) -> None:
        """`fingerprint` is that of `echoed`, where an answer held the token: comparable while this process runs."""
        access = grant.access.reveal()
        self._tell(
            "grant.refreshed",
            issuer=grant.issuer,
            subject=grant.subject,
            provider=grant.provider,
            scopes=list(grant.scopes),
            expires_at=written(grant.expires_at),
            version=grant.version,
            fingerprint=Needles(access, bearer(access)).fingerprint,
        )

    def failed(self, grant: Grant, cause: str) -> None:
        """A refresh that will be tried again; told of the first of several."""
        self._tell(
            "grant.refresh.failed",
            issuer=grant.issuer,
            subject=grant.subject,
            provider=grant.provider,
            version=grant.version,
            detail=cause,
        )

    def broken(self, grant: Grant) -> None:
        """It is of no use until its principal connects again."""
        self._tell(
            "grant.broken",
            issuer=grant.issuer,
            subject=grant.subject,
            provider=grant.provider,
            problem=grant.problem,
            version=grant.version,
        )

    def lost(self, grant: Grant) -> None:
        """The provider gave a new pair, and no database took it."""
        self._tell("grant.lost", issuer=grant.issuer, subject=grant.subject, provider=grant.provider, version=grant.version)

    def refused(self, key: Key, version: int, fault: str) -> None:
        """A row that does not open, which is read again and again."""
        if (key, version) in self._refused:
            return
        if len(self._refused) >= MOST:
            self._refused.clear()
        self._refused.add((key, version))
        provider, issuer, subject = key
        self._tell("grant.refused", issuer=issuer, subject=subject, provider=provider, fault=fault, version=version)


def written(time: float | None) -> str | None:
    """Unix seconds as the trail says them."""
    return None if time is None else datetime.fromtimestamp(time, UTC).isoformat(timespec="seconds")


def helping(grant: Grant) -> dict[str, str]:
    """What an operator has to know of a grant that is of no use any more: whose it is, and what helps."""
    whose = shlex.join(["--provider", grant.provider, "--issuer", grant.issuer, "--subject", grant.subject])
    return {"provider": grant.provider, "fix": f"gateway grants add {whose} …, with tokens that the provider gives anew"}
