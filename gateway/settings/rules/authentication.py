"""Who is accepted: waivers said aloud, issuers told apart, certificates that can arrive at all."""

from collections.abc import Iterator
from typing import Final

from gateway.authn.model import WAIVED, ApiKeys, Introspection, JwtIssuer, Stated
from gateway.config.document import Steps
from gateway.core.errors import Problem
from gateway.edge.model import Listen
from gateway.settings.rules import logins
from gateway.settings.rules.draft import Draft
from gateway.settings.rules.listeners import served
from gateway.settings.rules.urls import private_target

LONG_LEEWAY: Final = 120.0


def check(draft: Draft) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for path, issuer in draft.parts(JwtIssuer, "authentication", "jwt"):
        yield from _waivers(draft, path, issuer)
        yield from _keys(draft, path, issuer)
        if issuer.known_as in seen:
            hint = f"'{seen[issuer.known_as]}' has it; tokens are assigned by their exact `iss`"
            yield draft.error((*path, "issuer"), "two entries have the same issuer", hint)
        seen.setdefault(issuer.known_as, str(path[-1]))
    for path, entry in draft.parts(Introspection, "authentication", "introspection"):
        yield from _waivers(draft, path, entry)
        if not entry.allow_private and (wrong := private_target(entry.url)):
            yield draft.error((*path, "url"), wrong, "set `allow_private: true` if it is meant")
    yield from _opaque(draft)
    yield from logins.check(draft)
    yield from _certificates(draft)
    keys = draft.part(ApiKeys, ("authentication", "api_keys"))
    if keys is not None and keys.header.lower() in {"authorization", "cookie", "host"}:
        hint = "keys are accepted as `Authorization: Bearer` anyway"
        yield draft.error(("authentication", "api_keys", "header"), "is a header with a meaning of its own", hint)


def _waivers(draft: Draft, path: Steps, issuer: Stated) -> Iterator[Problem]:
    if issuer.audience == WAIVED:
        yield draft.warning((*path, "audience"), "audience waived: tokens meant for other services are accepted here")
    if issuer.issuer == WAIVED and getattr(issuer, "spiffe", None) is None:
        yield draft.warning((*path, "issuer"), "issuer waived: whoever signed with these keys is believed")
    if "exp" not in issuer.required_claims:
        yield draft.warning((*path, "required_claims"), "tokens that never expire are accepted", "add `exp`")
    if issuer.leeway > LONG_LEEWAY:
        yield draft.warning((*path, "leeway"), "expired tokens live on for minutes", "30s is usual")


def _keys(draft: Draft, path: Steps, issuer: JwtIssuer) -> Iterator[Problem]:
    if issuer.jwks is None or issuer.jwks.allow_private:
        return
    url, place = (issuer.issuer, "issuer") if issuer.jwks.discovery else (issuer.jwks.url, "jwks")
    if url is not None and (wrong := private_target(url)):
        where = (*path, "issuer") if place == "issuer" else (*path, "jwks", "url")
        yield draft.error(where, wrong, "set `jwks.allow_private: true` if it is meant")


def _opaque(draft: Draft) -> Iterator[Problem]:
    """An opaque token does not say whose it is: it is told to the one issuer of the route, never to one after the other."""
    places = [(*place, "authenticate") for place, _ in draft.routes()] + [("portal", "tools", "authenticate")]
    for place in places:
        asked = [name for name in draft.items(*place) if isinstance(name, str) and name.startswith("introspection.")]
        if len(asked) > 1:
            yield draft.error(place, "accepts opaque tokens of two issuers: they do not say whose they are", "use two routes")


def _certificates(draft: Draft) -> Iterator[Problem]:
    """`mtls` on a route is an empty promise where no listener that serves it sees client certificates."""
    listeners = {str(path[-1]): listen for path, listen in served(draft)}
    if len(listeners) < len(draft.names("listeners")):
        return
    for place, _ in draft.routes():
        named = draft.items(*place, "match", "listeners")
        serving = [listen for name, listen in listeners.items() if not named or name in named]
        accepted = draft.items(*place, "authenticate")
        if "mtls" in accepted and serving and not any(_sees_certificates(listen) for listen in serving):
            hint = "set `tls.client_auth`, or `client_certificate` behind a proxy"
            path = (*place, "authenticate", accepted.index("mtls"))
            yield draft.error(path, "no listener of this route asks for client certificates", hint)


def _sees_certificates(listen: Listen) -> bool:
    return listen.client_certificate != "none" or (listen.tls is not None and listen.tls.client_auth != "none")
