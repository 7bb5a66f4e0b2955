"""One configured OpenID provider: where a browser is sent, and what is asked behind its back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final
from urllib.parse import urlencode, urlsplit

from gateway.authn import key_sources, strict_json
from gateway.authn.jwks import PublishedKeys
from gateway.authn.jwks_model import Jwks
from gateway.authn.login.asking import Asking
from gateway.authn.login.id_token import SignedTokens
from gateway.authn.login.metadata import Discovery
from gateway.authn.login.model import LoginProvider
from gateway.core.errors import DependencyDown, Unauthenticated
from gateway.core.ports import Clock, Fetch, Fetched, Metrics, SecretSource

KEPT: Final = ("iss", "sub", "aud", "azp", "nonce", "auth_time", "acr", "amr", "sid")
"""Claims that are the login's own and stay where a refresh tells only of the person."""
MAX_TOKEN: Final = 16 * 1024
REFUSALS: Final = frozenset({"invalid_grant", "access_denied", "unauthorized_client", "interaction_required", "login_required"})


class Refused(Exception):
    """The provider says that this login is over."""


@dataclass(frozen=True, slots=True)
class Login:
    """What a provider gave for a code or a refresh token. `id_token` is kept only where a logout has to show it."""

    claims: dict[str, Any]
    refresh_token: str | None
    id_token: str | None


@final
class Provider:
    """Speaks with one provider."""

    def __init__(
        self, name: str, model: LoginProvider, secret: SecretSource | None, fetch: Fetch, clock: Clock, metrics: Metrics
    ) -> None:
        self.name = name
        self.model = model
        self._asking = Asking(model, secret, fetch)
        stated = model.endpoints
        jwks = Jwks.model_construct(
            url=stated.jwks if stated is not None else None,
            discovery=stated is None,
            allow_plaintext=model.allow_plaintext,
            allow_private=model.allow_private,
            ca=model.ca,
        )
        self.keys = PublishedKeys(name, key_sources.build(model.issuer, jwks, fetch), clock, metrics)
        self.discovery = Discovery(name, model, self._asking, clock)
        self.signed = SignedTokens(name, model, self.keys, clock)

    async def entrance(self, parameters: Mapping[str, str]) -> str:
        """Where the browser is sent to log in. Raises DependencyDown."""
        url = (await self.discovery.current()).authorization
        return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(parameters)}"

    async def exchanged(self, code: str, *, verifier: str, nonce: str, redirect_uri: str) -> Login:
        """What a code gives (RFC 6749 4.1.3, RFC 7636 4.5), judged. Raises Unauthenticated and DependencyDown."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri, "code_verifier": verifier}
        answer = await self._asking.token((await self.discovery.current()).token, form)
        found = self._granted(answer)
        if isinstance(found, str):
            raise Unauthenticated(f"login {self.name}: the provider refused the code: {found}")
        access, raw = text(found, "access_token") or "", text(found, "id_token")
        if raw is None:
            raise Unauthenticated(f"login {self.name}: no ID token")
        claims = await self.signed.login(raw, nonce=nonce, code=code, access_token=access)
        return Login(claims, text(found, "refresh_token"), raw if self.model.id_token_hint else None)

    async def refreshed(self, login: Login) -> Login:
        """The same login's claims as they are now, and the next refresh token. Raises Refused and DependencyDown."""
        form = {"grant_type": "refresh_token", "refresh_token": login.refresh_token or ""}
        found = self._granted(await self._asking.token((await self.discovery.current()).token, form))
        if isinstance(found, str):
            if found in REFUSALS:
                raise Refused(found)
            raise DependencyDown(f"login {self.name}: the refresh was answered {found}")
        raw = text(found, "id_token")
        try:
            if raw is not None:
                claims = await self.signed.refreshed(raw, login.claims)
                claims = {**{name: login.claims[name] for name in KEPT if name in login.claims}, **claims}
            else:
                claims = await self._asked(text(found, "access_token") or "", login.claims)
        except Unauthenticated as error:
            raise Refused(error.detail) from error
        hint = (raw or login.id_token) if self.model.id_token_hint else None
        return Login(claims, text(found, "refresh_token") or login.refresh_token, hint)

    async def _asked(self, access_token: str, before: Mapping[str, Any]) -> dict[str, Any]:
        """The claims of the UserInfo endpoint, for a provider whose refresh brings no ID token (OpenID Connect Core 5.3)."""
        url = (await self.discovery.current()).userinfo
        if url is None or not access_token:
            raise Refused("a refresh brings neither an ID token nor is there a UserInfo endpoint")
        answer = await self._asking.get(url, token=access_token)
        if answer.status in {401, 403}:
            raise Refused(f"UserInfo answered {answer.status}")
        if answer.status != 200:
            raise DependencyDown(f"login {self.name}: UserInfo answered {answer.status}")
        claims = members(answer)
        if claims is None or claims.get("sub") != before.get("sub"):
            raise Refused("UserInfo is about another subject")
        return {**claims, **{name: before[name] for name in KEPT if name in before}}

    def _granted(self, answer: Fetched) -> dict[str, Any] | str:
        """The members of a token answer, or the error's code where it was refused. Raises DependencyDown."""
        found = members(answer)
        if answer.status == 200 and found is not None and "error" not in found:
            if str(found.get("token_type")).lower() != "bearer":
                raise DependencyDown(f"login {self.name}: the token is not a bearer token")
            return found
        code = found.get("error") if found is not None else None
        if answer.status in {400, 401, 403} and isinstance(code, str) and code.isascii() and code.isprintable():
            return code[:64]
        raise DependencyDown(f"login {self.name}: the token endpoint answered {answer.status}")


def members(answer: Fetched) -> dict[str, Any] | None:
    """A JSON object that holds nothing strange, else None."""
    try:
        found = strict_json.loads(answer.body)
    except ValueError:
        return None
    return found if isinstance(found, dict) and strict_json.is_clean(found) else None


def text(found: Mapping[str, Any], name: str) -> str | None:
    """A token of an answer; None where there is none fit to be used."""
    value = found.get(name)
    fit = isinstance(value, str) and 0 < len(value) <= MAX_TOKEN and value.isascii() and value.isprintable()
    return str(value) if fit else None
