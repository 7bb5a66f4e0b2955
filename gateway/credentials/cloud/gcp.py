"""Services of Google that speak JSON over REST, asked with an access token that is kept until it grows old."""

import base64
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from gateway.config.values import SecretRef
from gateway.core.errors import DependencyDown
from gateway.core.ports import Clock, Fetch, Fetched, SecretSource
from gateway.core.secret import Secret
from gateway.credentials.cloud.crc32c import crc32c
from gateway.credentials.cloud.model import CLOUD_PLATFORM, Google
from gateway.credentials.endpoint import TokenEndpoint
from gateway.credentials.google import GoogleFederationRecipe, KeyFile, ServiceAccountRecipe
from gateway.credentials.oauth_model import GoogleFederation, GoogleServiceAccount
from gateway.credentials.token import Fresh

SECONDS: Final = 5.0
AHEAD: Final = 300.0
"""Seconds before its end by which a token is asked for again."""
Sources = Callable[[SecretRef], SecretSource]


class GoogleService:
    """One service, asked by who we are to Google. Used from whatever event loop the client at hand belongs to."""

    def __init__(self, model: Google, url: str, secrets: Sources, clock: Clock) -> None:
        """Raises ValueError where what a token is made from cannot be had, or used."""
        self._url = (model.url or url).rstrip("/")
        self.host = urlsplit(self._url).netloc
        self._model = model
        self._clock = clock
        self._source = secrets(_reference(model))
        self._token: tuple[Secret, float] | None = None
        if model.key is not None:
            KeyFile(self._source)

    async def ask(self, fetch: Fetch, path: str, members: Mapping[str, Any] | None = None, *, limit: int) -> Fetched:
        """GET `path`, or POST `members` to it; with a new token once where the one we have is refused. Raises DependencyDown."""
        fresh = self._token is None
        answer = await self._send(fetch, path, members, await self._bearer(fetch), limit)
        if answer.status != 401 or fresh:
            return answer
        self._token = None
        return await self._send(fetch, path, members, await self._bearer(fetch), limit)

    async def _bearer(self, fetch: Fetch) -> Secret:
        now, held = self._clock.monotonic(), self._token
        if held is not None and now < held[1]:
            return held[0]
        made = await self._minted(fetch)
        token = Secret(made.value)
        self._token = token, now + max(made.lifetime - AHEAD, made.lifetime / 2)
        return token

    async def _minted(self, fetch: Fetch) -> Fresh:
        model = self._model
        if model.key is not None:
            account = _account(model, model.key)
            endpoint = TokenEndpoint(account.token_url, account, fetch)
            return await ServiceAccountRecipe(account, endpoint, self._source, self._clock).mint()
        if model.federation is None:
            raise DependencyDown(f"{self.host}: nobody to ask as")
        chosen = GoogleFederation(inject="google_federation", scope=[CLOUD_PLATFORM], **dict(model.federation))
        sts, iam = (TokenEndpoint(url.rstrip("/"), chosen, fetch) for url in (chosen.sts_url, chosen.iam_url))
        return await GoogleFederationRecipe(chosen, sts, iam, self._source, self._clock).mint()

    async def _send(self, fetch: Fetch, path: str, members: Mapping[str, Any] | None, token: Secret, limit: int) -> Fetched:
        dial, url = self._model.dial, f"{self._url}/{path}"
        headers = {"authorization": f"Bearer {token.reveal().decode('ascii')}"}
        ca = str(dial.ca) if dial.ca is not None else None
        if members is None:
            return await fetch.get(
                url,
                limit=limit,
                timeout=SECONDS,
                allow_plaintext=dial.allow_plaintext,
                allow_private=dial.allow_private,
                ca=ca,
                headers=headers,
            )
        return await fetch.post(
            url,
            body=orjson.dumps(members),
            content_type="application/json",
            headers=headers,
            limit=limit,
            timeout=SECONDS,
            allow_plaintext=dial.allow_plaintext,
            allow_private=dial.allow_private,
            ca=ca,
        )


def checked(members: Mapping[str, Any], name: str, checksum: str, host: str) -> bytes:
    """The bytes of a member in base64, which must have the CRC-32C that stands beside it. Raises DependencyDown."""
    text, told = members.get(name), members.get(checksum)
    try:
        content = base64.b64decode(text, validate=True) if isinstance(text, str) else None
    except ValueError:
        content = None
    if content is None:
        raise DependencyDown(f"{host}: the answer is not understood")
    # Google writes 64-bit numbers as text.
    if str(told) != str(crc32c(content)):
        raise DependencyDown(f"{host}: the answer was damaged on its way: its checksum is another")
    return content


def _reference(model: Google) -> SecretRef:
    if model.key is not None:
        return model.key
    if model.federation is not None:
        return model.federation.token
    raise ValueError("exactly one of `key` and `federation` says who the gateway is")


def _account(model: Google, key: SecretRef) -> GoogleServiceAccount:
    return GoogleServiceAccount(
        inject="google_service_account", key=key, scope=[CLOUD_PLATFORM], token_url=model.token_url, dial=model.dial
    )
