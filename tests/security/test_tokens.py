"""Tokens, keys and certificates as published attacks presented them. Each test is named after the flaw it answers."""

import asyncio
import base64
import gzip
import json
import sys
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.authn import key_format
from gateway.authn.api_keys import KeyStore
from gateway.authn.authentication import Authentication
from gateway.authn.gate import Gate
from gateway.authn.login.seal import Seal
from gateway.authn.model import JwtIssuer
from gateway.authn.strength import StrongSecret
from gateway.core.errors import BadRequest, ConfigError, DependencyDown, GatewayError, Unauthenticated
from gateway.core.principal import Identity, Principal
from gateway.core.reason import Reason
from gateway.fetch import HttpFetch
from tests.fakes import stored_key
from tests.issuer import (
    AUDIENCE,
    ISSUER,
    JWKS_URL,
    NOW,
    PEPPER,
    Counted,
    EcKey,
    EdKey,
    FixedSecret,
    FrozenClock,
    RsaKey,
    ScriptedFetch,
    SharedKey,
    answer,
    authentication,
    b64,
    bearer,
    claims,
    grant,
    https_server,
    issuer_model,
    jwks,
    mint,
    mint_raw,
    request,
    response,
)
from tests.unit.authn.certificates import client_certificate


@pytest.fixture(scope="module")
def rsa_key() -> RsaKey:
    return RsaKey()


def gate(*keys: RsaKey | EcKey | EdKey | dict[str, Any], **entry: Any) -> Gate:
    fetch = ScriptedFetch({JWKS_URL: answer(jwks(*keys))})
    return authentication({"jwt": {"corp": issuer_model(**entry)}}, fetch=fetch).gate(("jwt.corp",), anonymous=False, grant=grant)


async def accepted(way: Gate, token: str | bytes) -> bool:
    try:
        await way.authenticate(request(bearer(token)))
    except Unauthenticated:
        return False
    return True


def public_texts(key: RsaKey) -> dict[str, bytes]:
    """A public key in every spelling somebody might use as an HMAC secret."""
    public = key.private.public_key()
    form, encoding = serialization.PublicFormat, serialization.Encoding
    texts = {
        "SPKI PEM": public.public_bytes(encoding.PEM, form.SubjectPublicKeyInfo),
        "PKCS1 PEM": public.public_bytes(encoding.PEM, form.PKCS1),
        "SPKI DER": public.public_bytes(encoding.DER, form.SubjectPublicKeyInfo),
        "SSH": public.public_bytes(encoding.OpenSSH, form.OpenSSH),
        "JWK": json.dumps(key.jwk()).encode(),
        "JWKS": jwks(key),
        "modulus": key.jwk()["n"].encode(),
    }
    return texts | {f"{name} without line end": text.strip() for name, text in texts.items()}


async def test_cve_2026_39999_cve_2022_29217_cve_2017_11424_cve_2024_37568_public_key_as_hmac_secret(rsa_key: RsaKey) -> None:
    """Rows 68, 69, 73: a public key in any spelling used as an HMAC secret."""
    way = gate(rsa_key)
    for text in public_texts(rsa_key).values():
        for algorithm in ("HS256", "HS384", "HS512"):
            for kid in ("rsa-1", None):
                assert not await accepted(way, mint(SharedKey(text, algorithm), kid=kid))
    assert await accepted(way, mint(rsa_key))


@pytest.mark.parametrize("alg", ["HS256", "ES256", "EdDSA", "none", "RS1", ""])
async def test_cve_2026_48523_the_keys_own_alg_never_widens_the_allow_list(alg: str, rsa_key: RsaKey) -> None:
    """Row 70: allowed is RS256; the published key says something else."""
    for key in (rsa_key.jwk(alg=alg), EcKey("rsa-1").jwk(alg=alg), {"kty": "oct", "k": b64(b"s" * 32), "alg": alg, "kid": "rsa-1"}):
        way = gate(key, EdKey("spare"), algorithms=["RS256"])
        assert not await accepted(way, mint(rsa_key))
        assert not await accepted(way, mint(SharedKey(b"s" * 32), kid="rsa-1"))
        assert not await accepted(way, mint(rsa_key, alg=alg or None))


