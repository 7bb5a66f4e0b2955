"""Logins: providers that may be called, settings that weaken what a session is."""

from collections.abc import Iterator

from gateway.authn.login.model import LoginProvider, Sessions
from gateway.config.document import Steps
from gateway.core.errors import Problem
from gateway.settings.rules.draft import Draft
from gateway.settings.rules.urls import private_target


def check(draft: Draft) -> Iterator[Problem]:
    for path, provider in draft.parts(LoginProvider, "authentication", "login"):
        yield from _reached(draft, path, provider)
        if provider.client_secret is None:
            yield draft.warning(path, "a public client: only PKCE proves who asks for tokens", "add `client_secret`", key=True)
        if provider.refresh == "none":
            hint = "say how old claims may be, like `refresh: 5m`"
            yield draft.warning((*path, "refresh"), "whoever loses a group keeps it until the session ends", hint)
    for path, provider in draft.parts(LoginProvider, "admin", "operators", "oidc"):
        yield from _reached(draft, path, provider)
    sessions = draft.part(Sessions, ("authentication", "sessions"))
    if sessions is not None and sessions.csrf == "origin":
        hint = "use `csrf: token` where pages can send X-CSRF-Token"
        yield draft.warning(("authentication", "sessions", "csrf"), "writes are told from forged ones by their origin alone", hint)


def _reached(draft: Draft, path: Steps, provider: LoginProvider) -> Iterator[Problem]:
    if provider.allow_private:
        return
    stated = provider.endpoints.model_dump() if provider.endpoints is not None else {"issuer": provider.issuer}
    for name, url in stated.items():
        if url is not None and (wrong := private_target(url)):
            place = (*path, "issuer") if name == "issuer" else (*path, "endpoints", name)
            yield draft.error(place, wrong, "set `allow_private: true` if it is meant")
