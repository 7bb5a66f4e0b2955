"""A session's claims kept up to date with its provider's refresh token: by one of all replicas, for such a token is good once."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Final, Protocol, final

from gateway.authn.login.provider import Provider, Refused
from gateway.authn.login.session import Live, Session
from gateway.core.errors import DependencyDown, Unauthenticated
from gateway.core.ports import Clock, Metrics
from gateway.core.principal import Identity
from gateway.core.reason import Reason
from gateway.core.session_store import SessionStore, Stored

CLAIM: Final = 15.0
"""Seconds that one replica has for a refresh before another may try: longer than ASKED and KEPT together."""
ASKED: Final = 9.0
"""Seconds for all that a provider is asked: metadata, the token, keys, UserInfo."""
KEPT: Final = 4.0
"""Seconds for the answer to be stored."""
RETRY: Final = 5.0
POLL: Final = 0.1
AHEAD: Final = 0.8
"""The part of `refresh` after which the claims of a session in use are refreshed behind its back."""
TRIES: Final = 5


class Owner(Protocol):
    """Whose sessions these are."""

    def identity(self, id: str, session: Session) -> Identity: ...
    def sealed(self, id: str, session: Session) -> str: ...
    def taken(self, id: str, stored: Stored, before: Live | None) -> Live: ...
    async def end(self, id: str, cause: str, live: Live | None) -> bool: ...


@final
class Renewal:
    """Refreshes claims: behind a request's back while the old ones count, before it where they do not."""

    def __init__(
        self, owner: Owner, providers: Mapping[str, Provider], store: SessionStore, clock: Clock, metrics: Metrics
    ) -> None:
        self._owner = owner
        self._providers = providers
        self._store = store
        self._now = clock.now
        self._monotonic = clock.monotonic
        self._metrics = metrics
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def overdue(self, live: Live) -> bool:
        """Whether its claims are older than the stated time."""
        return self._age(live) >= 1.0

    async def keep_up(self, live: Live) -> None:
        """Raises Unauthenticated where the provider says that the login is over, and DependencyDown where it must be asked and
        cannot be."""
        age = self._age(live)
        if age < AHEAD:
            return
        if self._monotonic() < live.retry:
            if age >= 1.0:
                raise DependencyDown("sessions: the claims could not be refreshed a moment ago")
            return
        task = self._tasks.get(live.id)
        if task is None:
            task = self._tasks[live.id] = asyncio.create_task(self._refresh(live), name="session refresh")
            task.add_done_callback(self._done(live.id))
        if age >= 1.0:
            await asyncio.shield(task)

    async def close(self) -> None:
        """What is being refreshed comes to its end: it may hold the only copy of a refresh token."""
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _age(self, live: Live) -> float:
        """How old its claims are, as a part of how old they may be."""
        refresh = self._providers[live.session.provider].model.refresh
        if refresh == "none" or live.session.login.refresh_token is None:
            return 0.0
        return (self._now() - live.session.refreshed) / refresh

    def _done(self, id: str) -> "Callable[[asyncio.Task[None]], None]":
        def done(task: "asyncio.Task[None]") -> None:
            del self._tasks[id]
            if not task.cancelled():
                task.exception()  # told to whoever waits; was counted

        return done

    async def _refresh(self, live: Live) -> None:
        if not await self._store.claim(live.id, live.version, CLAIM):
            await self._await_other(live)
            return
        name, renewed = live.session.provider, None
        try:
            async with asyncio.timeout(ASKED):
                renewed = await self._asked(live)
            async with asyncio.timeout(KEPT):
                await self._replaced(live, renewed)
        except (Refused, Unauthenticated) as error:
            self._count(name, "refused")
            await self._owner.end(live.id, "the provider refused a refresh", live)
            raise Unauthenticated(f"session: refresh refused: {error}", reason=Reason.CREDENTIAL_EXPIRED) from error
        except Exception as error:
            self._count(name, "failure")
            await self._failed(live, retry=renewed is None and isinstance(error, DependencyDown | TimeoutError))
            if isinstance(error, TimeoutError):
                raise DependencyDown(f"login {name}: no refresh in time") from error
            raise
        self._count(name, "success")

    async def _asked(self, live: Live) -> Session:
        """The session as its provider tells it now. Raises Refused, Unauthenticated and DependencyDown."""
        session, asked = live.session, self._now()
        login = await self._providers[session.provider].refreshed(session.login)
        renewed = replace(session, login=login, refreshed=asked)
        if self._owner.identity(live.id, renewed).id != session.subject:
            raise Refused("refreshed for another subject")
        return renewed

    async def _failed(self, live: Live, *, retry: bool) -> None:
        """Give the claim back, or end the session: its refresh token was used, and there is no other."""
        if retry:
            live.retry = self._monotonic() + RETRY
            await self._store.release(live.id, live.version)
            return
        with suppress(DependencyDown):
            await self._owner.end(live.id, "a refresh was lost", live)

    def _count(self, provider: str, outcome: str) -> None:
        self._metrics.count("gateway.session.refreshes", provider=provider, outcome=outcome)

    async def _replaced(self, live: Live, renewed: Session) -> None:
        """Put it where all find it. Raises DependencyDown; what the provider gave is then lost."""
        sealed = self._owner.sealed(live.id, renewed)
        for attempt in range(TRIES):
            try:
                if await self._store.replace(live.id, live.version, sealed):
                    self._owner.taken(live.id, Stored(live.version + 1, sealed), live)
                elif (stored := await self._store.get(live.id)) is not None:  # put there before, the answer was lost
                    self._owner.taken(live.id, stored, live)
                return
            except DependencyDown:
                if attempt == TRIES - 1:
                    raise
                await asyncio.sleep(POLL * 2**attempt)

    async def _await_other(self, live: Live) -> None:
        """Wait for what another replica is about to put there. Raises DependencyDown where it does not."""
        for _ in range(int(CLAIM / POLL)):
            stored = await self._store.get(live.id)
            if stored is None:
                return
            if stored.version != live.version:
                self._owner.taken(live.id, stored, live)
                return
            await asyncio.sleep(POLL)
        raise DependencyDown("sessions: another replica did not refresh the claims in time")
