"""What outlives a snapshot: connections, key sets, counters. Kept across reloads while their configuration is the same."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gateway import __version__
from gateway.authn.authentication import Authentication
from gateway.authz import rule as policies
from gateway.config.secrets import Secrets
from gateway.config.values import Model, Rate
from gateway.core.ports import Clock, Metrics, RevokingFetch, Shaping
from gateway.credentials.grants.link import Link
from gateway.credentials.tokens import Tell, Tokens
from gateway.credentials.workshop import Workshop
from gateway.edge.model import OpenApi
from gateway.edge.openapi.description import compiled
from gateway.edge.openapi.document import load
from gateway.edge.openapi.stage import Described
from gateway.fetch import HttpFetch
from gateway.guarding import Guarding
from gateway.issuing import Issuing
from gateway.kept import Kept, secret_sources
from gateway.ratelimit.limiter import Limiter
from gateway.ratelimit.model import RateLimits, Rule
from gateway.settings import Loaded, Settings
from gateway.store.model import RedisStore
from gateway.stores import Stores
from gateway.upstream.pool import Upstream
from gateway.websocket.places import Places

if TYPE_CHECKING:
    from gateway.credentials.grants.office import Office

log = logging.getLogger(__name__)


class SystemClock:
    """The machine's time, without a call of ours in between."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


class Nobody:
    """Metrics for nobody: a check counts nothing."""

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        return

    def gauge(self, name: str, value: float, /, **labels: str) -> None:
        return


def untold(name: str, /, **fields: Any) -> None:
    """An audit trail for nobody."""


USER_AGENT: Final = f"latchgate/{__version__}"


