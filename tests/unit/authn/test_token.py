"""A token taken apart."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authn.token import Malformed, Token
from tests.issuer import EdKey, b64, mint, mint_raw

KEY = EdKey()


def test_a_well_formed_token_is_taken_apart_once() -> None:
    raw = mint(KEY, {"iss": "https://a", "n": 1}).encode()
    token = Token(raw, 8192)
    assert (token.algorithm, token.kid, token.issuer, token.payload["n"], token.size) == ("EdDSA", "ed-1", "https://a", 1, len(raw))
    assert token.signed + b"." + b64(token.signature).encode() == raw


HEAD = b'{"alg":"EdDSA"}'


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"..",
        b"a.b",
        b"a.b.c.d",
        b"a.b.c.d.e",
        b"a..c",
        f"{b64(HEAD)}.{b64(b'{}')}.".encode(),
        b".e30.AAAA",
        mint(KEY).encode() + b"=",
        mint(KEY).encode() + b"\n",
        b" " + mint(KEY).encode(),
        mint(KEY).replace(".", ".\u00e9", 1).encode(),
        mint(KEY).encode().replace(b".", b"+.", 1),
        f"{b64(HEAD)}.{b64(b'{}')}.A".encode(),
        f"{b64(HEAD)}.{b64(b'{}')}.AB".encode(),
        mint_raw(KEY, b"[]", b"{}").encode(),
        mint_raw(KEY, HEAD, b"[]").encode(),
        mint_raw(KEY, HEAD, b'"text"').encode(),
        mint_raw(KEY, HEAD, b"\xff").encode(),
        mint_raw(KEY, b'{"alg":"EdDSA","alg":"none"}', b"{}").encode(),
        mint_raw(KEY, HEAD, b'{"sub":"a","sub":"b"}').encode(),
        mint_raw(KEY, HEAD, b'{"a":{"b":1,"b":2}}').encode(),
        mint_raw(KEY, HEAD, b'{"exp":Infinity}').encode(),
        mint_raw(KEY, HEAD, b'{"exp":NaN}').encode(),
        mint_raw(KEY, HEAD, b'{"exp":1e400}').encode(),
        mint_raw(KEY, HEAD, b'{"a":' + b"[" * 40 + b"]" * 40 + b"}").encode(),
        mint_raw(KEY, HEAD, b'{"sub":"a\\u0000"}').encode(),
        mint_raw(KEY, HEAD, b'{"sub":"a\\ud800"}').encode(),
        mint_raw(KEY, HEAD, b'{"na\\u0000me":"a"}').encode(),
        mint_raw(KEY, HEAD, b'{"groups":["a\\r\\nX: y"]}').encode(),
        mint(KEY, crit=["bork"], bork=1).encode(),
        mint(KEY, crit=[]).encode(),
        mint(KEY, b64=False).encode(),
        mint(KEY, b64=True).encode(),
        mint(KEY, zip="DEF").encode(),
        mint(KEY, enc="A128GCM").encode(),
        mint(KEY, alg=["EdDSA"]).encode(),
        mint(KEY, kid=1).encode(),
        mint(KEY, kid="k" * 257).encode(),
    ],
    ids=lambda raw: raw.partition(b".")[0][:24].decode("latin-1") + f" ({len(raw)})",
)
def test_anything_else_is_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        Token(raw, 8192)


def test_a_token_is_measured_before_it_is_looked_at() -> None:
    raw = mint(KEY).encode()
    assert Token(raw, len(raw)).size == len(raw)
    with pytest.raises(Malformed, match="longer"):
        Token(raw, len(raw) - 1)


def test_keys_and_addresses_of_keys_in_the_header_are_not_read() -> None:
    token = Token(mint(KEY, jku="https://evil.example/keys", x5u="https://evil.example", jwk=KEY.jwk(), x5c=["AA"]).encode(), 8192)
    assert token.kid == "ed-1"


@pytest.mark.parametrize("issuer", [1, None, ["https://a"], {"a": 1}, True], ids=repr)
def test_an_issuer_that_is_no_text_is_none(issuer: Any) -> None:
    assert Token(mint(KEY, {"iss": issuer}).encode(), 8192).issuer is None


@given(st.binary(max_size=300))
def test_any_bytes_are_a_token_or_malformed(raw: bytes) -> None:
    try:
        Token(raw, 8192)
    except Malformed:
        return
    raise AssertionError("random bytes are no signed token")


@given(st.binary(max_size=80), st.binary(max_size=80), st.binary(min_size=1, max_size=8))
def test_any_three_parts_are_a_token_or_malformed(head: bytes, payload: bytes, signature: bytes) -> None:
    try:
        token = Token(f"{b64(head)}.{b64(payload)}.{b64(signature)}".encode(), 8192)
    except Malformed:
        return
    assert isinstance(json.loads(head), dict)
    assert isinstance(token.payload, dict)


@pytest.mark.parametrize("file", ["rfc7797/4.2.hmac-sha2_b64_false.json", "rfc7797/hmac-sha2_b64_false.json"])
def test_unencoded_payloads_of_rfc_7797_are_refused(vectors: Path, file: str) -> None:
    case = json.loads((vectors / "jose-cookbook" / file).read_bytes())
    text = json.dumps(case)
    assert "b64" in text
    head = case["signing"]["protected_b64u"]
    with pytest.raises(Malformed):
        Token(f"{head}.e30.AAAA".encode(), 8192)


def test_the_cookbooks_detached_content_is_refused(vectors: Path) -> None:
    case = json.loads((vectors / "jose-cookbook" / "jws" / "4_5.signature_with_detached_content.json").read_bytes())
    with pytest.raises(Malformed):
        Token(case["output"]["compact"].encode(), 8192)
