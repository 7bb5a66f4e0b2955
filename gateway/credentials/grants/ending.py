"""How a provider ends what it gave to us: RFC 7009, or its own call. What its people made themselves is theirs to end."""

from contextlib import suppress
from typing import Final, final

import orjson

from gateway.core.errors import DependencyDown
from gateway.core.form import basic
from gateway.core.ports import Clock, Fetched, RevokingFetch
from gateway.core.secret import Secret
from gateway.credentials.answer import MAX_BYTES, object_of
from gateway.credentials.client import Sources, text
from gateway.credentials.endpoint import SECONDS
from gateway.credentials.grants.exchange import endpoint
from gateway.credentials.grants.grant import Grant
from gateway.credentials.grants.model import Provider
from gateway.credentials.grants.providers import DEFINITIONS, places
from gateway.credentials.oauth_model import Client

ENDED: Final = frozenset({"token_revoked", "invalid_auth", "account_inactive", "not_authed"})
"""Slack's words for a token that is over already."""


@final
class Ending:
    """Ends tokens at one provider. Nothing is raised: it is told."""

    def __init__(self, model: Provider, client: Client, fetch: RevokingFetch, clock: Clock, secrets: Sources) -> None:
        """Raises ValueError for a client that cannot prove itself."""
        self._model = model
        self._client = client
        self._definition = DEFINITIONS[model.kind]
        self._url = places(model).revoke
        self._endpoint = endpoint(model, client, fetch, clock, secrets, self._url) if self._url else None
        self._fetch = fetch
        self._secrets = secrets

    async def whole(self, grant: Grant | None) -> str:
        """A grant that its person ends: "yes", "no", or "not-offered"."""
        return await self._over(grant, self._url)

    async def one(self, grant: Grant) -> str:
        """The same for tokens that nobody keeps: no more of their account than cannot be helped, see `Definition.apart`."""
        single = self._url.removesuffix("/grant") + "/token" if self._definition.ending == "github" else self._url
        return await self._over(grant, single)

    async def _over(self, grant: Grant | None, url: str) -> str:
        """Where there is a refresh token its answer counts: an access token that is over says nothing of it (RFC 7009 2.1)."""
        if grant is None:
            return "no"
        if self._endpoint is None or grant.client != self._client.id:
            return "not-offered"
        standard, ended = self._definition.ending == "rfc7009", False
        with suppress(DependencyDown):
            if standard and grant.refresh is not None:
                ended = await self._end(grant.refresh, "refresh_token", url)
                await self._end(grant.access, "access_token", url)
            else:
                ended = await self._end(grant.access, "access_token", url)
        return "yes" if ended else "no"

    async def _end(self, token: Secret, kind: str, url: str) -> bool:
        """Raises DependencyDown."""
        match self._definition.ending:
            case "github":
                return (await self._delete(token, url)).status == 204
            case "slack":
                members = object_of((await self._get(token, url)).body) or {}
                return members.get("ok") is True or str(members.get("error")) in ENDED
            case _:
                form = [("token", plain(token)), ("token_type_hint", kind)]
                return self._endpoint is not None and (await self._endpoint.form(form)).status == 200

    async def _delete(self, token: Secret, url: str) -> Fetched:
        secret = self._client.secret
        if secret is None:
            raise DependencyDown("ends grants only for clients with a secret")
        headers = {"authorization": basic(self._client.id, text(self._secrets(secret))), "content-type": "application/json"}
        dial = self._model.dial
        return await self._fetch.delete(
            url,
            headers=headers,
            limit=MAX_BYTES,
            timeout=SECONDS,
            allow_plaintext=dial.allow_plaintext,
            allow_private=dial.allow_private,
            ca=str(dial.ca) if dial.ca is not None else None,
            body=orjson.dumps({"access_token": plain(token)}),
        )

    async def _get(self, token: Secret, url: str) -> Fetched:
        dial = self._model.dial
        return await self._fetch.get(
            url,
            limit=MAX_BYTES,
            timeout=SECONDS,
            allow_plaintext=dial.allow_plaintext,
            allow_private=dial.allow_private,
            ca=str(dial.ca) if dial.ca is not None else None,
            headers={"authorization": f"Bearer {plain(token)}"},
        )


def plain(token: Secret) -> str:
    """A token as its provider is shown it."""
    return token.reveal().decode()
