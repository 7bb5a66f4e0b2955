"""How a provider is spoken to: under the guard of its entry, with our own proof, answers bounded."""

import asyncio
import base64
from collections.abc import Mapping
from typing import Final, final
from urllib.parse import quote_plus, urlencode

from gateway.authn.login.model import LoginProvider
from gateway.core.errors import DependencyDown
from gateway.core.ports import Fetch, Fetched, SecretSource

MAX_BYTES: Final = 128 * 1024
SECONDS: Final = 10.0
FORM: Final = "application/x-www-form-urlencoded"


@final
class Asking:
    """One provider's entry, as requests to it need it."""

    def __init__(self, model: LoginProvider, secret: SecretSource | None, fetch: Fetch) -> None:
        self._model = model
        self._secret = secret
        self._fetch = fetch

    async def get(self, url: str, *, token: str | None = None) -> Fetched:
        """Raises DependencyDown."""
        await asyncio.sleep(0)  # asyncio.timeout needs a task, see server/run.py
        model = self._model
        return await self._fetch.get(
            url,
            limit=MAX_BYTES,
            timeout=SECONDS,
            allow_plaintext=model.allow_plaintext,
            allow_private=model.allow_private,
            ca=str(model.ca) if model.ca else None,
            headers={"authorization": f"Bearer {token}"} if token is not None else None,
        )

    async def token(self, url: str, parameters: Mapping[str, str]) -> Fetched:
        """The token endpoint's answer (RFC 6749 3.2), to us as the client. Raises DependencyDown."""
        await asyncio.sleep(0)
        model = self._model
        headers, form = self._proved(dict(parameters))
        return await self._fetch.post(
            url,
            body=urlencode(form).encode("ascii"),
            content_type=FORM,
            headers=headers,
            limit=MAX_BYTES,
            timeout=SECONDS,
            allow_plaintext=model.allow_plaintext,
            allow_private=model.allow_private,
            ca=str(model.ca) if model.ca else None,
        )

    def _proved(self, form: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        """RFC 6749 2.3.1; a public client only names itself, and PKCE is its proof."""
        id = self._model.client_id
        if self._secret is None:
            return {}, {**form, "client_id": id}
        try:
            secret = self._secret.current().reveal().decode("utf-8")
        except UnicodeDecodeError:
            raise DependencyDown(f"{self._secret.name}: the secret is not UTF-8") from None
        if self._model.auth == "client_secret_post":
            return {}, {**form, "client_id": id, "client_secret": secret}
        pair = f"{quote_plus(id)}:{quote_plus(secret)}".encode("ascii")
        return {"authorization": "Basic " + base64.b64encode(pair).decode("ascii")}, form