class Resources:
    """Everything long-lived that a snapshot refers to."""

    def __init__(
        self, *, clock: Clock, metrics: Metrics, fetch: RevokingFetch, ensure_room: Callable[[], None], tell: Tell = untold
    ) -> None:
        self.clock = clock
        self.metrics = metrics
        self.fetch = fetch
        self.ensure_room = ensure_room
        self.tokens: Kept[Tokens] = Kept()
        self.tell = tell
        self.stores = Stores(clock, metrics, tell)
        self.upstreams: Kept[Upstream] = Kept()
        self.authentication: Kept[Authentication] = Kept()
        self.descriptions: Kept[Described] = Kept()
        self.places = Places(metrics)
        self.guarding = Guarding(clock, metrics, tell, self.stores.kept)
        self.held: Kept[Any] = Kept()
        self._limiter: Limiter | None = None
        self._next_limiter: Limiter | None = None

    def limiter(self, model: RateLimits, secrets: Secrets, stated: Mapping[str, Rate]) -> Limiter:
        """The limits, with those that policies state; rules that did not change keep their counters. Raises ValueError."""
        personal = {name: Rule(key="subject", limit=rate) for name, rate in stated.items()}
        model = model.model_copy(update={"rules": {**model.rules, **personal}})
        store = None
        if isinstance(model.store, RedisStore):
            store = self.stores.counters(model.store, secrets)
        made = Limiter(model, clock=self.clock, metrics=self.metrics, store=store, previous=self._limiter)
        self._next_limiter = made
        return made

    def description(self, route: str, chosen: OpenApi | Path, *, tell: bool) -> Described:
        """A route's description, compiled as `tell` says unless the last build had it. Raises ConfigError and ValueError."""
        model = OpenApi(file=chosen) if isinstance(chosen, Path) else chosen
        text = load(model.file)

        def note(part: str) -> None:
            self.metrics.count("gateway.validation.reported", 1, route=route, part=part)

        key = model, sha256(text).digest(), tell
        return self.descriptions.take(route, key, lambda: Described(compiled(text, model, tell=tell), model, note=note))

    def workshop(self, loaded: Loaded, grants: Callable[[str], Any]) -> Workshop:
        """What upstream credentials are made with. Tokens that were minted stay while what they are minted from is the same."""
        secrets = loaded.secrets

        def tokens(name: str, credential: Model, provider: str) -> Tokens:
            def make() -> Tokens:
                return Tokens(name, self.clock, self.metrics, self.tell, provider=provider)

            return self.tokens.take(name, (credential, secret_sources(credential, secrets)), make)

        return Workshop(self.fetch, self.clock, secrets, tokens, grants, self.metrics, self.tell, loaded.vault.ring)

    def issuing(self, settings: Settings, secrets: Secrets) -> Issuing:
        """What makes the gateway an issuer of tokens."""
        return Issuing(settings, secrets, self.stores.kept, self.clock, self.metrics)

    def office(self, loaded: Loaded, database: Any) -> "Office":
        """What keeping grants takes. Raises ValueError for what a configuration lacks."""
        from gateway.credentials.grants.office import Office

        ring = loaded.vault.ring
        if database is None:
            raise ValueError("grants are kept in a database: add `database: {file: latchgate.db}`")
        if ring is None:
            raise ValueError("grants are sealed: add `vault: {keys: [{id: …, env: …}]}`; `gateway secrets key` makes a key")
        return Office(database, ring, self.fetch, self.clock, self.metrics, loaded.secrets, self.tell, self.stores.bell)

    def grants(self, loaded: Loaded, database: Any) -> Callable[[str], Any]:
        """What gives the grants at a named provider; it raises ValueError. They are read anew after each reload: the keys that open
        them may be others."""
        settings = loaded.settings

        def of(name: str) -> Any:
            from gateway.credentials.grants.office import held

            if settings is None or name not in settings.providers:
                raise ValueError(f"unknown provider '{name}': it is to be an entry of `providers:`")
            model, office, link = settings.providers[name], self.office(loaded, database), link_of(settings, name)
            return self.held.take(name, (model, id(database), id(office.ring), link), lambda: held(name, model, office, link))

        return of

    def shaping(self, rules: Iterable[policies.Rule], key: Callable[[], bytes] | None) -> Shaping | None:
        """What looks into answers, where a rule wants that: its patterns take a while to compile. `key` gives that of hashes."""
        if not any(rule.obligations is not None and rule.obligations.shapes_answer for rule in rules):
            return None
        from gateway.shaping.shaping import Shaping as Made

        return Made(key, self.metrics)

    def _kinds(self) -> tuple[Kept[Any], ...]:
        return (
            self.upstreams,
            self.authentication,
            self.descriptions,
            self.tokens,
            self.stores.kept,
            self.held,
            self.stores.databases,
        )

    async def commit(self) -> None:
        """After the swap: what is new starts, what nobody names any more ends."""
        retired = [resource for kind in self._kinds() for resource in kind.commit()]
        self._limiter = self._next_limiter
        self.guarding.commit()
        for _, authentication in self.authentication:
            await authentication.start()
        for _, store in self.stores.kept:
            store.start()
        for _, upstream in self.upstreams:
            upstream.start()
        await end(retired)

    async def abandon(self) -> None:
        """After a failed build: what it made ends, the rest stays."""
        await end([resource for kind in self._kinds() for resource in kind.abandon()])
        self._next_limiter = self._limiter

    async def close(self) -> None:
        """End everything."""
        await self.guarding.close()
        for kind in self._kinds():
            await end([*kind.abandon(), *kind.commit()])

    def status(self) -> dict[str, Any]:
        """For the operators' port."""
        return {
            "tokens": {name: tokens.status() for name, tokens in self.tokens},
            "detection": self.guarding.guard.status(),
            "websockets": self.places.status(),
            "upstreams": {name: upstream.status() for name, upstream in self.upstreams},
            "stores": {"limits": {"kind": "memory"}} | {name: store.status() for name, store in self.stores.kept},
            "grants": {name: held.status() for name, held in self.held},
            "authentication": {name: value for _, each in self.authentication for name, value in each.status().items()},
        }


def link_of(settings: Settings, name: str) -> Link:
    """Where people connect at a provider, if they can."""
    sessions, connect = settings.authentication.sessions, settings.providers[name].connect
    if sessions is None or connect is None:
        return Link()
    url = f"{sessions.origin}{settings.portal.prefix}/connections/{name}/connect"
    return Link(url, frozenset(settings.authentication.login), connect.same_people)


def dry() -> Resources:
    """Resources to build with and throw away: nothing is started, nothing is connected."""
    return Resources(clock=SystemClock(), metrics=Nobody(), fetch=HttpFetch(user_agent=USER_AGENT), ensure_room=lambda: None)


async def end(resources: list[Any]) -> None:
    """Close each; one that fails does not keep the others open."""
    for resource in resources:
        try:
            await resource.close()
        except Exception:  # a background end: logged, and the next one is closed all the same
            log.exception("closing a resource failed")
