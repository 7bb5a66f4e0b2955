"""A login on its way: a browser is sent to a provider and comes back with a code (OpenID Connect Core 3.1, RFC 9700 2.1, 4.4, 4.7).

What has to be known when it comes back lies with this browser (`pending`), good once and for ten minutes: the provider, `state`,
`nonce`, the PKCE verifier, and where to go then. Nothing is kept here for those who never come back.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, final
from urllib.parse import urlencode

from gateway.authn.login.pending import SECONDS, Held, PendingLogins, Wish, invalid
from gateway.authn.login.provider import Login, Provider
from gateway.authn.login.turns import Turns
from gateway.core.errors import Theft, Unauthenticated
from gateway.core.message import Field
from gateway.core.ports import CLOCKS, Once

MOST_TOLD: Final = 200
CODE: Final = re.compile(r"[ -~]{1,4096}")
"""RFC 6749 A.11."""


@final
class Flow:
    """Begins and completes logins. `redirects` are the exact redirect URIs, one for each provider: an answer of one provider that
    comes by another's way is known by that (RFC 9700 4.4.2)."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        redirects: Mapping[str, str],
        *,
        pending: PendingLogins,
        once: Once,
    ) -> None:
        self.pending = pending
        self._providers = providers
        self._redirects = redirects
        self._turns = {name: Turns() for name in providers}
        self._once = once

    async def begin(self, wish: Wish, sent: Held) -> tuple[str, list[Field]]:
        """Where to send the browser, and the fields with the cookie that it shall bring back. Raises DependencyDown."""
        provider = self._providers[wish.provider]
        model = provider.model
        pending, kept = self.pending.begin(wish, sent)
        asked = {
            "response_type": "code",
            "client_id": model.client_id,
            "redirect_uri": self._redirects[wish.provider],
            "scope": " ".join(model.scopes),
            "state": pending.state,
            "nonce": pending.nonce,
            "code_challenge": challenge(pending.verifier),
            "code_challenge_method": "S256",
        }
        if acr := wish.acr_values or tuple(model.acr_values):
            asked["acr_values"] = " ".join(acr)
        if ages := [age for age in (wish.max_age, model.max_age) if age is not None]:
            asked["max_age"] = str(int(min(ages)))
        if model.prompt is not None:
            asked["prompt"] = model.prompt
        return await provider.entrance(asked), kept

    async def complete(self, name: str, query: Mapping[str, Sequence[str]], sent: Held) -> tuple[Wish, Login]:
        """What came back to the provider's redirect URI. Raises BadRequest state-invalid where this browser began no such login,
        Unauthenticated where the provider or its answer refuses it, DependencyDown, and Unavailable for too many at once.
        Nothing is remembered of what brings no code.
        """
        given = {key: values[0] for key, values in query.items()}
        if any(len(values) > 1 for values in query.values()):
            raise invalid("a parameter came twice")
        pending = self.pending.of(state := given.get("state", ""), sent)
        if not hmac.compare_digest(state.encode(), pending.state.encode()) or pending.wish.provider != name:
            raise invalid("another login's state")
        provider = self._providers[name]
        await self._check_issuer(provider, given.get("iss"))
        if "error" in given:
            raise told(name, given)
        if not CODE.fullmatch(given.get("code", "")):
            raise invalid("no code")
        async with self._turns[name]:
            if not await self._once.first(f"login:{pending.state}", SECONDS + CLOCKS):
                replayed = invalid("used before")
                replayed.theft = Theft("token.replayed", name)
                raise replayed
            login = await provider.exchanged(
                given["code"], verifier=pending.verifier, nonce=pending.nonce, redirect_uri=self._redirects[name]
            )
        provider.signed.check_strength(login.claims, pending.wish.acr_values, pending.wish.max_age)
        return pending.wish, login

    async def _check_issuer(self, provider: Provider, iss: str | None) -> None:
        """RFC 9207 2.4: who says that it names itself must, and a name that is another's is an attack (mix-up)."""
        if iss is None and (await provider.discovery.current()).says_iss:
            raise invalid("the provider names itself in its answers, and this one does not")
        if iss is not None and iss != provider.model.issuer:
            raise invalid("the answer is another provider's")


def challenge(verifier: str) -> str:
    """RFC 7636 4.2, S256."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode("ascii")).digest()).rstrip(b"=").decode("ascii")


def told(name: str, given: Mapping[str, str]) -> Unauthenticated:
    """The provider's own refusal (RFC 6749 4.1.2.1), told to the person it is about: visible ASCII, of bounded length, as JSON.

    Who cancels a login that this browser began presents nothing: that state was sealed by us is proved."""
    members: dict[str, Any] = {"provider": name, "provider_error": visible(given["error"])[:64]}
    if "error_description" in given:
        members["provider_error_description"] = visible(given["error_description"])[:MOST_TOLD]
    return Unauthenticated(f"login {name}: the provider refused: {members['provider_error']}", members=members, genuine=True)


def visible(text: str) -> str:
    """RFC 6749 4.1.2.1 allows no others; what could be markup is none either."""
    return "".join(character for character in text if " " <= character <= "~" and character not in "<>&\"'\\")


def ended(url: str, *, client_id: str, back: str, id_token: str | None) -> str:
    """Where the browser is sent to end the provider's own session (RP-Initiated Logout 2)."""
    asked = {"client_id": client_id, "post_logout_redirect_uri": back}
    if id_token is not None:
        asked["id_token_hint"] = id_token
    return f"{url}{'&' if '?' in url else '?'}{urlencode(asked)}"
