"""Attack 87 for tokens (CVE-2021-21411): each demand an issuer's entry can make has a token that only it refuses."""

from typing import Any, Final

import pytest

from gateway.authn.model import JwtIssuer
from gateway.core.errors import Unauthenticated
from tests.issuer import (
    JWKS_URL,
    NOW,
    FixedSecret,
    RsaKey,
    ScriptedFetch,
    answer,
    authentication,
    bearer,
    claims,
    grant,
    issuer_model,
    jwks,
    mint,
    request,
)

KEY: Final = RsaKey()
OTHERS_URL: Final = "https://other.example.com/jwks.json"
BUNDLE_URL: Final = "https://trust.example.com/bundle.json"
FETCH: Final = {
    JWKS_URL: answer(jwks(KEY)),
    OTHERS_URL: answer(jwks(RsaKey())),
    BUNDLE_URL: answer(jwks(KEY.jwk(use="jwt-svid"))),
}
DEMANDS: Final[dict[str, dict[str, Any]]] = {
    "issuer": {"issuer": "https://other.example.com/"},
    "audience": {"audience": ["https://other.example.com"]},
    "subject": {"subject": "email"},
    "leeway": {"leeway": "0s"},
    "required_claims": {"required_claims": ["exp", "acr"]},
    "max_bytes": {"max_bytes": 256},
    "jwks": {"jwks": {"url": OTHERS_URL}},
    "secret": {"jwks": None, "secret": {"env": "S"}, "algorithms": ["HS256"]},
    "profile": {"profile": "rfc9068"},
    "spiffe": {"spiffe": {"trust_domain": "corp.example"}, "jwks": {"url": BUNDLE_URL}},
    "kubernetes": {"kubernetes": True},
    "algorithms": {"algorithms": ["ES256"]},
    "from_": {"from": [{"cookie": "token"}]},
    "types": {"types": ["at+jwt"]},
}
DESCRIBES: Final = {"groups", "scopes", "scope_ceiling"}
"""What tells policies about somebody, and refuses nobody by itself."""
TOKEN: Final = mint(KEY, claims(exp=int(NOW) - 10))


async def accepted(**entry: Any) -> bool:
    made = authentication(
        {"jwt": {"corp": issuer_model(**entry)}},
        fetch=ScriptedFetch(FETCH),
        secrets=lambda reference: FixedSecret(b"0123456789abcdefghijklmnopqrstuvwxyz"),
    )
    try:
        await made.gate(("jwt.corp",), anonymous=False, grant=grant).authenticate(request(bearer(TOKEN)))
    except Unauthenticated:
        return False
    return True


@pytest.mark.parametrize("option", DEMANDS)
async def test_cve_2021_21411_every_demand_on_tokens_can_refuse(option: str) -> None:
    assert await accepted()
    assert not await accepted(**DEMANDS[option])


def test_no_demand_is_left_out() -> None:
    assert DEMANDS.keys() | DESCRIBES == JwtIssuer.model_fields.keys()
