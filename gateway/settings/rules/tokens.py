"""What the gateway issues: an issuer of its own, and clients that exchange what there is."""

from collections.abc import Iterator
from itertools import chain

from gateway.authn.model import Introspection, JwtIssuer, Stated
from gateway.config.document import Steps
from gateway.config.validation import suggest
from gateway.core.errors import Problem
from gateway.settings.rules.draft import Draft
from gateway.settings.rules.references import schemes
from gateway.settings.rules.urls import private_target
from gateway.tokens.model import Client, Tokens

EXCHANGED = ("tokens", "api_keys", "jwt.", "introspection.")


def check(draft: Draft) -> Iterator[Problem]:
    model = draft.part(Tokens, ("tokens",))
    others: Iterator[tuple[Steps, Stated]] = chain(
        draft.parts(JwtIssuer, "authentication", "jwt"), draft.parts(Introspection, "authentication", "introspection")
    )
    for path, issuer in others:
        if model is not None and issuer.issuer == model.issuer:
            hint = "accept them as `tokens`"
            yield draft.error((*path, "issuer"), "is the gateway's own: its tokens are assigned by their exact `iss`", hint)
    known = ["tokens", *(name for name in schemes(draft) if name != "tokens" and name.startswith(EXCHANGED))]
    for path, client in draft.parts(Client, "clients"):
        yield from _client(draft, path, client, known)


def _client(draft: Draft, path: Steps, client: Client, known: list[str]) -> Iterator[Problem]:
    for number, name in enumerate(client.exchanges):
        if name not in known:
            yield draft.error((*path, "exchanges", number), f"unknown scheme '{name[:80]}'", suggest(name, known))
    if sum(name.startswith("introspection.") for name in client.exchanges) > 1:
        wrong = "takes opaque tokens of two issuers: they do not say whose they are"
        yield draft.error((*path, "exchanges"), wrong, "use two clients")
    jwks = client.jwks
    if jwks is not None and jwks.url is not None and not jwks.allow_private and (wrong := private_target(jwks.url)):
        yield draft.error((*path, "jwks", "url"), wrong, "set `allow_private: true` if it is meant")
