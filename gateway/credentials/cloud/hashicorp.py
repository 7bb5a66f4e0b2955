"""A server of HashiCorp Vault or OpenBao: who we are there, and one question to it.

A token of ours is kept and renewed before it ends (POST auth/token/renew-self); where that is refused, or the token is, we log
in anew: by AppRole (POST auth/<mount>/login, role_id and secret_id) or Kubernetes (role and jwt).
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlsplit

import orjson

from gateway.config.values import SecretRef
from gateway.core.errors import DependencyDown
from gateway.core.ports import Fetch, Fetched, SecretSource
from gateway.core.secret import Secret
from gateway.credentials.answer import object_of
from gateway.credentials.client import text
from gateway.credentials.cloud.model import VaultServer

SECONDS: Final = 5.0
MAX_LOGIN: Final = 32 * 1024
RENEW: Final = 1 / 3
"""The part of a token's life that is left when it is renewed."""
SPARE: Final = 5.0
"""Seconds before its end from which a token is not used any more."""
LONGEST: Final = 10**9
"""Seconds of a life that is believed."""
Sources = Callable[[SecretRef], SecretSource]


class Held(NamedTuple):
    """A token of ours, from when on it is renewed and when it ends, monotonic; both infinite where it never ends."""

    token: Secret
    due: float
    ends: float
    renewable: bool


class VaultClient:
    """Asks one server. Used from whatever event loop the client at hand belongs to; holds nothing of any."""

    def __init__(self, model: VaultServer, secrets: Sources, monotonic: Callable[[], float]) -> None:
        """Raises ValueError where what we log in with cannot be had."""
        self.host = urlsplit(model.url).netloc.rpartition("@")[2]
        self._model = model
        self._now = monotonic
        self._held: Held | None = None
        self._given = secrets(model.token) if model.token is not None else None
        self._login = _login(model, secrets)

    async def ask(self, fetch: Fetch, path: str, body: Mapping[str, Any] | None = None, *, limit: int = MAX_LOGIN) -> Fetched:
        """GET `path`, or POST `body` to it. A token of ours that is refused is replaced once. Raises DependencyDown."""
        token = await self._token(fetch)
        answer = await self._send(fetch, path, body, token, limit)
        if answer.status != 403 or self._login is None or not self._is_stale(token):
            return answer
        self._held = None
        return await self._send(fetch, path, body, await self._token(fetch), limit)

    def _is_stale(self, token: Secret) -> bool:
        """Whether the token that was refused is the one we hold, so that another may help."""
        return self._held is not None and self._held.token is token

    async def _token(self, fetch: Fetch) -> Secret:
        if self._given is not None:
            return self._given.current()
        held, now = self._held, self._now()
        if held is not None and now >= held.due and now < held.ends and held.renewable:
            held = await self._renewed(fetch, held)
        if held is None or now >= held.ends:
            held = await self._logged_in(fetch)
        self._held = held
        return held.token

    async def _renewed(self, fetch: Fetch, held: Held) -> Held | None:
        """The same token with a longer life; None where it is refused. It serves on where the server cannot be asked."""
        try:
            answer = await self._send(fetch, "auth/token/renew-self", {}, held.token, MAX_LOGIN)
        except DependencyDown:
            return held
        if answer.status == 200:
            found = self._understood(answer)
            # At the end of its longest life a token is renewed by less and less: then a new login is due.
            return found if found.ends > held.ends else None
        return None if answer.status in (400, 403) else held

    async def _logged_in(self, fetch: Fetch) -> Held:
        if self._login is None:
            raise DependencyDown(f"{self.host}: no login is configured")
        path, members = self._login
        said = {name: value if isinstance(value, str) else text(value).strip() for name, value in members.items()}
        answer = await self._send(fetch, path, said, None, MAX_LOGIN)
        if answer.status != 200:
            raise DependencyDown(f"{self.host}: the login was answered {answer.status}")
        return self._understood(answer)

    def _understood(self, answer: Fetched) -> Held:
        auth = (object_of(answer.body) or {}).get("auth")
        members = auth if isinstance(auth, dict) else {}
        token, life = members.get("client_token"), members.get("lease_duration")
        if not isinstance(token, str) or not 0 < len(token) <= 8192 or not token.isascii() or not token.isprintable():
            raise DependencyDown(f"{self.host}: the answer to the login holds no token")
        if isinstance(life, bool) or not isinstance(life, int) or life < 0:
            raise DependencyDown(f"{self.host}: the answer to the login does not say how long its token lives")
        now, life = self._now(), min(life, LONGEST)
        ends = now + life - min(SPARE, life / 10) if life else float("inf")
        return Held(Secret(token.encode()), now + life * (1 - RENEW) if life else ends, ends, members.get("renewable") is True)

    async def _send(self, fetch: Fetch, path: str, body: Mapping[str, Any] | None, token: Secret | None, limit: int) -> Fetched:
        model = self._model
        headers = {"x-vault-request": "true"}
        if token is not None:
            headers["x-vault-token"] = token.reveal().decode("latin-1")
        if model.namespace is not None:
            headers["x-vault-namespace"] = model.namespace
        url = f"{model.url.rstrip('/')}/v1/{quote(path)}"
        ca = str(model.ca) if model.ca is not None else None
        private, plain = model.allow_private, model.allow_plaintext
        if body is None:
            return await fetch.get(
                url, limit=limit, timeout=SECONDS, allow_plaintext=plain, allow_private=private, ca=ca, headers=headers
            )
        return await fetch.post(
            url,
            body=orjson.dumps(body),
            content_type="application/json",
            headers=headers,
            limit=limit,
            timeout=SECONDS,
            allow_plaintext=plain,
            allow_private=private,
            ca=ca,
        )


def _login(model: VaultServer, secrets: Sources) -> tuple[str, dict[str, str | SecretSource]] | None:
    """Where we log in and with what."""
    if model.approle is not None:
        role, secret = secrets(model.approle.role_id), secrets(model.approle.secret_id)
        return f"auth/{model.approle.mount}/login", {"role_id": role, "secret_id": secret}
    if model.kubernetes is not None:
        path = f"auth/{model.kubernetes.mount}/login"
        return path, {"role": model.kubernetes.role, "jwt": secrets(model.kubernetes.token)}
    return None
