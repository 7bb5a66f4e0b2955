"""A provider's token endpoint, asked for a new pair (RFC 6749 6).

Where an answer holds an access token, whatever else is odd about it must not cost the pair: the old refresh token may be gone.
"""

import re
from collections.abc import Collection
from typing import Any, Final

from gateway.core.errors import DependencyDown
from gateway.core.ports import Clock, Fetch, Fetched
from gateway.core.secret import Secret
from gateway.credentials.answer import code_of, lifetime_of, object_of, token_of
from gateway.credentials.client import Sources, proving
from gateway.credentials.endpoint import TokenEndpoint
from gateway.credentials.grants.model import Provider
from gateway.credentials.grants.providers import DEFINITIONS, Definition, token_url
from gateway.credentials.grants.refresh import Ask, Pair, Refused
from gateway.credentials.oauth_model import Client

BETWEEN: Final = re.compile(r"[ ,]+")
SCOPE: Final = re.compile(r"[!#-\[\]-~]+", re.ASCII)
"""RFC 6749 3.3; what is none could not be stored by every database, and the pair would be lost with it."""
MOST_SCOPES: Final = 256
LONGEST_SCOPES: Final = 8192
"""Characters of a list that is believed: sealed together with three tokens it is still short enough to be stored."""


class Exchange:
    """Implements `refresh.Ask` for one configured provider."""

    def __init__(self, client: str, endpoint: TokenEndpoint, definition: Definition) -> None:
        self.client = client
        self._endpoint = endpoint
        self._definition = definition

    async def __call__(self, refresh: Secret) -> Pair:
        answer = await self._endpoint.form([("grant_type", "refresh_token"), ("refresh_token", refresh.reveal().decode())])
        return pair(answer, self._endpoint.host, self._definition)


class Nobody:
    """Implements `refresh.Ask` for a provider at which we are no client."""

    client = ""

    async def __call__(self, refresh: Secret) -> Pair:
        raise DependencyDown("the provider has no `client`: nothing is refreshed there")


def asking(model: Provider, fetch: Fetch, clock: Clock, secrets: Sources) -> Ask:
    """Whom to ask. Raises ValueError for a client that cannot prove itself."""
    if model.client is None:
        return Nobody()
    return Exchange(model.client.id, endpoint(model, model.client, fetch, clock, secrets), DEFINITIONS[model.kind])


def endpoint(model: Provider, client: Client, fetch: Fetch, clock: Clock, secrets: Sources, url: str = "") -> TokenEndpoint:
    """The token endpoint, or `url` of the same server, asked as the client that we are. Raises ValueError as `asking` does."""
    tokens = token_url(model)
    if "auth" not in client.model_fields_set and client.secret is not None:
        client = client.model_copy(update={"auth": DEFINITIONS[model.kind].auth})
    return TokenEndpoint(url or tokens, model, fetch, proving(client, tokens, clock, secrets))


def pair(answer: Fetched, host: str, definition: Definition) -> Pair:
    """The new tokens of an answer. Raises Refused, and DependencyDown for anything else that holds none."""
    members = said(answer, host, definition.refusals)
    theirs = members.get(definition.nested) if definition.nested else None
    if isinstance(theirs, dict) and "access_token" in theirs:
        members = theirs
    return tokens_of(members, host, definition)


def given(answer: Fetched, host: str, definition: Definition) -> Pair:
    """The tokens that a code was given for, of the person and nobody else. Raises as `pair` does."""
    members: Any = said(answer, host, definition.refusals | definition.codes)
    if definition.nested:
        members = members.get(definition.nested)
    if not isinstance(members, dict):
        raise DependencyDown(f"{host}: the answer holds nothing that a person gave")
    return tokens_of(members, host, definition)


def said(answer: Fetched, host: str, refusals: Collection[str]) -> dict[str, Any]:
    """The members of an answer that says yes. Raises as `pair` does."""
    members = object_of(answer.body)
    if members is None or answer.status not in {200, 201} or members.get("error") or members.get("ok") is False:
        if members is not None and str(members.get("error")) in refusals:
            raise Refused
        code = code_of(answer.body)
        raise DependencyDown(f"{host}: answered {answer.status}" + (f" {code}" if code else ""))
    return members


def tokens_of(members: dict[str, Any], host: str, definition: Definition) -> Pair:
    """Raises DependencyDown."""
    kind = members.get("token_type")
    if isinstance(kind, str) and kind.lower() not in definition.types:
        # RFC 6749 7.1: a client must not use a token whose type it does not understand.
        raise DependencyDown(f"{host}: the token is not a bearer token")
    access = Secret(token_of(members, "access_token", host))
    return Pair(access, _refresh(members, host), _lifetime(members, host), _scopes(members.get("scope")))


def _refresh(members: dict[str, Any], host: str) -> Secret | None:
    try:
        return Secret(token_of(members, "refresh_token", host))
    except DependencyDown:
        return None


def _lifetime(members: dict[str, Any], host: str) -> float | None:
    """None where nothing usable is said: such a token is used until an upstream refuses it."""
    if members.get("expires_in") is None:
        return None
    try:
        return lifetime_of(members["expires_in"], host)
    except DependencyDown:
        return None


def _scopes(stated: object) -> tuple[str, ...] | None:
    """None where nothing is said of them (RFC 6749 5.1: then they are the same). GitHub Apps' tokens have an empty list.

    None of a list that is too long, or holds something that is no scope, is known to be there: what needs one is refused.
    """
    if not isinstance(stated, str):
        return None
    told = [scope for scope in BETWEEN.split(stated) if scope] if len(stated) <= LONGEST_SCOPES else [""]
    return (tuple(told)[:MOST_SCOPES] or None) if all(map(SCOPE.fullmatch, told)) else ()
