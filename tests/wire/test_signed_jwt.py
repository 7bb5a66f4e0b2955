"""A token of the gateway's own reaches an upstream that trusts nothing but the keys published on the listener."""

import json
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.house import house

KEY = ec.generate_private_key(ec.SECP256R1()).private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
IDENTITY = {
    "inject": "signed_jwt",
    "issuer": "https://gateway.example.com",
    "audience": "https://orders.internal",
    "keys": [{"env": "JWT_KEY"}],
    "claims": ["roles"],
}


async def test_an_internal_upstream_verifies_who_asks_by_the_published_keys(tmp_path: Path) -> None:
    internal = {"internal": True}
    async with house(tmp_path, credentials={"bot": IDENTITY}, upstream=internal, environ={"JWT_KEY": KEY.decode()}) as gateway:
        for name in ("alice", "bob", "alice"):
            assert (await gateway.get("/admin/x", token=gateway.keys.token(name))).status == 200
        published = await gateway.get("/.gateway/jwks.json")
        assert (await gateway.get("/.gateway/jwks.json", method="POST")).status == 405
        events = str(await gateway.events())
    assert (published.status, published["content-type"]) == (200, "application/jwk-set+json")
    keys = jwt.PyJWKSet(json.loads(published.body)["keys"])
    tokens = [seen.all("authorization")[0].removeprefix("Bearer ") for seen in gateway.upstream.seen]
    subjects = []
    for token in tokens:
        key = keys[jwt.get_unverified_header(token)["kid"]]
        said = jwt.decode(
            token, key, algorithms=["ES256"], audience="https://orders.internal", issuer="https://gateway.example.com"
        )
        subjects.append((said["sub"], said["roles"]))
        assert token not in events
    assert subjects == [("corp:alice", ["member"]), ("corp:bob", ["member"]), ("corp:alice", ["member"])]


async def test_without_such_a_credential_no_keys_are_published(tmp_path: Path) -> None:
    async with house(tmp_path) as gateway:
        assert (await gateway.get("/.gateway/jwks.json")).status == 404
