"""Which injector a configured credential gets: the table of this room."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gateway.core.decision import Permit
from gateway.core.message import Outbound
from gateway.core.ports import Injector, Transport
from gateway.credentials import hmac_signature, model, signed_jwt
from gateway.credentials.captured.model import Capture, Captured, CapturedKeys
from gateway.credentials.cookie import CookieInjector
from gateway.credentials.grants.model import Grant
from gateway.credentials.header import Basic, HeaderInjector, bearer
from gateway.credentials.mtls import MtlsInjector
from gateway.credentials.plan import Plan
from gateway.credentials.query import QueryInjector
from gateway.credentials.sigv4_assumed import assumed
from gateway.credentials.sigv4_build import build as sigv4
from gateway.credentials.workshop import Workshop, minted

if TYPE_CHECKING:
    from gateway.credentials.captured.used import Used


class NoCredential:
    """A route whose upstream takes none."""

    name: str | None = None
    sets: frozenset[bytes] = frozenset()

    def inject(self, outbound: Outbound, permit: Permit) -> None:
        return


def planned(members: Sequence[Injector], scopes: Sequence[str] = ()) -> Injector:
    """One injector for what a route names: none, one, or several in their order. `scopes` are what the route needs of grants."""
    if not members:
        return NoCredential()
    if scopes:
        members = [requiring(member, frozenset(scopes)) for member in members]
    return members[0] if len(members) == 1 else Plan(members)


def requiring(member: Injector, scopes: frozenset[str]) -> Injector:
    """The same where grants need these scopes too; what is no grant has no scopes of its own to be asked for."""
    narrowed: Callable[[frozenset[str]], Injector] | None = getattr(member, "requiring", None)
    return member if narrowed is None else narrowed(scopes)


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
            role = credential.assume_role
            return (
                sigv4(name, credential, secrets, workshop.clock.now) if role is None else assumed(name, credential, role, workshop)
            )
        case model.Mtls():
            return MtlsInjector(name, secrets(credential.key))
        case Grant():
            return granted(name, credential, workshop)
        case Captured() | CapturedKeys():
            return captured(name, credential, workshop)
        case _:
            return minted(name, credential, workshop)


def granted(name: str, credential: Grant, workshop: Workshop) -> Injector:
    """The injector of principals' own tokens. Raises ValueError where grants cannot be kept."""
    from gateway.credentials.grants.injector import GrantInjector

    return GrantInjector(name, workshop.grants(credential.provider), frozenset(credential.requires_scopes))


def captured(name: str, credential: Captured | CapturedKeys, workshop: Workshop) -> Injector:
    """The injector of what answers minted. Raises ValueError without keys."""
    from gateway.credentials.captured.injector import CapturedInjector
    from gateway.credentials.captured.keys_injector import CapturedKeysInjector

    if isinstance(credential, CapturedKeys):
        return CapturedKeysInjector(name, credential, used(workshop))
    return CapturedInjector(name, credential, used(workshop))


def capturing(transport: Transport, model: Capture | None, route: str, upstream: str, workshop: Workshop) -> Transport:
    """The way to an upstream, with what is minted there captured where the route says so. Raises ValueError without keys."""
    if model is None:
        return transport
    from gateway.credentials.captured.capturing import Capturing, Where

    return Capturing(transport, model, Where(route, upstream), used(workshop))


def used(workshop: Workshop) -> "Used":
    """What captured credentials are sealed with. Raises ValueError without keys."""
    from gateway.credentials.captured.used import Used

    if workshop.ring is None:
        raise ValueError("what is captured is sealed: add `vault: {keys: [{id: …, env: …}]}`; `gateway secrets key` makes a key")
    return Used(workshop.ring, workshop.clock, workshop.metrics, workshop.tell)
