"""The examples of the standards that tokens follow, byte for byte: what they call right is right here, and only that."""

import base64
import json
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.authn import jwk
from gateway.authn.dpop import Proofs
from gateway.authn.dpop_model import Dpop
from gateway.authn.gate import Gate
from gateway.authn.thumbprint import members, thumbprint
from gateway.authn.token import Malformed, Token
from gateway.core.errors import Unauthenticated
from gateway.store.once import MemoryOnce
from tests.fakes import CountingMetrics
from tests.issuer import JWKS_URL, FixedSecret, FrozenClock, ScriptedFetch, answer, authentication, bearer, grant, jwks, request

JOE: Final = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
"""The claims of RFC 7515 A.1 to A.3: issuer joe, until 1300819380."""
EXPIRES: Final = 1300819380.0
SECRET: Final = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
A1: Final = f"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{JOE}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
A2: Final = (
    f"eyJhbGciOiJSUzI1NiJ9.{JOE}."
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9"
    "uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB"
    "_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rq"
    "Vt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
)
A2_KEY: Final = {
    "kty": "RSA",
    "n": (
        "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yR"
        "T-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXB"
        "dQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9ia"
        "GNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
    ),
    "e": "AQAB",
}
A3: Final = f"eyJhbGciOiJFUzI1NiJ9.{JOE}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
A3_KEY: Final = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
A4: Final = (
    "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2"
    "SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXo"
    "lLzeO_Jn"
)
A4_KEY: Final = {
    "kty": "EC",
    "crv": "P-521",
    "x": "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
    "y": "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2",
}
A5: Final = f"eyJhbGciOiJub25lIn0.{JOE}."
RFC8037: Final = (
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6"
    "dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)
RFC8037_KEY: Final = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
RFC7638_KEY: Final = {
    "kty": "RSA",
    "n": (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjB"
        "ZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8"
        "KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_"
        "xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    ),
    "e": "AQAB",
    "alg": "RS256",
    "kid": "2011-04-29",
}
DPOP_HEAD: Final = (
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZ"
    "OXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIs"
    "ImNydiI6IlAtMjU2In19"
)
"""The header of every proof in RFC 9449: ES256 and one P-256 key."""
REFRESH_PROOF: Final = (
    f"{DPOP_HEAD}."
    "eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rv"
    "a2VuIiwiaWF0IjoxNTYyMjY1Mjk2fQ.pAqut2IRDm_De6PR93SYmGBPXpwrAk90e8cP2hjiaG5QsGSuKDYW7_X620BxqhvYC8ynr"
    "rvZLTk41mSRroapUA"
)
"""RFC 9449 5, of a refresh: POST https://server.example.com/token at 1562265296."""
TOKEN_PROOF: Final = (
    f"{DPOP_HEAD}."
    "eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rv"
    "a2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNy"
    "JK70nfbV37xRZT3Lg"
)
"""RFC 9449 4.1 and 5: POST https://server.example.com/token at 1562262616."""
RESOURCE_PROOF: Final = (
    f"{DPOP_HEAD}."
    "eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9w"
    "cm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlp"
    "S0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJp"
    "LjA"
)
"""RFC 9449 7.1: GET https://resource.example.org/protectedresource at 1562262618, with the example's access token."""
PROVED: Final = 1562262618.0


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def verifies(token: str, key: dict[str, Any], change: bytes = b"") -> bool:
    """Whether that key verifies a signature as it stands, with `change` in what is signed."""
    head, payload, signature = token.split(".")
    algorithm = json.loads(decode(head))["alg"]
    return jwk.parse(jwks(key)).keys[0].verifies(algorithm, f"{head}.{payload}".encode() + change, decode(signature))


def gate(now: float, key: dict[str, Any] | None) -> Gate:
    """A way in for tokens of joe; without a key, of the shared secret of A.1."""
    entry: dict[str, Any] = {"issuer": "joe", "audience": "none", "subject": "iss", "leeway": "0s"}
    if key is None:
        entry |= {"secret": {"env": "SECRET"}, "algorithms": ["HS256"]}
    else:
        entry |= {"jwks": {"url": JWKS_URL}, "algorithms": ["RS256", "ES256", "ES512"]}
    made = authentication(
        {"jwt": {"joe": entry}},
        fetch=ScriptedFetch({JWKS_URL: answer(jwks(key or A2_KEY))}),
        clock=FrozenClock(now),
        secrets=lambda reference: FixedSecret(decode(SECRET)),
    )
    return made.gate(("jwt.joe",), anonymous=False, grant=grant)


@pytest.mark.parametrize(("token", "key"), [(A1, None), (A2, A2_KEY), (A3, A3_KEY)], ids=["A.1 HS256", "A.2 RS256", "A.3 ES256"])
async def test_the_tokens_of_rfc_7515_are_good_until_they_expire(token: str, key: dict[str, Any] | None) -> None:
    assert (await gate(EXPIRES - 1, key).authenticate(request(bearer(token)))).id == "joe"
    for bad, now in ((token, EXPIRES), (token[:-9] + "AAAAAAAAA", EXPIRES - 1), (A5, EXPIRES - 1)):
        with pytest.raises(Unauthenticated):
            await gate(now, key).authenticate(request(bearer(bad)))


@pytest.mark.parametrize(("token", "key"), [(A4, A4_KEY), (RFC8037, RFC8037_KEY)], ids=["RFC 7515 A.4 ES512", "RFC 8037 A.4 EdDSA"])
def test_signatures_over_what_are_no_claims_verify_and_make_no_token(token: str, key: dict[str, Any]) -> None:
    assert verifies(token, key)
    assert not verifies(token, key, b"x")
    with pytest.raises(Malformed):
        Token(token.encode(), 8192)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (RFC7638_KEY, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
        (RFC8037_KEY, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
    ],
    ids=["RFC 7638 3.1", "RFC 8037 A.3"],
)
def test_the_thumbprints_of_the_standards(key: dict[str, Any], expected: str) -> None:
    assert thumbprint(members(key)) == expected
    assert thumbprint(members(dict(reversed(key.items())))) == expected
    assert thumbprint(members(key | {"x5t": "more", "use": "sig"})) == expected


def published(vectors: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((vectors / "oauth" / "rfc9449_dpop.json").read_bytes())
    return found


def proofs(now: float) -> Proofs:
    clock = FrozenClock(now)
    return Proofs(Dpop(), MemoryOnce(clock, CountingMetrics()), None, clock)


async def test_the_proof_of_rfc_9449_is_good_once_at_its_time_for_its_request(vectors: Path) -> None:
    example = published(vectors)
    assert thumbprint(members(example["jwk"])) == example["jkt"]
    asked = request((b"dpop", RESOURCE_PROOF.encode()), host="resource.example.org", path="/protectedresource")
    token, jkt = example["access_token"].encode(), example["jkt"]
    judged = proofs(PROVED)
    await judged.check(asked, token, jkt)
    elsewhere = request((b"dpop", RESOURCE_PROOF.encode()), host="resource.example.org", path="/another")
    written = request((b"dpop", RESOURCE_PROOF.encode()), host="resource.example.org", path="/protectedresource", method="POST")
    for now, sent, shown, wrong in (
        (PROVED, elsewhere, token, "another URL"),
        (PROVED, written, token, "another method"),
        (PROVED, asked, token + b"x", "another token"),
        (PROVED + 3600, asked, token, "too old"),
        (PROVED - 3600, asked, token, "not yet valid"),
    ):
        with pytest.raises(Unauthenticated) as caught:
            await proofs(now).check(sent, shown, jkt)
        assert wrong in caught.value.detail
    with pytest.raises(Unauthenticated, match="used before"):
        await judged.check(asked, token, jkt)


@pytest.mark.parametrize(("proof", "now"), [(TOKEN_PROOF, 1562262616.0), (REFRESH_PROOF, 1562265296.0)], ids=["code", "refresh"])
async def test_the_proofs_of_rfc_9449_for_a_token_endpoint_open_no_resource(vectors: Path, proof: str, now: float) -> None:
    """Their signatures are right; they name no access token, so that even at the URL they are for they prove nothing of one."""
    example = published(vectors)
    assert verifies(proof, example["jwk"])
    assert not verifies(proof, example["jwk"], b"x")
    asked = request((b"dpop", proof.encode()), host="server.example.com", path="/token", method="POST")
    with pytest.raises(Unauthenticated, match="another token"):
        await proofs(now).check(asked, example["access_token"].encode(), example["jkt"])
