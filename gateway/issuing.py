"""What the gateway issues itself, as configured: the issuer that knows its tokens again, the endpoint that gives them."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.authn.authentication import Authentication
from gateway.authn.issuers import Secrets, strong_secret
from gateway.authn.own.revoked import Revoked
from gateway.authn.own.signing import SigningKeys
from gateway.authn.own.verifier import Own
from gateway.authn.strength import SHORTEST
from gateway.core.ports import Clock, Fetch, Metrics, Once, Tally
from gateway.kept import Kept, secret_sources
from gateway.session_store import session_store
from gateway.settings import Settings
from gateway.store.model import RedisStore, State, reached
from gateway.store.tally import MemoryTally
from gateway.tokens.assertion import Assertions
from gateway.tokens.clients import Clients
from gateway.tokens.consents import Consents
from gateway.tokens.grants import grants
from gateway.tokens.metadata import ServerMetadata
from gateway.tokens.mint import Mint, Tell
from gateway.tokens.service import House, Service

MOST: Final = 100_000
"""Codes and families of refresh tokens held in memory."""
ENDPOINT: Final = "token"
"""Its path below the portal's prefix."""


class Issuing:
    """Makes it, of what a process keeps."""

    def __init__(self, settings: Settings, secrets: Secrets, stores: Kept[Any], clock: Clock, metrics: Metrics) -> None:
        self._settings = settings
        self._secrets = secrets
        self._stores = stores
        self._clock = clock
        self._metrics = metrics

    def key(self, own: Own | None) -> object:
        """What an issuer depends on: those of one key are the same."""
        model = self._settings.tokens
        shared = (0, 0) if own is None else (id(own.revoked), id(own.tally))
        return model, secret_sources(model, self._secrets), tuple(self._settings.clients), shared

    def own(self) -> Own | None:
        """The gateway as an issuer; None where it is none. Raises ConfigError for a weak key, ValueError for unusable TLS files."""
        model = self._settings.tokens
        if model is None:
            return None
        keys = [strong_secret(self._secrets, each, "tokens.key", SHORTEST) for each in model.keys]
        return Own(
            model.issuer,
            model.default_audience,
            SigningKeys(keys, model.algorithm, model.rotate_every, self._clock),
            self._revoked(model.stale),
            self._tally(),
            self._clock,
            clients=frozenset(self._settings.clients),
        )

    def consents(self, authentication: Authentication, tell: Tell, signal: Tell) -> Consents | None:
        """What people allow clients; None where no client sends any. Raises ConfigError, and ValueError where nobody can log in."""
        model, own, logins = self._settings.tokens, authentication.own, authentication.logins
        sending = {name: client for name, client in self._settings.clients.items() if client.redirect_uris}
        if model is None or own is None or not sending:
            return None
        if logins is None:
            raise ValueError("`authorization_code` needs people who log in: add `authentication: {login: …, sessions: …}`")
        if urlsplit(model.issuer).netloc.lower().removesuffix(":443") != logins.origin.removeprefix("https://"):
            raise ValueError(
                "people log in and consent at `authentication.sessions.base_url`, whose origin `tokens.issuer` has too"
            )
        store = session_store("token", MOST, self._settings.state, self._secrets, self._stores, self._clock)
        keys = [strong_secret(self._secrets, each, "tokens.key", SHORTEST) for each in model.keys]

        def make() -> Consents:
            return Consents(model, sending, logins, store, keys, own.revoked, self._clock, tell=tell, signal=signal)

        made: Consents = self._stores.take("consents", (repr(sending), self.key(own), id(logins), id(store), id(own)), make)
        return made

    def service(
        self,
        authentication: Authentication,
        fetch: Fetch,
        once: Once,
        tell: Tell,
        proved: Callable[[str, str], None],
        consents: Consents | None = None,
    ) -> Service | None:
        """What answers the endpoint; None where nothing is issued. `proved` hears of clients that did. Raises ConfigError."""
        model, own = self._settings.tokens, authentication.own
        if model is None or own is None:
            return None
        house = House(
            model=model,
            own=own,
            mint=Mint(own, model.lifetime, self._clock),
            clients=Clients(self._settings.clients, self._secrets, self._assertions(model.issuer, fetch, once), proved),
            subjects=authentication.subjects,
            clock=self._clock,
            metrics=self._metrics,
            tell=tell,
        )
        return Service(house, grants(house, consents))

    def metadata(self) -> ServerMetadata | None:
        """What clients find out by themselves; None where nothing is issued."""
        model, dpop = self._settings.tokens, self._settings.authentication.dpop
        if model is None:
            return None
        parts = urlsplit(model.issuer)
        base = f"{parts.scheme}://{parts.netloc}{self._settings.portal.prefix}"
        return ServerMetadata(model.issuer, base, self._settings.clients, [] if dpop is None else dpop.algorithms)

    def _assertions(self, issuer: str, fetch: Fetch, once: Once) -> Assertions:
        models = self._settings.clients
        parts = urlsplit(issuer)
        audience = [issuer, f"{parts.scheme}://{parts.netloc}{self._settings.portal.prefix}/{ENDPOINT}"]
        make = partial(Assertions, models, audience, fetch, self._clock, self._metrics, once)
        kept: Assertions = self._stores.take("clients", (repr(models), tuple(audience), id(once)), make)
        return kept

    def _revoked(self, stale: float) -> Revoked:
        state = self._settings.state
        if not isinstance(state.store, RedisStore):
            here: Revoked = self._stores.take("revoked", "memory", lambda: Revoked(self._clock))
            return here
        from gateway.store.redis_revoked import RedisRevoked
        from gateway.store.server import Server

        chosen, revoked = state.store, Revoked(self._clock)

        def make() -> RedisRevoked:
            server = Server(**reached(chosen, self._secrets))
            made = RedisRevoked(server, self._clock, self._metrics, revoked, stale=stale)
            revoked.share = made.tell
            return made

        kept: RedisRevoked = self._stores.take("revoked", (chosen.redis, self._password(state), stale), make)
        found = kept.told_to
        if not isinstance(found, Revoked):
            raise TypeError("what hears of revocations is ours")
        return found

    def _tally(self) -> Tally:
        state = self._settings.state
        if not isinstance(state.store, RedisStore):
            here: Tally = self._stores.take("tally", "memory", lambda: MemoryTally(self._clock, self._metrics))
            return here
        from gateway.store.redis_tally import RedisTally
        from gateway.store.server import Server

        chosen = state.store

        def make() -> RedisTally:
            return RedisTally(Server(**reached(chosen, self._secrets)), self._metrics)

        shared: Tally = self._stores.take("tally", (chosen.redis, self._password(state)), make)
        return shared

    def _password(self, state: State) -> object:
        chosen = state.store
        return self._secrets(chosen.redis.password) if isinstance(chosen, RedisStore) and chosen.redis.password else None
