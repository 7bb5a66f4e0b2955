"""Which published keys are used, and for which algorithms."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authn import jwk
from tests.issuer import EcKey, EdKey, RsaKey, SharedKey, b64, jwks, number

ALL_RSA = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}


def roca_modulus() -> int:
    """A number of the ROCA shape (CVE-2017-15361): a power of 65537 modulo the product of the first 126 primes."""
    primes = [candidate for candidate in range(2, 702) if all(candidate % divisor for divisor in range(2, candidate))]
    product = 1
    for prime in primes:
        product *= prime
    return (2**2047 // product + 1) * product + pow(65537, 12345, product)


def one(key: dict[str, Any]) -> jwk.Key:
    return jwk.parse(jwks(key)).keys[0]


def test_each_kind_of_key_verifies_with_its_own_algorithms_only(rsa_key: RsaKey, ec_key: EcKey, ed_key: EdKey) -> None:
    found = jwk.parse(jwks(rsa_key, ec_key, ed_key))
    assert [key.algorithms for key in found.keys] == [ALL_RSA, {"ES256"}, {"EdDSA"}]
    pairs: list[RsaKey | EcKey | EdKey] = [rsa_key, ec_key, ed_key]
    for key, pair in zip(found.keys, pairs, strict=True):
        signature = pair.sign(b"message")
        assert key.verifies(pair.algorithm, b"message", signature)
        assert not key.verifies(pair.algorithm, b"another", signature)
        assert not key.verifies("HS256", b"message", signature)
        assert not key.verifies("none", b"message", b"")


def test_the_keys_own_alg_narrows_what_it_is_for(rsa_key: RsaKey) -> None:
    assert one(rsa_key.jwk(alg="PS512")).algorithms == {"PS512"}


def changed(**more: Any) -> Any:
    return lambda key: {name: value for name, value in key.jwk(**more).items() if value is not None}


@pytest.mark.parametrize(
    ("kind", "change", "reason"),
    [
        pytest.param("rsa", changed(use="enc"), "`use`", id="for encryption"),
        pytest.param("rsa", changed(key_ops=["sign"]), "`key_ops`", id="for signing"),
        pytest.param("rsa", changed(key_ops="verify"), "`key_ops`", id="operations are no list"),
        pytest.param("rsa", changed(key_ops=[]), "`key_ops`", id="for no operation"),
        pytest.param("rsa", changed(key_ops=["encrypt", "wrapKey"]), "`key_ops`", id="operations of encryption"),
        pytest.param("rsa", changed(use="sig", key_ops=["encrypt"]), "`key_ops`", id="use and operations differ"),
        pytest.param("rsa", changed(use="enc", key_ops=["verify"]), "`use`", id="operations and use differ"),
        pytest.param("rsa", changed(use="SIG"), "`use`", id="another spelling of use"),
        pytest.param("rsa", changed(use=["sig"]), "`use`", id="use is a list"),
        pytest.param("ec", changed(use="enc"), "`use`", id="EC for encryption"),
        pytest.param("ec", changed(key_ops=["deriveKey"]), "`key_ops`", id="EC for key agreement"),
        pytest.param("ed", changed(use="enc"), "`use`", id="Ed25519 for encryption"),
        pytest.param("rsa", changed(alg="HS256"), "`alg`", id="RSA key said to be for HMAC"),
        pytest.param("rsa", changed(alg="ES256"), "`alg`", id="RSA key said to be for ECDSA"),
        pytest.param("rsa", changed(alg=1), "not a string", id="alg is a number"),
        pytest.param("rsa", changed(kid=1), "`kid`", id="kid is a number"),
        pytest.param("rsa", changed(d="AQAB"), "private", id="private key"),
        pytest.param("rsa", changed(k="AQAB"), "symmetric", id="with a symmetric part"),
        pytest.param("rsa", changed(n=None), "`n`", id="no modulus"),
        pytest.param("rsa", changed(n="AQAB=="), "`n`", id="padded modulus"),
        pytest.param("rsa", changed(e="Aw"), "exponent", id="exponent 3"),
        pytest.param("rsa", changed(e="AQ"), "not a valid", id="exponent 1"),
        pytest.param("rsa", changed(e=number(65538)), "not a valid|exponent", id="even exponent"),
        pytest.param("rsa", changed(e=number(2**40 + 1)), "not a valid|exponent", id="huge exponent"),
        pytest.param("rsa", changed(n=number(2**2046 + 1)), "bits", id="2047 bits"),
        pytest.param("rsa", changed(n=number(2**8192 + 1)), "bits", id="8193 bits"),
        pytest.param("rsa", changed(n=number(roca_modulus())), "ROCA", id="ROCA"),
        pytest.param("rsa", changed(kty="oct"), "symmetric", id="RSA key said to be symmetric"),
        pytest.param("rsa", changed(kty="EC"), "not supported", id="EC without curve"),
        pytest.param("rsa", changed(kty=None), "not supported", id="no type"),
        pytest.param("ec", changed(crv="secp256k1"), "not supported", id="secp256k1"),
        pytest.param("ec", changed(crv="P-192"), "not supported", id="P-192"),
        pytest.param("ec", changed(crv="P-384"), "not a valid", id="point of another curve"),
        pytest.param("ec", changed(y=b64(bytes(32))), "not a valid", id="point off the curve"),
        pytest.param("ec", changed(x="AQ"), "not a valid", id="short coordinate"),
        pytest.param("ed", changed(crv="Ed448"), "not supported", id="Ed448"),
        pytest.param("ed", changed(crv="X25519"), "not supported", id="X25519"),
        pytest.param("ed", changed(x="AQ"), "not a valid", id="short Ed25519 key"),
    ],
)
def test_a_key_that_must_not_be_used_is_left_out_and_the_reason_told(
    kind: str, change: Any, reason: str, rsa_key: RsaKey, ec_key: EcKey, ed_key: EdKey
) -> None:
    keys: dict[str, RsaKey | EcKey | EdKey] = {"rsa": rsa_key, "ec": ec_key, "ed": ed_key}
    good = EdKey("good")
    found = jwk.parse(jwks(change(keys[kind]), good))
    assert [key.kid for key in found.keys] == ["good"]
    assert len(found.refused) == 1
    assert any(word in found.refused[0] for word in reason.split("|"))


@pytest.mark.parametrize(
    "says", [{"use": "sig"}, {"key_ops": ["verify"]}, {"use": "sig", "key_ops": ["sign", "verify"]}, {}], ids=repr
)
def test_a_key_that_says_it_is_for_signatures_is_used(says: dict[str, Any], ec_key: EcKey) -> None:
    assert one(ec_key.jwk(**says)).verifies("ES256", b"message", ec_key.sign(b"message"))


def test_a_1024_bit_key_is_left_out() -> None:
    with pytest.raises(ValueError, match=r"no usable key.*2048"):
        jwk.parse(jwks(RsaKey(bits=1024)))


def test_a_symmetric_key_of_a_published_set_is_left_out() -> None:
    with pytest.raises(ValueError, match="known to everybody"):
        jwk.parse(jwks({"kty": "oct", "k": b64(bytes(32)), "alg": "HS256"}))


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys":{}}',
        b'{"keys":[]}',
        b'{"keys":[1]}',
        b'{"keys":[],"keys":[]}',
        b"<html>",
        b'{"keys":[' + b",".join([b"{}"] * 101) + b"]}",
    ],
    ids=["empty", "list", "no keys", "keys is an object", "none", "a number", "twice", "html", "101 keys"],
)
def test_what_is_no_key_set_is_a_value_error(document: bytes) -> None:
    with pytest.raises(ValueError):
        jwk.parse(document)


@given(
    st.dictionaries(
        st.sampled_from(["kty", "crv", "n", "e", "x", "y", "alg", "use", "key_ops", "kid", "d", "k"]),
        st.text()
        | st.integers()
        | st.none()
        | st.lists(st.text())
        | st.sampled_from(["RSA", "EC", "OKP", "oct", "P-256", "Ed25519", "sig", "AQAB"]),
    )
)
def test_any_key_is_used_or_refused_never_worse(key: dict[str, Any]) -> None:
    try:
        found = jwk.parse(json.dumps({"keys": [key]}).encode())
    except ValueError:
        return
    assert found.keys[0].algorithms


def test_candidates_are_those_of_the_kid_that_fit_the_algorithm(rsa_key: RsaKey, other_rsa_key: RsaKey, ec_key: EcKey) -> None:
    found = jwk.parse(jwks(rsa_key, other_rsa_key, ec_key))
    assert [key.kid for key in found.candidates("RS256", "rsa-1")] == ["rsa-1"]
    assert [key.kid for key in found.candidates("RS256", None)] == ["rsa-1", "rsa-2"]
    assert found.candidates("ES256", "rsa-1") == ()
    assert found.candidates("RS256", "../../etc/passwd") == ()


def test_a_shared_secret_verifies_hmac_only() -> None:
    key = jwk.shared(b"s" * 32, frozenset({"HS256", "RS256"}))
    assert key.algorithms == {"HS256"}
    assert key.verifies("HS256", b"message", SharedKey(b"s" * 32).sign(b"message"))
    assert not key.verifies("HS256", b"message", SharedKey(b"t" * 32).sign(b"message"))


@pytest.mark.parametrize(
    "file",
    ["jws/4_1.rsa_v15_signature.json", "jws/4_2.rsa-pss_signature.json", "jws/4_3.ecdsa_signature.json", "curve25519/jws.json"],
)
def test_the_jose_cookbooks_signatures_verify(vectors: Path, file: str) -> None:
    case = json.loads((vectors / "jose-cookbook" / file).read_bytes())
    public = {name: value for name, value in case["input"]["key"].items() if name not in {"d", "p", "q", "dp", "dq", "qi"}}
    head, payload, signature = case["output"]["compact"].split(".")
    signed = f"{head}.{payload}".encode()
    raw = _decode(signature)
    key = one(public)
    assert key.verifies(case["input"]["alg"], signed, raw)
    assert not key.verifies(case["input"]["alg"], signed + b"x", raw)


def test_the_jose_cookbooks_hmac_verifies(vectors: Path) -> None:
    case = json.loads((vectors / "jose-cookbook" / "jws" / "4_4.hmac-sha2_integrity_protection.json").read_bytes())
    head, payload, signature = case["output"]["compact"].split(".")
    key = jwk.shared(_decode(case["input"]["key"]["k"]), frozenset({"HS256"}))
    assert key.verifies("HS256", f"{head}.{payload}".encode(), _decode(signature))


@pytest.mark.parametrize("name", ["3_1.ec_public_key.json", "3_3.rsa_public_key.json"])
def test_the_jose_cookbooks_public_keys_are_used(vectors: Path, name: str) -> None:
    assert one(json.loads((vectors / "jose-cookbook" / "jwk" / name).read_bytes())).algorithms


@pytest.mark.parametrize(
    "name",
    [
        "3_2.ec_private_key.json",
        "3_4.rsa_private_key.json",
        "3_5.symmetric_key_mac_computation.json",
        "3_6.symmetric_key_encryption.json",
    ],
)
def test_the_jose_cookbooks_secret_keys_are_left_out(vectors: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no usable key"):
        jwk.parse(jwks(json.loads((vectors / "jose-cookbook" / "jwk" / name).read_bytes())))


def test_wycheproofs_hmac_sha256_vectors(vectors: Path) -> None:
    document = json.loads((vectors / "wycheproof" / "hmac_sha256_test.json").read_bytes())
    checked = 0
    for group in document["testGroups"]:
        if group["tagSize"] != 256:
            continue
        for case in group["tests"]:
            key = jwk.shared(bytes.fromhex(case["key"]), frozenset({"HS256"}))
            valid = key.verifies("HS256", bytes.fromhex(case["msg"]), bytes.fromhex(case["tag"]))
            assert valid == (case["result"] == "valid"), case["tcId"]
            checked += 1
    assert checked > 50


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
