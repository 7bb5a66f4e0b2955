"""What a provider publishes about itself (OpenID Connect Discovery 3, RFC 8414), or what the configuration says instead."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

from gateway.authn import strict_json
from gateway.authn.key_sources import openid_url
from gateway.authn.login.asking import Asking
from gateway.authn.login.model import LoginProvider
from gateway.authn.urls import check_url
from gateway.core.errors import DependencyDown
from gateway.core.ports import Clock

FRESH: Final = 3600.0
STALE: Final = 24 * 3600.0
RETRY: Final = 1.0
ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint")
OPTIONAL: Final = ("userinfo_endpoint", "end_session_endpoint")


@dataclass(frozen=True, slots=True)
class Metadata:
    """Where a provider is asked what. `says_iss`: it names itself in every answer by way of the browser (RFC 9207 3)."""

    authorization: str
    token: str
    userinfo: str | None
    end_session: str | None
    says_iss: bool


@final
class Discovery:
    """A provider's metadata, fetched when first needed and each hour, by one caller at a time; a day old it still counts."""

    def __init__(self, name: str, model: LoginProvider, asking: Asking, clock: Clock) -> None:
        self._name = name
        self._model = model
        self._asking = asking
        self._monotonic = clock.monotonic
        self._known: Metadata | None = None
        self._read = self._due = 0.0
        self._fetching: asyncio.Task[Metadata] | None = None
        if (stated := model.endpoints) is not None:
            self._stated: Metadata | None = Metadata(
                stated.authorization, stated.token, stated.userinfo, stated.end_session, says_iss=False
            )
        else:
            self._stated = None

    async def current(self) -> Metadata:
        """Raises DependencyDown."""
        if self._stated is not None:
            return self._stated
        now = self._monotonic()
        if self._known is not None and now < self._due:
            return self._known
        if self._fetching is None:
            if self._known is None and now < self._due:
                raise DependencyDown(f"login {self._name}: no metadata yet")
            self._fetching = asyncio.create_task(self._fetched(), name=f"metadata of {self._name}")
            self._fetching.add_done_callback(lambda done: done.cancelled() or done.exception())  # told to whoever waits
        return await asyncio.shield(self._fetching)

    async def close(self) -> None:
        """What is being fetched comes to its end: a login of before a reload may wait for it."""
        if self._fetching is not None:
            await asyncio.gather(self._fetching, return_exceptions=True)

    async def _fetched(self) -> Metadata:
        try:
            answer = await self._asking.get(openid_url(self._model.issuer))
            if answer.status != 200:
                raise DependencyDown(f"login {self._name}: the metadata was answered {answer.status}")
            self._known = read(self._name, self._model, answer.body)
            self._read = self._monotonic()
            self._due = self._read + FRESH
            return self._known
        except DependencyDown:
            self._due = self._monotonic() + RETRY
            if self._known is not None and self._monotonic() - self._read < STALE:
                return self._known
            raise
        finally:
            self._fetching = None


def read(name: str, model: LoginProvider, raw: bytes) -> Metadata:
    """Raises DependencyDown for what is another issuer's, or names no usable endpoints (Discovery 4.3)."""
    try:
        found = strict_json.loads(raw)
    except ValueError as error:
        raise DependencyDown(f"login {name}: the metadata is not JSON") from error
    if not isinstance(found, dict) or found.get("issuer") != model.issuer:
        raise DependencyDown(f"login {name}: the metadata is another issuer's")
    urls = {each: _url(name, model, found, each) for each in (*ENDPOINTS, *OPTIONAL)}
    if missing := [each for each in ENDPOINTS if urls[each] is None]:
        raise DependencyDown(f"login {name}: the metadata has no {missing[0]}")
    return Metadata(
        authorization=urls["authorization_endpoint"] or "",
        token=urls["token_endpoint"] or "",
        userinfo=urls["userinfo_endpoint"],
        end_session=urls["end_session_endpoint"],
        says_iss=found.get("authorization_response_iss_parameter_supported") is True,
    )


def _url(name: str, model: LoginProvider, found: Mapping[str, Any], member: str) -> str | None:
    url = found.get(member)
    if url is None:
        return None
    try:
        check_url(url if isinstance(url, str) else "", model.allow_plaintext)
    except ValueError as error:
        raise DependencyDown(f"login {name}: {member}: {error}") from error
    return str(url)