@pytest.mark.parametrize("crit", [["bork"], ["exp"], ["b64"], [], "bork", None, {}], ids=repr)
async def test_cve_2026_32597_and_cve_2025_59420_critical_extensions(crit: Any, rsa_key: RsaKey) -> None:
    """Row 71: whatever `crit` says, nothing is understood, so nothing is accepted."""
    head = json.dumps({"alg": "RS256", "kid": "rsa-1", "typ": "JWT", "crit": crit, "bork": 1}).encode()
    assert not await accepted(gate(rsa_key), mint_raw(rsa_key, head, json.dumps(claims()).encode()))


@pytest.mark.parametrize(
    "alg", ["none", "None", "NONE", "NoNe", "nOnE", "", None, " none", "none\x00", 0, False, ["none"]], ids=repr
)
@pytest.mark.parametrize(
    "ending", ["", ".", ".AA", "..", ".signature"], ids=["no dot", "empty", "one byte", "two dots", "the old one"]
)
async def test_cve_2026_28802_no_algorithm_is_no_algorithm(alg: Any, ending: str, rsa_key: RsaKey) -> None:
    """Row 72: `alg: none` in any spelling, with any signature or none."""
    head = {"alg": alg, "typ": "JWT"} if alg is not None else {"typ": "JWT"}
    text = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(claims()).encode())}"
    tail = mint(rsa_key)[mint(rsa_key).rindex(".") :] if ending == ".signature" else ending
    for key in (rsa_key, EdKey(None)):
        assert not await accepted(gate(key), text + tail)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://idp.example.com/keys",
        "data:application/json,{}",
        "http://idp.example.com/",
        "//idp.example.com/",
        "keys.json",
    ],
)
def test_cve_2026_48522_key_set_urls_are_https(url: str) -> None:
    """Row 74, first half: the configuration is refused."""
    with pytest.raises(ValidationError):
        JwtIssuer.model_validate(issuer_model(jwks={"url": url}))


async def test_cve_2026_48522_a_token_does_not_choose_its_key(rsa_key: RsaKey) -> None:
    """Row 74, second half: `jku`, `x5u`, `jwk` and `x5c` are ignored, not fetched."""
    attacker = RsaKey("rsa-1")
    fetch = ScriptedFetch({JWKS_URL: answer(jwks(rsa_key)), "https://evil.example/keys": answer(jwks(attacker))})
    way = authentication({"jwt": {"corp": issuer_model()}}, fetch=fetch).gate(("jwt.corp",), anonymous=False, grant=grant)
    for header in (
        {"jku": "https://evil.example/keys"},
        {"x5u": "https://evil.example/keys"},
        {"jwk": attacker.jwk()},
        {"x5c": ["AAAA"]},
    ):
        assert not await accepted(way, mint(attacker, **header))
        assert await accepted(way, mint(rsa_key, **header))
    assert set(fetch.asked) == {JWKS_URL}


async def test_cve_2026_48525_and_cve_2025_62706_bombs(rsa_key: RsaKey) -> None:
    """Row 75: huge tokens, unencoded payloads, compressed ones."""
    way = gate(rsa_key)
    assert not await accepted(way, mint(rsa_key, claims(pad="x" * 5_000_000)))
    assert not await accepted(way, b"e30." * 2_000_000)
    assert not await accepted(way, b"." * 8192)
    bomb = zlib.compress(b"0" * 5_000_000)
    assert not await accepted(way, mint(rsa_key, bomb[:4000], zip="DEF"))
    assert not await accepted(way, mint(rsa_key, gzip.compress(b"0" * 1_000_000), zip="GZIP"))
    assert not await accepted(way, mint(rsa_key, b"{}", b64=False, crit=["b64"]))
    assert not await accepted(way, mint(rsa_key, b'{"a":' + b"[" * 4000 + b"]" * 4000 + b"}"))


