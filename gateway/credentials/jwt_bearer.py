"""A token for a statement the gateway signs: the JWT bearer grant (RFC 7523 2.1)."""

import secrets
from typing import Any, Final

from gateway.core.decision import Permit
from gateway.core.message import Outbound
from gateway.core.ports import Clock
from gateway.credentials.assertion import LIFE, Signer
from gateway.credentials.client_credentials import asked
from gateway.credentials.endpoint import TokenEndpoint
from gateway.credentials.oauth_model import JwtBearer
from gateway.credentials.token import Fresh, Wanted

GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class JwtBearerRecipe:
    """One token for every request."""

    def __init__(self, model: JwtBearer, endpoint: TokenEndpoint, signer: Signer, clock: Clock) -> None:
        self._endpoint = endpoint
        self._signer = signer
        self._clock = clock
        self._said = {"iss": model.issuer, "sub": model.subject, "aud": model.audience or endpoint.url}
        self._parameters = asked(model.scope, (), model.resource)
        self._wanted = Wanted("", self._mint)

    def __call__(self, outbound: Outbound, permit: Permit) -> Wanted:
        return self._wanted

    async def _mint(self) -> Fresh:
        return await self._endpoint.ask([("grant_type", GRANT), ("assertion", self._signer(self._claims())), *self._parameters])

    def _claims(self) -> dict[str, Any]:
        now = int(self._clock.now())
        return {**self._said, "iat": now, "exp": now + LIFE, "jti": secrets.token_urlsafe(16)}
