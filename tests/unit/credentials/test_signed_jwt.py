"""What the gateway tells its own upstreams of a principal, and for how long."""

import hashlib
import json
from base64 import urlsafe_b64encode
from typing import Any, cast

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from pydantic import TypeAdapter

from gateway.core.decision import AccessRequest, Permit
from gateway.core.errors import DependencyDown
from gateway.core.message import NO_BODY, Outbound, Request
from gateway.core.principal import Identity, Principal
from gateway.core.secret import Secret
from gateway.credentials.model import SignedJwt
from gateway.credentials.signed_jwt import REMEMBERED, SignedJwtInjector, build
from tests.scripted import fields_of

NOW = 1_790_000_000.0


def pem(key: Any) -> bytes:
    text: bytes = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return text


KEYS = {
    "ES256": pem(ec.generate_private_key(ec.SECP256R1())),
    "EdDSA": pem(ed25519.Ed25519PrivateKey.generate()),
    "RS256": pem(rsa.generate_private_key(65537, 2048)),
}
OTHER = pem(ec.generate_private_key(ec.SECP256R1()))


class Source:
    """A secret that tests can replace."""

    name = "env:TEST"

    def __init__(self, value: bytes) -> None:
        self.secret = Secret(value)

    def current(self) -> Secret:
        return self.secret


class House:
    """An injector over replaceable keys, at a time that a test sets."""

    def __init__(self, *keys: bytes, **over: Any) -> None:
        self.now = NOW
        self.sources = [Source(key) for key in keys or (KEYS["ES256"],)]
        ordinary = {"inject": "signed_jwt", "issuer": "https://gw", "audience": "https://orders"}
        references = [{"env": f"KEY{number}"} for number in range(len(self.sources))]
        model = TypeAdapter(SignedJwt).validate_python(ordinary | {"keys": references} | over)
        self.injector: SignedJwtInjector = build("identity", model, lambda ref: self.sources[int(str(ref)[-2])], lambda: self.now)

    def token(self, principal: Principal | None = None) -> str:
        message = Outbound("GET", b"/", [], NO_BODY, cast("Request", None))
        self.injector.inject(message, Permit(principal or alice(), cast("AccessRequest", None), None))
        [value] = [value for name, value in fields_of(message) if name != b"host"]
        token = value.decode().removeprefix("Bearer ")
        assert message.secrets[0].replaced(token.encode()).startswith(b"REDACTED")
        return token

    def claims(self, token: str) -> dict[str, Any]:
        keys = jwt.PyJWKSet(self.injector.published())
        key = keys[jwt.get_unverified_header(token)["kid"]]
        options: Any = {"verify_exp": False, "verify_iat": False}
        return jwt.decode(
            token, key, algorithms=[key.algorithm_name], audience="https://orders", issuer="https://gw", options=options
        )


def alice(**over: Any) -> Principal:
    identity = Identity(id="alice", issuer="corp", scheme="jwt", claims={"email": "a@b.c", "admin": True}, **over)
    return Principal(identity, roles=("member",), permissions=("things:use",))


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_token_says_who_asks_and_is_verified_with_the_published_key(algorithm: str) -> None:
    house = House(
        KEYS[algorithm], algorithm=algorithm, claims=["roles", "permissions"], token_claims=["email", "phone"], actor="gw"
    )
    claims = house.claims(house.token())
    assert claims.pop("jti")
    assert claims == {
        "iss": "https://gw",
        "sub": "corp:alice",
        "aud": "https://orders",
        "iat": int(NOW),
        "exp": int(NOW) + 60,
        "roles": ["member"],
        "permissions": ["things:use"],
        "email": "a@b.c",
        "act": {"sub": "gw"},
    }
    assert all("d" not in key for key in house.injector.published())


def test_a_token_is_used_again_for_half_of_its_life() -> None:
    house, principal = House(), alice()
    first = house.token(principal)
    house.now += 29
    assert house.token(principal) == first
    house.now += 1
    assert house.token(principal) != first


def test_another_credential_of_the_same_principal_has_a_token_of_its_own() -> None:
    house = House(claims=["scopes"])
    first, second = house.token(alice(scopes=("read",))), house.token(alice(scopes=("write",)))
    assert [house.claims(token)["scopes"] for token in (first, second)] == [["read"], ["write"]]


def test_a_token_never_outlives_the_credential_that_it_speaks_of() -> None:
    house = House(lifetime="15m")
    assert house.claims(house.token(alice(expires=NOW + 20)))["exp"] == int(NOW) + 20


def test_a_replaced_key_signs_at_once_and_the_one_before_is_published_as_long_as_it_is_listed() -> None:
    house = House(KEYS["ES256"], OTHER)
    principal = alice()
    old = house.token(principal)
    assert len(house.injector.published()) == 2
    house.sources[0].secret, house.sources[1].secret = Secret(OTHER), Secret(KEYS["ES256"])
    new = house.token(principal)
    assert jwt.get_unverified_header(new)["kid"] != jwt.get_unverified_header(old)["kid"]
    assert house.claims(old)["sub"] == house.claims(new)["sub"]


def test_a_key_that_breaks_is_an_outage_and_not_told() -> None:
    house = House()
    house.sources[0].secret = Secret(b"canary")
    with pytest.raises(DependencyDown) as caught:
        house.token()
    assert "canary" not in caught.value.detail


def test_what_is_remembered_is_bounded() -> None:
    house = House(KEYS["EdDSA"], algorithm="EdDSA")
    kept = house.injector._kept
    kept.update({str(number): cast("Any", None) for number in range(REMEMBERED)})
    house.token()
    assert len(kept) == REMEMBERED
    assert "0" not in kept


def test_a_token_that_no_header_carries_is_refused() -> None:
    house = House(token_claims=["email"])
    principal = alice()
    principal.claims = {"email": "x" * 9000}
    with pytest.raises(DependencyDown, match="longer than"):
        house.token(principal)


def test_another_field_has_the_token_alone() -> None:
    house = House(header="X-Identity")
    assert house.injector.sets == {b"x-identity"}
    assert house.token().count(".") == 2


@pytest.mark.parametrize(
    ("keys", "over", "wrong"),
    [
        ((b"canary",), {}, "private key in PEM"),
        ((KEYS["RS256"],), {}, "EC key on P-256"),
        ((KEYS["ES256"], KEYS["ES256"]), {}, "twice"),
        ((KEYS["ES256"],), {"token_claims": ["sub", "email"]}, "only the gateway states sub"),
    ],
)
def test_what_cannot_be_signed_is_refused_at_load(keys: tuple[bytes, ...], over: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong) as caught:
        House(*keys, **over)
    assert "canary" not in str(caught.value)


def test_the_thumbprint_is_that_of_rfc_7638() -> None:
    """Recomputed from the published members, sorted and without blanks."""
    [key] = House().injector.published()
    members = {name: key[name] for name in ("crv", "kty", "x", "y")}
    digest = hashlib.sha256(json.dumps(members, sort_keys=True, separators=(",", ":")).encode()).digest()
    assert key["kid"] == urlsafe_b64encode(digest).rstrip(b"=").decode()