@pytest.mark.parametrize("alg", ["RSA1_5", "RSA-OAEP", "dir", "ECDH-ES"])
async def test_cve_2026_28490_and_cve_2026_49230_encrypted_tokens_never_fall_through(alg: str, rsa_key: RsaKey) -> None:
    """Rows 76, 77: an encrypted token, whole or with parts missing, is refused like any other bad credential."""
    head = b64(json.dumps({"alg": alg, "enc": "A128CBC-HS256"}).encode())
    way = gate(rsa_key)
    for token in (f"{head}.AAAA.AAAA.AAAA.AAAA", f"{head}....", f"{head}.AAAA.AAAA", f"{head}..AAAA.AAAA.AAAA", head):
        assert not await accepted(way, token)


async def test_cve_2022_29226_any_bearer_is_not_a_good_bearer(rsa_key: RsaKey) -> None:
    """Row 78."""
    for token in ("garbage", "a.b.c", "null", "undefined", "true", "0", " ", "{}", mint(rsa_key)[:-4]):
        assert not await accepted(gate(rsa_key), token)


def test_cve_2023_35941_what_one_gateway_sealed_opens_at_no_other() -> None:
    """Row 79: cookies under another tenant's key, for another purpose or host, empty ones, and a key that is none."""

    def seal(secret: bytes | None, purpose: str = "login") -> Seal:
        return Seal([StrongSecret(FixedSecret(secret))], purpose)

    closed = seal(PEPPER).close(b"state", b"gw.test").encode()
    assert seal(PEPPER).open(closed, b"gw.test") == b"state"
    assert seal(PEPPER[::-1]).open(closed, b"gw.test") is None
    assert seal(PEPPER, "session").open(closed, b"gw.test") is None
    for bound in (b"", b"gw.test.evil", b"GW.TEST"):
        assert seal(PEPPER).open(closed, bound) is None
    for forged in (b"", b"A", b"A" * 38, b64(bytes(28)).encode(), closed[:-1], b"=" * 40, closed + closed):
        assert seal(PEPPER).open(forged, b"") is None
    for none in (None, b"", bytes(64)):
        with pytest.raises(DependencyDown):
            seal(none).open(closed, b"gw.test")


async def test_cve_2026_33496_and_cve_2021_32701_a_token_is_decided_for_each_route_separately(rsa_key: RsaKey) -> None:
    """Row 80: what one route accepted another, with other issuers or audiences, decides anew; in both orders."""
    fetch = ScriptedFetch({JWKS_URL: answer(jwks(rsa_key))})
    model = {
        "jwt": {
            "read": issuer_model(audience=["read"]),
            "write": issuer_model(audience=["write"]),
            "other": issuer_model(issuer="https://other.example/", audience=["read"]),
        }
    }
    resources = authentication(model, fetch=fetch)
    ways = {name: resources.gate((f"jwt.{name}",), anonymous=False, grant=grant) for name in ("read", "write", "other")}
    token = mint(rsa_key, claims(aud="read"))
    for _ in range(2):
        assert [await accepted(ways[name], token) for name in ("write", "read", "other")] == [False, True, False]
        assert [await accepted(ways[name], token) for name in ("other", "read", "write")] == [False, True, False]


async def test_cve_2026_33496_the_same_token_under_other_scope_rules_is_another_principal(rsa_key: RsaKey) -> None:
    """Row 80: a policy that caps by scope never sees what another remembered without the cap."""
    seen: list[bool] = []

    def capping(identity: Identity) -> Principal:
        seen.append(identity.scope_ceiling)
        return grant(identity)

    token = mint(rsa_key)
    for ceiling in (False, True):
        fetch = ScriptedFetch({JWKS_URL: answer(jwks(rsa_key))})
        resources = authentication({"jwt": {"corp": issuer_model(scope_ceiling=ceiling)}}, fetch=fetch)
        await resources.gate(("jwt.corp",), anonymous=False, grant=capping).authenticate(request(bearer(token)))
    assert seen == [False, True]


