"""Tokens for another issuer's token: workload identity federation of OpenAI and Anthropic, and projected tokens as they are.

developers.openai.com/api/docs/guides/workload-identity-federation, platform.claude.com/docs/en/manage-claude/wif-reference
"""

import base64
from collections.abc import Mapping
from typing import Any, Final

from gateway.core.decision import Permit
from gateway.core.errors import DependencyDown
from gateway.core.message import Outbound, lines
from gateway.core.ports import Clock, SecretSource
from gateway.credentials.answer import granted, object_of
from gateway.credentials.client import text
from gateway.credentials.endpoint import TokenEndpoint
from gateway.credentials.oauth_model import Anthropic, OpenAi
from gateway.credentials.placed import field_value
from gateway.credentials.token import Fresh, Wanted

LONGEST: Final = 16 * 1024
"""Bytes of an identity token that Anthropic takes; nobody takes more."""
OAUTH: Final = "oauth-2025-04-20"
FEDERATION: Final = "oidc-federation-2026-04-01"
LOOKED_AT: Final = 60.0
"""Seconds after which a projected token is looked at again: whoever renews it does so long before its end."""


class FederationRecipe:
    """One token for every request, for an identity token that is read anew each time one is minted."""

    def __init__(
        self,
        endpoint: TokenEndpoint,
        source: SecretSource,
        member: str,
        members: Mapping[str, str],
        *,
        headers: Mapping[str, str] | None = None,
        further: bytes = b"",
    ) -> None:
        self._endpoint = endpoint
        self._source = source
        self._member = member
        self._members = members
        self._headers = headers
        self._wanted = Wanted("", self._mint, further=further)

    def __call__(self, outbound: Outbound, permit: Permit) -> Wanted:
        return self._wanted

    async def _mint(self) -> Fresh:
        members = {**self._members, self._member: identity(self._source)}
        return granted(await self._endpoint.json(members, self._headers), self._endpoint.host)


def openai(model: OpenAi, endpoint: TokenEndpoint, source: SecretSource) -> FederationRecipe:
    members = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token_type": f"urn:ietf:params:oauth:token-type:{model.token_type}",
        "identity_provider_id": model.identity_provider_id,
        "service_account_id": model.service_account_id,
    }
    return FederationRecipe(endpoint, source, "subject_token", members)


def anthropic(model: Anthropic, endpoint: TokenEndpoint, source: SecretSource) -> FederationRecipe:
    """Both the exchange and what is asked with the token say that they are OAuth."""
    members = {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "federation_rule_id": model.federation_rule_id,
        "organization_id": model.organization_id,
        "service_account_id": model.service_account_id,
    }
    if model.workspace_id is not None:
        members["workspace_id"] = model.workspace_id
    return FederationRecipe(
        endpoint,
        source,
        "assertion",
        members,
        headers={"anthropic-beta": f"{OAUTH},{FEDERATION}"},
        further=lines([(b"anthropic-beta", OAUTH.encode("ascii"))]),
    )


class ProjectedRecipe:
    """The token of a file, until its `exp`."""

    def __init__(self, source: SecretSource, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._wanted = Wanted("", self._mint)

    def __call__(self, outbound: Outbound, permit: Permit) -> Wanted:
        return self._wanted

    async def _mint(self) -> Fresh:
        token = identity(self._source)
        left = expiry(token, self._source.name) - self._clock.now()
        if left <= 0:
            raise DependencyDown(f"{self._source.name}: the token in it has expired: whoever renews it does not")
        return Fresh(field_value(token.encode("ascii")), left, due=LOOKED_AT)


def identity(source: SecretSource) -> str:
    """A JWT from where it is kept, with its line break. Raises DependencyDown."""
    token = text(source).strip()
    if len(token) > LONGEST or token.count(".") != 2 or not token.isascii():
        raise DependencyDown(f"{source.name}: a JWT of at most {LONGEST} bytes is needed")
    return token


def expiry(token: str, name: str) -> float:
    """When a JWT says that it ends, Unix time; its signature is no matter of ours. Raises DependencyDown."""
    claims = _claims(token)
    ends = claims.get("exp") if claims is not None else None
    if isinstance(ends, bool) or not isinstance(ends, int | float):
        raise DependencyDown(f"{name}: the token in it does not say when it ends")
    return float(min(ends, 1e12))


def _claims(token: str) -> dict[str, Any] | None:
    part = token.split(".")[1]
    try:
        return object_of(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except ValueError:
        return None
