"""A token for the asking principal: token exchange (RFC 8693), so that the upstream sees the human behind the request.

The subject token is the JWT by which this very request was authenticated. It is read from the request and kept nowhere: a minted
token is found again by a keyed fingerprint of it, together with who presented it.
"""

import hashlib
from functools import partial
from typing import Final

from gateway.core.decision import Permit
from gateway.core.errors import DependencyDown, Ungranted
from gateway.core.message import Outbound
from gateway.core.ports import Clock
from gateway.core.secret import Secret
from gateway.credentials.answer import granted, successful
from gateway.credentials.client_credentials import asked
from gateway.credentials.endpoint import TokenEndpoint
from gateway.credentials.oauth_model import TokenExchange
from gateway.credentials.token import Fresh, Wanted

GRANT: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
TYPE: Final = "urn:ietf:params:oauth:token-type:"
REFUSALS: Final = frozenset(
    (
        "invalid_request",
        "invalid_grant",
        "invalid_target",
        "invalid_scope",
        "access_denied",
        "consent_required",
        "interaction_required",
    )
)
"""Error codes that say something about this subject (RFC 8693 2.2.2): others say something about us, or the server."""
SCHEME: Final = b"bearer "


class TokenExchangeRecipe:
    """A token for each principal and token presented. Not for requests that were authenticated otherwise than by a JWT."""

    def __init__(self, model: TokenExchange, endpoint: TokenEndpoint, clock: Clock, key: bytes) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._key = key
        self._wanted_type = TYPE + model.requested_token_type
        self._parameters = [
            ("grant_type", GRANT),
            ("subject_token_type", TYPE + model.subject_token_type),
            ("requested_token_type", self._wanted_type),
            *asked(model.scope, model.audience, model.resource),
        ]

    def __call__(self, outbound: Outbound, permit: Permit) -> Wanted:
        presented = presented_jwt(permit)
        principal = permit.principal
        key = principal.key, hashlib.blake2b(presented, digest_size=16, key=self._key).digest()
        who = principal.issuer, principal.id
        return Wanted(key, partial(self._mint, Secret(presented), principal.expires), who=who)

    async def _mint(self, presented: Secret, expires: float | None) -> Fresh:
        left = None if expires is None else expires - self._clock.now()
        if left is not None and left <= 0:
            raise Ungranted("the presented token has expired")
        answer = await self._endpoint.form([*self._parameters, ("subject_token", presented.reveal().decode("ascii"))])
        fresh = granted(answer, self._endpoint.host, REFUSALS)
        issued = successful(answer, self._endpoint.host).get("issued_token_type")
        if issued is not None and issued not in (self._wanted_type, TYPE + "access_token"):
            raise DependencyDown(f"{self._endpoint.host}: a token of another type than was asked for")
        return fresh if left is None else fresh._replace(lifetime=min(fresh.lifetime, left))


def presented_jwt(permit: Permit) -> bytes:
    """The JWT that authenticated a request. Raises Ungranted where it was something else, or came in a cookie."""
    if permit.principal.scheme != "jwt":
        raise Ungranted(f"token exchange needs a presented JWT, not {permit.principal.scheme}")
    value = permit.access.request.head.fields.get(b"authorization", b"")
    token = value[len(SCHEME) :].strip(b" ")
    if value[: len(SCHEME)].lower() != SCHEME or token.count(b".") != 2 or not token.isascii():
        raise Ungranted("token exchange needs a JWT presented as bearer")
    return token