@given(st.lists(st.tuples(st.text("ab:|1", max_size=4), st.text("ab:|1", max_size=4)), unique=True, max_size=12))
def test_cve_2026_71326_what_is_kept_per_principal_cannot_collide(principals: list[tuple[str, str]]) -> None:
    """Row 81: joined keys are length-prefixed."""
    keys = {Principal(Identity(id=id, issuer=issuer, scheme="jwt")).key for issuer, id in principals}
    assert len(keys) == len(principals)


@pytest.mark.parametrize(
    "change",
    [
        {"aud": "https://staging.example.com"},
        {"aud": ["https://staging.example.com", "https://other.example.com"]},
        {"iss": "https://staging-idp.example.com/"},
        {"iss": ISSUER + "staging"},
        {"aud": AUDIENCE + "/"},
        {"aud": AUDIENCE.upper()},
        {"aud": None},
    ],
    ids=repr,
)
async def test_ghsa_vgf8_and_cve_2025_69196_and_cve_2026_44428_tokens_for_somebody_else(
    change: dict[str, Any], rsa_key: RsaKey
) -> None:
    """Rows 82, 83: another environment's token, another server's token."""
    assert not await accepted(gate(rsa_key), mint(rsa_key, claims(**change)))


@pytest.mark.parametrize(
    "address",
    [
        "evil@x.com@corp.com",
        '"evil@x"@corp.com',
        "evil@corp.com.",
        "evil@corp\u3002com",
        "evil@",
        "@corp.com",
        "evil@-corp.com",
        "corp.com",
    ],
)
async def test_cve_2026_40574_addresses_in_certificates(address: str) -> None:
    """Row 84: what is no plain address is nobody."""
    resources = authentication({"mtls": {"identity": ["san_email"]}})
    way = resources.gate(("mtls",), anonymous=False, grant=grant)
    with pytest.raises(Unauthenticated):
        await way.authenticate(request(certificate=client_certificate(email=[address])))
    assert (await way.authenticate(request(certificate=client_certificate(email=["good@corp.com"])))).id == "good@corp.com"


@pytest.mark.parametrize(
    "payload",
    [
        b'{"iss":"https://idp.example.com/","aud":"https://api.example.com","exp":1800000600,"sub":"a","sub":"admin"}',
        b'{"iss":"https://idp.example.com/","aud":"https://api.example.com","exp":1,"exp":1800000600,"sub":"a"}',
        b'{"iss":"https://evil/","iss":"https://idp.example.com/","aud":"https://api.example.com","exp":1800000600,"sub":"a"}',
        b'{"iss":"https://idp.example.com/","aud":"https://api.example.com","exp":1800000600,"sub":"a","x":{"r":1,"r":2}}',
        b'{"iss":"https://idp.example.com/","aud":"https://api.example.com","exp":1800000600,"sub":"a","su\\u0062":"admin"}',
        b'{"iss":"https://idp.example.com/","aud":"https://api.example.com","exp":1800000600,"sub":"a","na\\u0000me":"x"}',
    ],
    ids=["sub", "exp", "iss", "nested", "escaped", "NUL in a name"],
)
async def test_cve_2026_27896_duplicate_and_odd_members(payload: bytes, rsa_key: RsaKey) -> None:
    """Row 88, for tokens: a validly signed payload two readers would understand differently."""
    assert not await accepted(gate(rsa_key), mint_raw(rsa_key, b'{"alg":"RS256","kid":"rsa-1"}', payload))


