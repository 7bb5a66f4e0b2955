"""Who is logged in: sessions opened, found by their cookie, kept alive, listed and ended.

What was read counts for FRESH seconds in this process, so that what ends anywhere ends everywhere within a second, and a session
in use costs its store one look a second. While the store is away what was read before counts for `stale` seconds, and nobody new
comes in.
"""

import asyncio
import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from copy import copy
from typing import Any, Final, final

from gateway.authn.claims import Claims
from gateway.authn.login.cookies import ID, Cookie
from gateway.authn.login.model import Sessions as Model
from gateway.authn.login.moves import Moves
from gateway.authn.login.provider import Login, Provider
from gateway.authn.login.renewal import Renewal
from gateway.authn.login.seal import Seal
from gateway.authn.login.session import SHOWN, Live, Session, digest, load
from gateway.authn.model import Stated
from gateway.authn.recent import Recent
from gateway.authn.strength import StrongSecret
from gateway.core.errors import DependencyDown, GatewayError, Unauthenticated
from gateway.core.ports import Clock, Metrics
from gateway.core.principal import Identity
from gateway.core.reason import Reason
from gateway.core.session_store import SessionStore, Stored

REFUSED: Final = "the provider refused a refresh"
FRESH: Final = 0.8
"""Seconds for which what was read counts without another look: a second, less what the look takes."""
KEY: Final = b"key"
HELD: Final = 20_000
KEPT: Final = 30.0
"""Seconds after which a session in use is kept alive again, or a tenth of `idle` where that is less."""


