"""What people allow the clients of one configuration: codes, refresh tokens, and the login sessions behind them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, final

from gateway.authn.login.logins import Logins
from gateway.authn.own.revoked import Revoked
from gateway.authn.strength import StrongSecret
from gateway.core.ports import Clock
from gateway.core.session_store import SessionStore
from gateway.tokens.codes import Codes
from gateway.tokens.families import Families
from gateway.tokens.granted import OFFLINE, Granted
from gateway.tokens.model import Client, Tokens
from gateway.tokens.refusals import Refused
from gateway.tokens.seals import Seals

LATER: Final = 120.0
"""Seconds: a token may have been made a moment ago, and count until its very end by a clock that is behind."""
OF_PERSON: Final = 200
"""One person has a 200th of the room for what was revoked."""


@final
class Consents:
    """Lives as long as its configuration."""

    def __init__(
        self,
        model: Tokens,
        clients: Mapping[str, Client],
        logins: Logins,
        store: SessionStore,
        secrets: Sequence[StrongSecret],
        revoked: Revoked,
        clock: Clock,
        *,
        tell: Callable[..., None],
        signal: Callable[..., None],
    ) -> None:
        """`tell` takes audit events, `signal` what detection counts."""
        self.issuer = model.issuer
        self.audience = model.default_audience
        self.clients = clients
        self.logins = logins
        self.seals = Seals(secrets, "authorize")
        self.tell = tell
        self.now = clock.now
        self._access = model.lifetime
        self._revoked = revoked
        self._signal = signal
        self.families = Families(
            store,
            Seals(secrets, "refresh token"),
            clock,
            lifetime=model.refresh.lifetime,
            grace=model.refresh.grace,
            access=model.lifetime,
            current=self._current,
            revoke=self._revoke,
        )
        self.codes = Codes(store, Seals(secrets, "authorization code"), self._end, model.lifetime + LATER)

    def start(self) -> None:
        """From now on what ends with a login session ends with it."""
        self.logins.sessions.ended = self.families.end_session
        self.logins.sessions.also_ended = self.families.end_all

    def status(self) -> dict[str, Any]:
        """For the operators' page."""
        return {"clients": len(self.clients)}

    async def close(self) -> None:
        """Hear of login sessions no more. The store is somebody else's."""
        if self.logins.sessions.ended == self.families.end_session:
            self.logins.sessions.ended = self.logins.sessions.also_ended = None

    async def begin(self, granted: Granted, *, refreshes: bool) -> str:
        """A family for what is about to be issued, and its refresh token, which is given to nobody where none may be had. Raises
        Refused where the login session is over, also for what may outlive it later, and DependencyDown."""
        await self._check(granted)
        token = await self.families.open(granted, None if refreshes else self._access)
        try:
            await self._check(granted)  # a session that ended meanwhile did not find the family
        except Refused:
            await self.families.end(granted)
            raise
        return token

    async def _check(self, granted: Granted) -> None:
        """Raises Refused and DependencyDown."""
        if await self.logins.sessions.behind(granted.session) is None:
            raise Refused("invalid_grant", "the login behind the code is over")

    def reused(self, copied: Granted, client: str, detail: str) -> None:
        """A code or refresh token came that was used: operators are told whose and of which client."""
        about = {"issuer": copied.issuer, "subject": copied.subject}
        self._signal("token.reused", client=client, detail=f"{copied.client}: {detail}", **about)

    async def _current(self, granted: Granted) -> Granted | None:
        """With the claims the person has now, where the session lives that he consented in."""
        live = await self.logins.sessions.behind(granted.session)
        if live is None:
            client = self.clients.get(granted.client)
            return granted if granted.offline and client is not None and OFFLINE in client.scopes else None
        identity = live.identity
        if (identity.issuer, identity.id) != (granted.issuer, granted.subject):
            return None
        return replace(granted, groups=identity.groups, claims=dict(identity.claims))

    async def _revoke(self, family: str, seconds: float, person: str | None) -> None:
        await self._revoked.revoke(family, seconds + LATER, of=person, share=OF_PERSON)

    async def _end(self, granted: Granted) -> None:
        await self.families.end(granted)