@pytest.mark.parametrize(
    "head",
    [
        b'{"alg":"none","alg":"RS256","kid":"rsa-1"}',
        b'{"alg":"RS256","kid":"rsa-1","kid":"rsa-2"}',
        b'{"alg":"RS256","kid":"rsa-1","\\u0061lg":"none"}',
        b'{"alg":"RS256","kid":"rsa-1","x":{"y":1,"y":2}}',
        b'{"alg":"RS256","kid":"rsa-1","al\\u0000g":"none"}',
        b'{"alg":"RS256\\u0000","kid":"rsa-1"}',
    ],
    ids=["alg", "kid", "escaped", "nested", "NUL in a name", "NUL in alg"],
)
async def test_ghsa_4gph_and_ghsa_q382_duplicate_and_odd_members_of_a_header(head: bytes, rsa_key: RsaKey) -> None:
    """Row 88, for the header: signed as it stands."""
    assert await accepted(gate(rsa_key), mint_raw(rsa_key, b'{"alg":"RS256","kid":"rsa-1"}', json.dumps(claims()).encode()))
    assert not await accepted(gate(rsa_key), mint_raw(rsa_key, head, json.dumps(claims()).encode()))


async def test_cve_2026_27896_names_are_case_sensitive(rsa_key: RsaKey) -> None:
    """Row 88: `Sub` is not `sub`, `ALG` is not `alg`."""
    assert not await accepted(gate(rsa_key), mint(rsa_key, claims(sub=None, Sub="alice")))
    body = json.dumps(claims()).encode()
    assert not await accepted(gate(rsa_key), mint_raw(rsa_key, b'{"ALG":"RS256","kid":"rsa-1"}', body))


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param('{"exp":Infinity}', id="never expires"),
        pytest.param('{"exp":1e999}', id="overflows"),
        pytest.param('{"exp":"1800000600"}', id="a string"),
        pytest.param('{"exp":"1_800_000_600"}', id="a string with underscores"),
        pytest.param('{"exp":true}', id="a boolean"),
        pytest.param('{"exp":1800000600000}', id="milliseconds"),
        pytest.param('{"exp":' + "9" * 5000 + "}", id="5,000 digits"),
        pytest.param('{"exp":NaN}', id="not a number"),
        pytest.param('{"nbf":NaN}', id="nbf not a number"),
        pytest.param('{"exp":[1800000600]}', id="a list"),
    ],
)
async def test_library_findings_5_and_6_times_that_never_end(payload: str, rsa_key: RsaKey) -> None:
    rest = json.dumps({name: value for name, value in claims().items() if name not in json_names(payload)})
    whole = rest[:-1] + "," + payload[1:]
    assert not await accepted(gate(rsa_key), mint_raw(rsa_key, b'{"alg":"RS256","kid":"rsa-1"}', whole.encode()))


def json_names(payload: str) -> set[str]:
    return {payload.split('"')[1]}


async def test_library_finding_6_padded_base64_and_weak_keys(rsa_key: RsaKey) -> None:
    """Padding, 1,024-bit keys and ROCA keys pass the library; here they do not. ROCA: tests/unit/authn/test_jwk.py."""
    head, payload, signature = mint(rsa_key).split(".")
    for token in (f"{head}=.{payload}.{signature}", f"{head}.{payload}=.{signature}", f"{head}.{payload}.{signature}=="):
        assert not await accepted(gate(rsa_key), token)
    weak = RsaKey("weak", 1024)
    assert not await accepted(gate(weak, rsa_key), mint(weak))


async def test_signatures_have_one_spelling(rsa_key: RsaKey) -> None:
    """The unused bits of the last base64url character are zero: a token cannot be respelled to dodge what is kept by it."""
    token = mint(rsa_key)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    respelled = token[:-1] + alphabet[alphabet.index(token[-1]) + 1]
    same = base64.urlsafe_b64decode(token.split(".")[2] + "==") == base64.urlsafe_b64decode(respelled.split(".")[2] + "==")
    assert same
    assert not await accepted(gate(rsa_key), respelled)


# Keys


