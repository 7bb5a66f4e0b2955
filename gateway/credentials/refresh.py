"""Access tokens from one stored refresh token that stays the same (RFC 6749 6).

A server that answers with another refresh token rotates them: the next refresh with the stored one is taken for theft (RFC 9700
4.14.2), and there is nowhere here to keep the new one. Such a server's tokens belong into a store of grants.
"""

from typing import Final

from gateway.core.decision import Permit
from gateway.core.errors import DependencyDown
from gateway.core.message import Outbound
from gateway.core.ports import SecretSource
from gateway.credentials.answer import granted, successful
from gateway.credentials.client import text
from gateway.credentials.client_credentials import asked
from gateway.credentials.endpoint import TokenEndpoint
from gateway.credentials.oauth_model import RefreshToken
from gateway.credentials.token import Fresh, Wanted

ROTATES: Final = (
    "the server rotates refresh tokens, which a configured secret cannot follow: "
    "store it as a grant, or have the server issue one that stays"
)


class RefreshTokenRecipe:
    """One token for every request."""

    def __init__(self, model: RefreshToken, endpoint: TokenEndpoint, source: SecretSource) -> None:
        self._endpoint = endpoint
        self._source = source
        self._parameters = asked(model.scope, (), model.resource)
        self._wanted = Wanted("", self._mint)

    def __call__(self, outbound: Outbound, permit: Permit) -> Wanted:
        return self._wanted

    async def _mint(self) -> Fresh:
        stored = text(self._source)
        answer = await self._endpoint.form([("grant_type", "refresh_token"), ("refresh_token", stored), *self._parameters])
        given = successful(answer, self._endpoint.host).get("refresh_token")
        if given is not None and given != stored:
            raise DependencyDown(f"{self._endpoint.host}: {ROTATES}")
        return granted(answer, self._endpoint.host)
