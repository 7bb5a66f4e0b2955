"""Clients of the gateway's own tokens: that those which send people name a login, and have what they need."""

from collections.abc import Iterator

from gateway.config.validation import suggest
from gateway.core.errors import Problem
from gateway.settings.rules.draft import Draft
from gateway.tokens.model import Client

OFFLINE = "offline_access"


def check(draft: Draft) -> Iterator[Problem]:
    logins = draft.names("authentication", "login")
    for path, client in draft.parts(Client, "clients"):
        if draft.value("tokens") is None:
            yield draft.error(path, "nothing is issued", "add `tokens: {issuer: https://…, key: {env: …}}`", key=True)
        if client.login is not None and client.login not in logins:
            yield draft.error(
                (*path, "login"), f"unknown login '{client.login[:80]}'", suggest(client.login, logins) or "none is configured"
            )
        if "refresh_token" in client.grants and "authorization_code" not in client.grants:
            message = "refresh tokens come with `authorization_code` only"
            yield draft.error((*path, "grants"), message, "leave `refresh_token` out: the client asks again")
        if OFFLINE in client.scopes and "refresh_token" not in client.grants:
            yield draft.warning((*path, "scopes"), f"`{OFFLINE}` is about refresh tokens, and this client has none", "leave it out")
