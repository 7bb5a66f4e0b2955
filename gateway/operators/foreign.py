"""Operators whom an OpenID provider knows: the code flow of logins, on the admin listener, and the role that their groups give.

Everything is made for the one login and let go of: operators are few, and a key that the provider took back counts for none.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Final, final

from gateway.authn.claims import Claims
from gateway.authn.login.flow import Flow
from gateway.authn.login.pending import Held, PendingLogins, Wish
from gateway.authn.login.provider import Provider
from gateway.authn.login.seal import Seal
from gateway.authn.model import Stated
from gateway.authn.operators_model import OidcOperators
from gateway.core.errors import Forbidden, GatewayError
from gateway.core.message import Field
from gateway.core.ports import SecretSource
from gateway.core.principal import Identity
from gateway.core.reason import Reason
from gateway.fetch import HttpFetch
from gateway.operators.account import Role
from gateway.operators.desk import Desk
from gateway.operators.sessions import FOREIGN, Session

NAME: Final = "operators"
CALLBACK: Final = "/operators/oidc/callback"
COOKIE: Final = "gateway-operator"


@final
class Foreign:
    """One configuration's provider."""

    def __init__(
        self,
        desk: Desk,
        model: OidcOperators,
        origin: str,
        seal: Seal,
        secret: SecretSource | None,
        fetching: Callable[[], HttpFetch],
    ) -> None:
        self._desk = desk
        self._model = model
        self._origin = origin
        self.absolute = model.absolute
        self.pending = PendingLogins(COOKIE, seal, desk.clock)
        self._secret = secret
        self._fetching = fetching
        told = model.provider
        stated = Stated.model_construct(
            issuer=told.issuer, audience=[told.client_id], subject=told.subject, groups=told.groups, scopes=told.scopes_claim
        )
        self._claims = Claims("operator", NAME, stated, desk.clock)
        self.stamp = sha256(model.model_dump_json().encode()).hexdigest()
        """Of the groups and the provider that gave a role: of others it counts no more."""

    @asynccontextmanager
    async def _flow(self, client: str) -> AsyncIterator[Flow]:
        desk, fetch = self._desk, self._fetching()
        provider = Provider(NAME, self._model.provider, self._secret, fetch, desk.clock, desk.metrics)
        redirects = {NAME: self._origin + CALLBACK}
        try:
            with desk.turn(f"oidc.{client}"):
                yield Flow({NAME: provider}, redirects, pending=self.pending, once=desk.once)
        finally:
            await provider.keys.close()
            await provider.discovery.close()
            await fetch.close()

    async def begin(self, sent: Held, client: str) -> tuple[str, list[Field]]:
        """Where to send the browser, and the fields with what it shall bring back. Raises LimitExceeded and DependencyDown."""
        async with self._flow(client) as flow:
            return await flow.begin(Wish(NAME), sent)

    async def complete(self, query: Mapping[str, Sequence[str]], sent: Held, client: str) -> tuple[str, Session]:
        """The session of who came back. Raises as `Flow.complete` does, and Forbidden for one who has no role."""
        try:
            async with self._flow(client) as flow:
                _, login = await flow.complete(NAME, query, sent)
            identity = self._claims.identity(login.claims, "")
            role = self.role_of(identity)
        except GatewayError as error:
            self._desk.tell("operator.login.failed", client=client, reason=error.reason, detail=error.detail)
            raise
        name = f"oidc:{identity.id}"
        self._desk.tell("operator.login", operator=name, role=role, factor=FOREIGN, client=client)
        return self._desk.sessions.open(name, role, self.stamp, FOREIGN)

    def stands(self, session: Session) -> bool:
        """Whether a session is of these rules, and not older than they let a provider's word become."""
        return session.stamp == self.stamp and self._desk.clock.monotonic() - session.opened <= self.absolute

    def role_of(self, identity: Identity) -> Role:
        """The greater of the roles that somebody's groups give. Raises Forbidden for who has none."""
        groups = set(identity.groups)
        if groups & set(self._model.operators):
            return "operator"
        if groups & set(self._model.viewers):
            return "viewer"
        raise Forbidden("operators: none of the groups gives a role", reason=Reason.POLICY_DENIED)
