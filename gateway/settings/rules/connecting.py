"""Connections: who can connect at all, where he is sent, and settings that weaken what his consent is worth."""

from collections.abc import Iterator

from gateway.config.document import Steps
from gateway.core.errors import Problem
from gateway.credentials.grants.model import URLS, Connect, Provider
from gateway.credentials.grants.providers import places
from gateway.settings.rules.draft import Draft
from gateway.settings.rules.urls import private_target


def check(draft: Draft) -> Iterator[Problem]:
    for path, provider in draft.parts(Provider, "providers"):
        if provider.connect is not None:
            yield from _possible(draft, (*path, "connect"), provider.connect)
            yield from _reached(draft, (*path, "connect"), provider, provider.connect)
            yield from _known(draft, (*path, "connect"), provider)


def _possible(draft: Draft, path: Steps, connect: Connect) -> Iterator[Problem]:
    logins = draft.names("authentication", "login")
    if not logins:
        hint = "add `authentication: {login: …, sessions: …}`, or leave `connect` out"
        yield draft.error(path, "nobody logs in here: a connection is somebody's who is logged in", hint, key=True)
    issuers = [name for kind in ("jwt", "introspection", "hmac") for name in draft.names("authentication", kind)]
    issuers += [name for name in ("api_keys", "mtls") if draft.value("authentication", name) is not None]
    for other, login in connect.same_people.items():
        if other not in issuers:
            yield draft.error((*path, "same_people", other), f"no issuer '{other[:80]}' under `authentication`", key=True)
        if login not in logins:
            yield draft.error((*path, "same_people", other), f"no login '{login[:80]}' under `authentication.login`")


def _reached(draft: Draft, path: Steps, provider: Provider, connect: Connect) -> Iterator[Problem]:
    for name in URLS:
        url = getattr(connect, name)
        # A browser goes to `authorize_url` by itself.
        if url is not None and name != "authorize_url" and not provider.dial.allow_private and (wrong := private_target(url)):
            yield draft.error((*path, name), wrong, "set `dial: {allow_private: true}` if it is meant")


def _known(draft: Draft, path: Steps, provider: Provider) -> Iterator[Problem]:
    found = places(provider)
    if not found.account:
        hint = "say `account_url`, where a token tells whose it is"
        yield draft.warning(path, "nobody is told whose account he connects, and another one may take its place", hint, key=True)
    if provider.client is not None and provider.client.auth == "none":
        hint = "have the provider make it a confidential client"
        yield draft.warning(path, "a public client: only PKCE proves who asks for tokens", hint, key=True)
    headers = draft.value("security_headers")
    if isinstance(headers, dict) and _framable({str(name).lower(): value for name, value in headers.items()}):
        hint = "leave X-Frame-Options as it is, or say `frame-ancestors 'none'`"
        yield draft.warning(path, "other sites may lay its consent under a click of their visitors in old browsers", hint, key=True)


def _framable(headers: dict[str, object]) -> bool:
    """Whether both fields that forbid frames were taken away or replaced. The page's own stand where the name is set to null."""
    policy, options = headers.get("content-security-policy"), headers.get("x-frame-options")
    return isinstance(policy, str) and "frame-ancestors" not in policy and isinstance(options, str) and options.lower() != "deny"