@final
class Sessions:
    """All sessions of one configuration."""

    def __init__(
        self,
        model: Model,
        providers: Mapping[str, Provider],
        store: SessionStore,
        secrets: Sequence[StrongSecret],
        clock: Clock,
        metrics: Metrics,
        tell: Callable[..., None],
        signal: Callable[..., None],
    ) -> None:
        self.model = model
        self.cookie = Cookie(model.cookie, model.same_site)
        self._providers = providers
        self._store = store
        self._seal = Seal(secrets, "session")
        self._csrf = Seal(secrets, "csrf")
        self._now = clock.now
        self.monotonic = clock.monotonic
        self._metrics = metrics
        self._tell = tell
        self.moves = Moves(model, signal, self.end)
        self._claims = {name: Claims("session", name, _stated(provider), clock) for name, provider in providers.items()}
        self._live: Recent[str, Live] = Recent(HELD)
        self._ended: Recent[str, bool] = Recent(HELD)
        self._reading: dict[str, asyncio.Task[Live]] = {}
        self.ended: Callable[[str, bool], Awaitable[object]] | None = None
        """Is told of each that ends other than by being idle, and whether its person is unwelcome. May raise DependencyDown."""
        self.also_ended: Callable[..., Awaitable[int]] | None = None
        """Ends what else `end_tagged` finds by the same words, beyond what `ended` did; how many. May raise DependencyDown."""
        self._renewal = Renewal(self, providers, store, clock, metrics)

    # Found

    def known(self, raw: bytes) -> Live | None:
        """The session of a cookie that needs no look at the store."""
        live = self._live.get(digest(raw)) if ID.fullmatch(raw) else None
        return live if live is not None and live.fresh > self.monotonic() else None

    async def find(self, raw: bytes) -> Live:
        """The session of a cookie. Raises Unauthenticated and DependencyDown."""
        if not ID.fullmatch(raw):
            raise Unauthenticated("session: malformed")
        id = digest(raw)
        live = self._live.get(id)
        if live is not None and live.fresh > self.monotonic():
            return live
        task = self._reading.get(id)
        if task is None:
            task = self._reading[id] = asyncio.create_task(self._read(id), name="session")
            task.add_done_callback(lambda done: self._was_read(id, done))
        try:
            return await asyncio.shield(task)
        except GatewayError as error:
            raise copy(error) from error  # each waiter's own: who answers adds headers to it

    async def behind(self, id: str) -> Live | None:
        """The session kept under a name, its claims as they are now; None where it is over. Whoever asks so does not use it: it
        is not kept alive, and its store is asked in any case. Raises DependencyDown."""
        try:
            return await self._read(id, used=False)
        except Unauthenticated:
            return None

    def is_past(self, moment: float | None) -> bool:
        """Whether a Unix time has come."""
        return moment is not None and moment <= self._now()

    def _was_read(self, id: str, task: "asyncio.Task[Live]") -> None:
        del self._reading[id]
        if not task.cancelled():
            task.exception()  # told to whoever waits

    async def _read(self, id: str, *, used: bool = True) -> Live:
        began, live = self.monotonic(), self._live.get(id)
        try:
            stored = await self._store.get(id)
        except DependencyDown:
            return self._remembered(live, began)
        if stored is None or self._ended.get(id):
            self._forget(id)
            raise Unauthenticated("session: ended, or never opened", reason=Reason.CREDENTIAL_EXPIRED)
        if live is None or live.version != stored.version:
            live = self.taken(id, stored, live)
        live.confirmed = began
        await self._renewal.keep_up(live)
        live = self._live.get(id) or live
        if self._renewal.overdue(live):
            raise Unauthenticated("session: the claims are out of date", reason=Reason.CREDENTIAL_EXPIRED)
        if self._now() >= live.session.ends:
            await self.end(id, "absolute timeout", live)
            raise Unauthenticated("session: over", reason=Reason.CREDENTIAL_EXPIRED)
        if self._ended.get(id):
            raise Unauthenticated("session: ended", reason=Reason.CREDENTIAL_EXPIRED)
        if used and began - live.kept > min(KEPT, self.model.idle / 10):
            await self._keep(live)
            live.kept = began
        live.fresh = began + FRESH
        return live

    def _remembered(self, live: Live | None, now: float) -> Live:
        """What was read before the store went away. Raises DependencyDown."""
        if live is None or self._ended.get(live.id) or now - live.confirmed > self.model.stale:
            raise DependencyDown("sessions: the store is away")
        if self._now() >= live.session.ends or self._renewal.overdue(live):
            raise DependencyDown("sessions: the store is away, and this one is due")
        self._metrics.count("gateway.session.stale")
        live.fresh = now + FRESH
        return live

    def taken(self, id: str, stored: Stored, before: Live | None) -> Live:
        """Open a record. Raises Unauthenticated for one that another key sealed, or another version of this program wrote."""
        session = self._opened(id, stored)
        if session is None:
            raise Unauthenticated("session: not readable any more", reason=Reason.CREDENTIAL_EXPIRED)
        live = Live(id, stored.version, session, self.identity(id, session))
        if before is not None:
            before.fresh = 0.0
            live.kept, live.clients = before.kept, before.clients
        self._live.put(id, live)
        return live

    def _opened(self, id: str, stored: Stored) -> Session | None:
        """None for one that is not readable, of a provider that is gone, or that could not be found any more to be ended."""
        raw = self._seal.open(stored.sealed.encode("ascii"), id.encode("ascii"))
        session = load(raw) if raw is not None else None
        if session is None or session.provider not in self._providers or session.key not in self._seal.marks(KEY):
            return None
        return session

    def identity(self, id: str, session: Session) -> Identity:
        identity = self._claims[session.provider].identity(session.login.claims, f"session:{id[:SHOWN]}")
        identity.expires = session.ends
        return identity

    def sealed(self, id: str, session: Session) -> str:
        """As it is stored, bound to its name. Raises DependencyDown."""
        return self._seal.close(session.dump(), id.encode("ascii"))

    async def _keep(self, live: Live) -> None:
        try:
            await self._store.keep(live.id, self._seconds(live.session))
        except DependencyDown:
            self._metrics.count("gateway.session.stale")

    def _seconds(self, session: Session) -> float:
        return max(min(self.model.idle, session.ends - self._now()), 0.001)

    # Opened and ended

    async def open(self, provider: str, login: Login, client: str) -> tuple[str, Live]:
        """A new session, at home where `client` is: its cookie's value, never seen before. Raises Unauthenticated for unusable
        claims, and DependencyDown."""
        now = self._now()
        refresh = self._providers[provider].model.refresh
        ends = now + self.model.absolute
        if refresh != "none" and login.refresh_token is None:
            ends = min(ends, now + refresh)  # nobody could tell of changes: the browser asks the provider again
        identity = self._claims[provider].identity(login.claims, "")
        session = Session(provider, identity.id, login, now, ends, now, self.moves.home(client), self._seal.mark(KEY))
        value = secrets.token_urlsafe(32)
        id = digest(value.encode("ascii"))
        mine = await self._tagged(self.tag("who", provider, identity.id))
        for oldest in mine[: max(len(mine) - self.model.most_each + 1, 0)]:
            await self.end(oldest, "too many of one principal", None)
        sealed = self.sealed(id, session)
        await self._store.add(id, sealed, self._seconds(session), self._tags(id, session))
        live = self.taken(id, Stored(1, sealed), None)
        live.confirmed = live.kept = self.monotonic()
        live.fresh = live.confirmed + FRESH
        self._metrics.count("gateway.session.opened", provider=provider)
        return value, live

    def _tags(self, id: str, session: Session) -> list[str]:
        claims = session.login.claims
        found = [
            self.tag("who", session.provider, session.subject)[0],
            self.tag("all")[0],
            self.tag("name", id[:SHOWN])[0],
            self.tag("sub", session.provider, claims["sub"])[0],
        ]
        if isinstance(claims.get("sid"), str):
            found.append(self.tag("sid", session.provider, claims["sid"])[0])
        return found

    def tag(self, *parts: str) -> tuple[str, ...]:
        """What sessions are found by, as a store may know it: the first is given to new ones."""
        return self._seal.marks("\0".join(f"{len(part)}:{part}" for part in parts).encode("utf-8", "surrogatepass"))

    async def end(self, id: str, cause: str, live: Live | None, **told: Any) -> bool:
        """End one, here at once and everywhere within a second; whether it was there. Raises DependencyDown."""
        self._ended.put(id, True)
        live = live or self._live.get(id)
        self._forget(id)
        removed = await self._store.remove(id)
        if removed:
            who = {"issuer": live.session.provider, "subject": live.session.subject} if live is not None else {}
            fields = {"scheme": "session", "credential_id": f"session:{id[:SHOWN]}", **who, **told}
            self._tell("session.ended", cause=cause, **fields)
            self._metrics.count("gateway.session.ended", cause=cause)
        if self.ended is not None:
            await self.ended(id, cause == REFUSED or "operator" in told)
        return removed

    async def _tagged(self, tag: tuple[str, ...]) -> list[str]:
        """Oldest first: those under the keys of before, then those under the one that seals. Raises DependencyDown."""
        return [id for each in reversed(tag) for id in await self._store.tagged(each)]

    async def end_tagged(self, parts: Sequence[str], cause: str, **told: Any) -> int:
        """End all that the tag of these words finds, and what outlived its session; how many. Raises DependencyDown."""
        ended = sum([await self.end(id, cause, None, **told) for id in await self._tagged(self.tag(*parts))])
        return ended + (await self.also_ended(*parts) if self.also_ended is not None else 0)

    async def listed(self, tag: tuple[str, ...]) -> list[Live]:
        """Sessions that a tag finds, oldest first. Raises DependencyDown."""
        found = []
        for id in await self._tagged(tag):
            stored = await self._store.get(id)
            session = self._opened(id, stored) if stored is not None else None
            if stored is not None and session is not None:
                found.append(Live(id, stored.version, session, self.identity(id, session)))
        return found

    def _forget(self, id: str) -> None:
        live = self._live.get(id)
        if live is not None:
            live.fresh = 0.0
            self._live.drop(id)

    # Writes

    def csrf_token(self, live: Live) -> str:
        """What a page of ours reads and sends with each write: no other origin can read it."""
        return self._csrf.mark(live.id.encode("ascii"))

    def holds(self, live: Live, token: bytes) -> bool:
        """Whether this is the session's token."""
        return any(hmac.compare_digest(each.encode("ascii"), token) for each in self._csrf.marks(live.id.encode("ascii")))

    async def close(self) -> None:
        """What is being read or refreshed comes to its end."""
        await asyncio.gather(*self._reading.values(), return_exceptions=True)
        await self._renewal.close()


def _stated(provider: Provider) -> Stated:
    """Which claims become the identity."""
    model = provider.model
    return Stated.model_construct(
        issuer=model.issuer, audience=[model.client_id], subject=model.subject, groups=model.groups, scopes=model.scopes_claim
    )
