"""Wycheproof's JWS and JWK vectors: nothing that they call invalid verifies; what is refused beyond that is named with the reason."""

import base64
import json
from pathlib import Path
from typing import Any, Final

from gateway.authn import jwk
from gateway.authn.token import COMPACT, REFUSED_HEADERS, Malformed, _decode, _object

VECTORS: Final = json.loads((Path(__file__).parent / "wycheproof_jose.json").read_bytes())
PRIVATE: Final = {"d", "p", "q", "dp", "dq", "qi"}
STRICTER: Final = {
    259: "empty payload", 264: "empty payload", 268: "empty payload", 272: "empty payload", 320: "empty payload", 325: "empty payload",
    346: "the key says PS256, the token PS384", 350: "the key says PS256, the token PS384",
    347: "the key says ES521, which is no algorithm", 351: "the key says ES521, which is no algorithm",
    372: "a character that is not base64url", 373: "a character that is not base64url",
}  # fmt: skip
MISLABELLED: Final = {367, 370}
"""Byte for byte a correct token, the same as the one that 372 and 373 say decodes leniently: no padding is in it."""

SYMMETRIC: Final = 2
"""A set that was published with shared secrets in it: we take none from there."""
KEYS: Final = 26


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def key_set(group: dict[str, Any]) -> jwk.KeySet | None:
    """As an issuer's configuration would give it: a lone symmetric key is a shared secret, anything else is published."""
    found = group.get("public") or group["private"]
    keys = found.get("keys", [found])
    if len(keys) == 1 and keys[0]["kty"] == "oct":
        key, secret = keys[0], decode(keys[0]["k"])
        algorithm = key.get("alg", "HS256")
        if key.get("use", "sig") != "sig" or len(secret) < {"HS256": 32, "HS384": 48, "HS512": 64}.get(algorithm, 1 << 20):
            return None
        return jwk.KeySet((jwk.Key(key.get("kid"), frozenset({algorithm}), secret),))
    try:
        return jwk.parse(json.dumps({"keys": [{n: v for n, v in key.items() if n not in PRIVATE} for key in keys]}).encode())
    except ValueError:
        return None


def verifies(jws: Any, keys: jwk.KeySet | None) -> bool:
    parts = COMPACT.fullmatch(jws.encode()) if isinstance(jws, str) else None
    if parts is None or keys is None:
        return False
    try:
        head, _, signature = _object(_decode(parts[1]), "header"), _decode(parts[2]), _decode(parts[3])
    except Malformed:
        return False
    if not REFUSED_HEADERS.keys().isdisjoint(head):
        return False
    return any(
        key.verifies(head.get("alg", ""), jws.encode()[: parts.end(2)], signature)
        for key in keys.candidates(head.get("alg", ""), head.get("kid"))
    )


def wrongly_judged(name: str, expected: dict[int, bool]) -> list[tuple[int, str]]:
    """Tests whose outcome is neither the published one nor, where it is stricter on purpose, `expected`."""
    cases = [(group, case) for group in VECTORS[name] for case in group["tests"]]
    return [
        (case["tcId"], case["comment"])
        for group, case in cases
        if verifies(case["jws"], key_set(group)) is not expected.get(case["tcId"], case["result"] == "valid")
    ]


def test_wycheproofs_signatures() -> None:
    expected = dict.fromkeys(STRICTER, False) | dict.fromkeys(MISLABELLED, True)
    assert sum(len(group["tests"]) for group in VECTORS["json_web_signature_test"]) == 401
    assert not wrongly_judged("json_web_signature_test", expected)


def test_wycheproofs_keys() -> None:
    assert sum(len(group["tests"]) for group in VECTORS["json_web_key_test"]) == KEYS
    assert not wrongly_judged("json_web_key_test", {SYMMETRIC: False})
