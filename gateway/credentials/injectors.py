"""Which injector a configured credential gets: the table of this room."""

from collections.abc import Sequence

from gateway.core.decision import Permit
from gateway.core.message import Outbound
from gateway.core.ports import Injector
from gateway.credentials import hmac_signature, model, signed_jwt
from gateway.credentials.cookie import CookieInjector
from gateway.credentials.grants.model import Grant
from gateway.credentials.header import Basic, HeaderInjector, bearer
from gateway.credentials.plan import Plan
from gateway.credentials.query import QueryInjector
from gateway.credentials.sigv4_build import build as sigv4
from gateway.credentials.workshop import Workshop, minted


class NoCredential:
    """A route whose upstream takes none."""

    name: str | None = None
    sets: frozenset[bytes] = frozenset()

    def inject(self, outbound: Outbound, permit: Permit) -> None:
        return


def planned(members: Sequence[Injector]) -> Injector:
    """One injector for what a route names: none, one, or several in their order."""
    if not members:
        return NoCredential()
    return members[0] if len(members) == 1 else Plan(members)


def build(name: str, credential: model.Credential, workshop: Workshop) -> Injector:
    """The injector of one configured credential. Raises ValueError when its secret cannot be had now."""
    secrets = workshop.secrets
    match credential:
        case model.Bearer():
            return HeaderInjector(name, "authorization", secrets(credential.secret), bearer)
        case model.Basic():
            return HeaderInjector(name, "authorization", secrets(credential.password), Basic(credential.username))
        case model.Header():
            return HeaderInjector(name, credential.name, secrets(credential.secret))
        case model.Query():
            return QueryInjector(name, credential.name, secrets(credential.secret))
        case model.Cookie():
            return CookieInjector(name, credential.name, secrets(credential.secret))
        case model.Hmac():
            return hmac_signature.build(name, credential, secrets, workshop.clock.now)
        case model.SignedJwt():
            return signed_jwt.build(name, credential, secrets, workshop.clock.now)
        case model.SigV4():
            return sigv4(name, credential, secrets, workshop.clock.now)
        case Grant():
            return granted(name, credential, workshop)
        case _:
            return minted(name, credential, workshop)


def granted(name: str, credential: Grant, workshop: Workshop) -> Injector:
    """The injector of principals' own tokens. Raises ValueError where grants cannot be kept."""
    from gateway.credentials.grants.injector import GrantInjector

    return GrantInjector(name, workshop.grants(credential.provider), frozenset(credential.requires_scopes))