class Store:
    """A key file with one key, and the way in."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "keys.yaml"
        self.key, self.entry = stored_key(self.path, PEPPER, prefix="lgk", name="ci", now=NOW)
        model = {"api_keys": {"file": self.path, "pepper": {"env": "P"}}}
        self.way = authentication(model).gate(("api_keys",), anonymous=False, grant=grant)
        self.store = KeyStore(self.path, "lgk", StrongSecret(FixedSecret(PEPPER)), FrozenClock(), Counted())

    def wrong(self) -> str:
        head = f"lgk_{self.entry.id}_" + "0" * 43
        return head + key_format.check(head)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.mark.parametrize(
    "text", ["' OR 1=1--", "lgk_' OR '1'='1", "lgk_%_%", "lgk_*_*", "lgk_../../etc_x", "lgk_" + "a" * 100_000, "lgk__", "*"]
)
async def test_cve_2026_42208_keys_are_looked_up_not_interpreted(text: str, store: Store) -> None:
    """Row 115."""
    for field in (bearer(text), (b"x-api-key", text.encode())):
        with pytest.raises(Unauthenticated):
            await store.way.authenticate(request(field))
    assert (await store.way.authenticate(request(bearer(store.key)))).id == "ci"


async def test_ghsa_69x8_a_stored_hash_is_not_a_key(store: Store) -> None:
    """Row 116."""
    digest = store.entry.hash.partition(":")[2]
    for text in (store.entry.hash, digest, f"lgk_{store.entry.id}_{digest}", f"lgk_{store.entry.id}_{digest[:43]}" + "000000"):
        with pytest.raises(Unauthenticated):
            await store.way.authenticate(request((b"x-api-key", text.encode())))


@pytest.mark.parametrize(
    "pepper", [b"", b"changeme", b"changeme" * 4, b"secret", b"a" * 32, b"your-secret-here-your-secret-here", b"x" * 31]
)
def test_ghsa_8pcq_a_placeholder_is_no_pepper(pepper: bytes, tmp_path: Path) -> None:
    """Rows 118 and 145: refused at load, the cure named, the value not told."""
    model = {"api_keys": {"file": tmp_path / "k", "pepper": {"env": "P"}}}
    with pytest.raises(ConfigError) as caught:
        authentication(model, secrets=lambda _: FixedSecret(pepper))
    assert "openssl rand" in str(caught.value)
    assert not pepper or repr(pepper)[2:-1] not in str(caught.value)


def calls(store: KeyStore, key: str) -> list[str]:
    """The functions that refusing a key runs through, in order: what an observer's clock would measure."""
    seen: list[str] = []

    def note(frame: Any, event: str, argument: Any) -> None:
        if event in {"call", "c_call"}:
            seen.append(frame.f_code.co_name if event == "call" else argument.__name__)

    sys.setprofile(note)
    try:
        store.verify(key.encode())
    except Unauthenticated as error:
        seen.append(f"{error.reason} {error.detail} {error.status}")
    finally:
        sys.setprofile(None)
    return seen


def test_cve_2026_32595_and_cve_2026_41263_unknown_and_wrong_keys_cost_the_same(store: Store) -> None:
    """Rows 127, 129: the same calls in the same order, a keyed hash and a constant-time comparison among them."""
    calls(store.store, store.wrong())  # the pepper is judged at its first use
    unknown, wrong = calls(store.store, key_format.generate("lgk")[1]), calls(store.store, store.wrong())
    assert unknown == wrong
    assert {"compare_digest", "digest"} <= set(unknown)


async def test_cve_2026_88010_concurrency_tells_nothing(store: Store) -> None:
    """Row 128: many at once, known and unknown ids: one answer, word for word."""
    keys = [key_format.generate("lgk")[1] if number % 2 else store.wrong() for number in range(50)]
    answers = await asyncio.gather(*(_refusal(store.way, bearer(key)) for key in keys))
    assert len(set(answers)) == 1


async def _refusal(way: Gate, field: tuple[bytes, bytes]) -> tuple[object, ...]:
    with pytest.raises(Unauthenticated) as caught:
        await way.authenticate(request(field))
    error = caught.value
    return error.status, error.reason, error.detail, tuple(error.headers), error.members, error.close


# Certificates


@pytest.mark.parametrize(
    ("names", "identity"),
    [
        pytest.param({"dns": ["ci.example.org\x00.evil.example"]}, "san_dns", id="NUL in a DNS name"),
        pytest.param({"uri": ["spiffe://example.org/ci\x00"]}, "spiffe", id="NUL in a URI"),
        pytest.param({"email": ["ci.example.org"]}, "san_dns", id="an address equal to a DNS name"),
        pytest.param({"uri": ["ci.example.org"]}, "san_dns", id="a URI equal to a DNS name"),
        pytest.param({"dns": ["spiffe://example.org/ci"]}, "spiffe", id="a DNS name equal to a SPIFFE id"),
        pytest.param({"common": ["spiffe://example.org/ci"]}, "subject_cn", id="a common name equal to a SPIFFE id"),
        pytest.param({"uri": ["spiffe://example.org/ci", "spiffe://example.org/admin"]}, "spiffe", id="two SPIFFE ids"),
    ],
)
async def test_cve_2025_66220_and_cve_2022_21656_names_in_certificates(names: dict[str, Any], identity: str) -> None:
    """Row 133: NUL in names, a name of one type standing for another's."""
    way = authentication({"mtls": {"identity": [identity]}}).gate(("mtls",), anonymous=False, grant=grant)
    with pytest.raises(Unauthenticated):
        await way.authenticate(request(certificate=client_certificate(**names)))


async def test_cve_2025_64527_two_authorization_headers(rsa_key: RsaKey) -> None:
    """Row 57, for authentication: 400, whatever their values."""
    way = gate(rsa_key)
    for second in (bearer(mint(rsa_key)), bearer("x"), (b"authorization", b"")):
        with pytest.raises(BadRequest) as caught:
            await way.authenticate(request(bearer(mint(rsa_key)), second))
        assert caught.value.reason is Reason.CREDENTIAL_AMBIGUOUS


# Key sets from real servers


class KeyServer:
    """A key-set server on loopback over TLS that behaves as the test says."""

    def __init__(self, authority: trustme.CA, folder: Path) -> None:
        self.authority = authority
        self.ca = folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca))
        self.raw: Callable[[], bytes] = lambda: response(500, b"")
        self.endless = False
        self.asked: list[str] = []
        self.clock = FrozenClock()

    async def serve(self, head: str, writer: asyncio.StreamWriter) -> None:
        self.asked.append(head.split(" ")[1])
        if not self.endless:
            writer.write(self.raw())
            return
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"4000\r\n" + b" " * 0x4000 + b"\r\n")
            await writer.drain()

    @asynccontextmanager
    async def resources(self, **jwks: Any) -> AsyncIterator[Authentication]:
        async def local(host: str, port: int) -> list[str]:
            return ["127.0.0.1"]

        async with https_server(self.authority, self.serve) as port:
            where = {"url": f"https://idp.test:{port}/keys", "allow_private": True, "ca": self.ca} | jwks
            model = {"jwt": {"corp": issuer_model(jwks=where)}}
            fetch = HttpFetch(user_agent="gateway-test", resolve=local)
            made = authentication(model, fetch=fetch, clock=self.clock)
            try:
                yield made
            finally:
                await made.close()
                await fetch.close()


@pytest.fixture
def server(tmp_path: Path) -> KeyServer:
    return KeyServer(trustme.CA(), tmp_path)


async def outcome(way: Gate, token: str) -> str:
    try:
        await way.authenticate(request(bearer(token)))
    except GatewayError as error:
        return error.reason.value
    return "accepted"


async def test_keys_are_fetched_over_tls_rotated_and_kept_through_an_outage(server: KeyServer, rsa_key: RsaKey) -> None:
    newer = EdKey("newer")
    async with server.resources() as resources:
        way = resources.gate(("jwt.corp",), anonymous=False, grant=grant)
        assert await outcome(way, mint(rsa_key)) == "dependency-down"
        server.clock.advance(1)
        server.raw = lambda: response(200, jwks(rsa_key))
        assert await outcome(way, mint(rsa_key)) == "accepted"
        server.raw = lambda: response(200, jwks(rsa_key, newer))
        assert await outcome(way, mint(newer)) == "accepted"
        server.raw = lambda: response(503, b"")
        server.clock.advance(40)
        assert await outcome(way, mint(EdKey("unknown"))) == "credential-invalid"
        assert await outcome(way, mint(newer)) == "accepted"
        assert len(server.asked) == 4


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(response(302, b"", "Location: https://idp.test/keys"), id="redirect"),
        pytest.param(response(200, b"<html>sign in</html>", "Content-Type: text/html"), id="a page"),
        pytest.param(response(200, b" " * 300_000), id="larger than allowed"),
        pytest.param(response(200, gzip.compress(b'{"keys":[]}'), "Content-Encoding: gzip"), id="compressed"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 5000000000\r\n\r\n{", id="5 GB announced"),
        pytest.param(b"not http at all\r\n\r\n", id="no HTTP"),
        pytest.param(b"", id="nothing"),
    ],
)
async def test_cve_2026_26998_a_key_server_that_lies_is_an_outage(raw: bytes, server: KeyServer, rsa_key: RsaKey) -> None:
    """Rows 125, 138: bounded, not followed, 503 and never accepted; the next good answer heals it."""
    server.raw = lambda: raw
    async with server.resources() as resources:
        way = resources.gate(("jwt.corp",), anonymous=False, grant=grant)
        assert await outcome(way, mint(rsa_key)) == "dependency-down"
        assert server.asked == ["/keys"]
        server.clock.advance(1)
        server.raw = lambda: response(200, jwks(rsa_key))
        assert await outcome(way, mint(rsa_key)) == "accepted"


async def test_cve_2026_26998_an_endless_key_server_is_cut_off(server: KeyServer, rsa_key: RsaKey) -> None:
    """Row 138."""
    server.endless = True
    async with server.resources() as resources:
        way = resources.gate(("jwt.corp",), anonymous=False, grant=grant)
        assert await outcome(way, mint(rsa_key)) == "dependency-down"


async def test_cve_2026_53708_a_private_key_server_must_be_allowed(server: KeyServer, rsa_key: RsaKey) -> None:
    """Row 122, for key sets."""
    server.raw = lambda: response(200, jwks(rsa_key))
    async with server.resources(allow_private=False) as resources:
        way = resources.gate(("jwt.corp",), anonymous=False, grant=grant)
        assert await outcome(way, mint(rsa_key)) == "dependency-down"
    assert server.asked == []


async def test_random_key_names_are_no_way_to_flood_the_key_server(server: KeyServer, rsa_key: RsaKey) -> None:
    server.raw = lambda: response(200, jwks(rsa_key))
    stranger = EdKey("x")
    async with server.resources() as resources:
        way = resources.gate(("jwt.corp",), anonymous=False, grant=grant)
        tokens = [mint(stranger, kid=f"random-{number}") for number in range(200)]
        assert set(await asyncio.gather(*(outcome(way, token) for token in tokens))) == {"credential-invalid"}
    assert len(server.asked) == 2


async def test_a_key_server_nobody_vouches_for_is_not_believed(server: KeyServer, rsa_key: RsaKey) -> None:
    server.raw = lambda: response(200, jwks(rsa_key))
    async with server.resources(ca=None) as resources:
        way = resources.gate(("jwt.corp",), anonymous=False, grant=grant)
        assert await outcome(way, mint(rsa_key)) == "dependency-down"
    assert server.asked == []


async def test_dependency_errors_tell_no_secrets(server: KeyServer, rsa_key: RsaKey) -> None:
    async with server.resources() as resources:
        way = resources.gate(("jwt.corp",), anonymous=False, grant=grant)
        with pytest.raises(DependencyDown) as caught:
            await way.authenticate(request(bearer(token := mint(rsa_key))))
    assert token not in caught.value.detail
    assert token not in repr(caught.value)
