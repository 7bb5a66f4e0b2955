"""Clients of the token service, attacked: guessed, imitated, repeated. Named after the attack."""

from typing import Any

import pytest

from gateway.core.errors import BadRequest, DependencyDown, Unauthenticated
from gateway.store.once import MemoryOnce
from gateway.tokens.model import Client
from tests.fakes import CountingMetrics
from tests.issuer import NOW, EcKey, FrozenClock, ScriptedFetch, SharedKey, answer, jwks, mint
from tests.tokening import AGENT, ISSUER, REPORTS, SECRETS, TokenHouse, basic
from tests.unit.authn.certificates import client_certificate

FORM = {"grant_type": "client_credentials"}
KEYS_URL = "https://agent.example.com/jwks.json"
KEY = EcKey()
SIGNER = {"auth": "private_key_jwt", "jwks": {"url": KEYS_URL}, "grants": ["client_credentials"]}
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
BATCH = client_certificate(uri=["spiffe://example.org/batch"], dns=["batch.example.org"], common=["batch"])


def assertion(key: Any = KEY, header: dict[str, Any] | None = None, **more: Any) -> dict[str, str]:
    """The form of a client that signs (RFC 7523 2.2); a claim given as None is left out."""
    said = {"iss": "signer", "sub": "signer", "aud": ISSUER, "jti": "1", "iat": int(NOW), "exp": int(NOW) + 60} | more
    claims = {name: value for name, value in said.items() if value is not None}
    return {**FORM, "client_assertion_type": ASSERTION_TYPE, "client_assertion": mint(key, claims, **(header or {}))}


def house(once: Any = None, **clients: Any) -> TokenHouse:
    fetch = ScriptedFetch({KEYS_URL: answer(jwks(KEY))})
    return TokenHouse(clients={"signer": SIGNER, "reports": REPORTS, "agent": AGENT} | clients, fetch=fetch, once=once)


INVALID = (401, "invalid_client")


async def test_a_signed_assertion_proves_a_client() -> None:
    of = house()
    assert (await of.ask(assertion()))["token_type"] == "Bearer"
    assert of.proved == [("192.0.2.1", "client:signer")]
    assert (await house().ask(assertion(aud=[f"{ISSUER}/.gateway/token"]) | {"client_id": "signer"}))["token_type"] == "Bearer"


async def test_an_assertion_is_used_once_though_at_another_replica() -> None:
    clock = FrozenClock()
    once = MemoryOnce(clock, CountingMetrics())
    one, two = house(once), house(once)
    form = assertion()
    await one.ask(form)
    assert await two.refused(form) == INVALID
    assert await one.refused(form) == INVALID


async def test_an_assertion_is_refused_where_nobody_can_tell_whether_it_was_used() -> None:
    of = house(MemoryOnce(FrozenClock(), CountingMetrics(), most=0))
    with pytest.raises(DependencyDown):
        await of.ask(assertion())


@pytest.mark.parametrize(
    "more",
    [
        {"aud": "https://other.example.com"},
        {"aud": None},
        {"exp": None},
        {"exp": int(NOW) - 60},
        {"exp": int(NOW) + 86400},
        {"jti": None},
        {"jti": 7},
        {"jti": ""},
        {"sub": "reports"},
        {"iss": "reports"},
        {"iss": "nobody", "sub": "nobody"},
        {"iss": "agent", "sub": "agent"},
        {"cnf": {"jkt": "a"}},
    ],
    ids=str,
)
async def test_an_assertion_that_says_something_else_is_refused(more: dict[str, Any]) -> None:
    assert await house().refused(assertion(**more)) == INVALID


@pytest.mark.parametrize(
    ("key", "header"),
    [
        (EcKey(), {}),
        (SharedKey(SECRETS["REPORTS"]), {}),
        (KEY, {"typ": "at+jwt"}),
        (KEY, {"typ": "dpop+jwt"}),
        (KEY, {"alg": "RS256"}),
        (KEY, {"crit": ["exp"]}),
        (EcKey(), {"jwk": EcKey().jwk()}),
    ],
    ids=["another-key", "a-shared-secret", "an-access-token", "a-proof", "another-algorithm", "critical", "its-own-key"],
)
async def test_a_forged_assertion(key: Any, header: dict[str, Any]) -> None:
    assert await house().refused(assertion(key, header)) == INVALID


async def test_an_own_token_presented_as_a_client_assertion() -> None:
    of = house()
    token = await of.token()
    form = {**FORM, "client_assertion_type": ASSERTION_TYPE, "client_assertion": token}
    assert await of.refused(form) == INVALID
    assert await of.refused({**form, "client_id": "reports"}) == INVALID


async def test_an_assertion_of_one_client_for_another() -> None:
    assert await house().refused(assertion() | {"client_id": "reports"}) == INVALID


async def test_an_assertion_of_an_unknown_type() -> None:
    assert await house().refused(assertion() | {"client_assertion_type": "saml"}) == (400, "invalid_request")


async def test_mix_up_of_credential_kinds_at_the_token_endpoint() -> None:
    of = TokenHouse(with_keys=True)
    assert of.keys is not None
    secret, key = SECRETS["REPORTS"].decode(), of.keys.create().encode()
    both = {**FORM, "client_id": "reports", "client_secret": secret}
    assert await of.refused(both, basic("reports", "REPORTS")) == (400, "invalid_request")
    assert await of.refused(assertion(), basic("reports", "REPORTS")) == (400, "invalid_request")
    assert await of.refused(assertion() | {"client_secret": secret}) == (400, "invalid_request")
    assert await of.refused({**FORM, "client_id": "agent"}, basic("reports", "REPORTS")) == (400, "invalid_request")
    assert await of.refused(both, (b"x-api-key", key)) == (400, "invalid_request")
    with pytest.raises(BadRequest, match="more than one credential"):
        await of.ask(FORM, basic("reports", "REPORTS"), (b"x-api-key", key))
    assert await of.refused(FORM, basic("reports", "REPORTS"), basic("reports", "REPORTS")) == INVALID


@pytest.mark.parametrize(
    ("auth", "more"),
    [
        ("client_secret_post", {"secret": {"env": "REPORTS"}}),
        ("client_secret_basic", {"secret": {"env": "REPORTS"}}),
        ("private_key_jwt", {"jwks": {"url": KEYS_URL}}),
        ("tls_client_auth", {"certificate": {"san_dns": "batch.example.org"}}),
        ("none", {"grants": ["authorization_code"], "redirect_uris": ["https://app.example.com/cb"]}),
    ],
)
async def test_a_client_is_known_in_its_own_way_alone(auth: str, more: dict[str, Any]) -> None:
    of = house(client={"auth": auth, "grants": ["client_credentials"]} | more)
    secret = SECRETS["REPORTS"].decode()
    ways: dict[str, Any] = {
        "client_secret_post": ({**FORM, "client_id": "client", "client_secret": secret}, ()),
        "client_secret_basic": (FORM, (basic("client", "REPORTS"),)),
        "private_key_jwt": (assertion(iss="client", sub="client"), ()),
        "tls_client_auth": ({**FORM, "client_id": "client"}, ()),
    }
    for way, (form, fields) in ways.items():
        certificate = BATCH if way == "tls_client_auth" else None
        if way == auth:
            assert (await of.ask(form, *fields, certificate=certificate))["access_token"]
        else:
            expected = (400, "unauthorized_client") if (auth, way) == ("none", "tls_client_auth") else INVALID
            assert await of.refused(form, *fields, certificate=certificate) == expected


async def test_who_is_no_client_is_told_what_a_wrong_secret_is_told() -> None:
    of = house()
    for fields in (basic("reports", "AGENT"), basic("nobody", "AGENT"), basic("signer", "AGENT"), basic("reports", "")):
        assert await of.refused(FORM, fields) == INVALID
        assert of.error.document == {"error": "invalid_client", "error_description": "client authentication failed"}
        assert of.error.headers == ((b"www-authenticate", b'Basic realm="gateway", charset="UTF-8"'),)


async def test_a_client_nobody_knows_costs_as_many_comparisons_as_one_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    import hashlib
    import hmac

    of, digests, compared = house(), list[int](), list[int]()
    sha256, same = hashlib.sha256, hmac.compare_digest

    def digest(raw: bytes = b"") -> Any:
        digests.append(1)
        return sha256(raw)

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(1)
        return same(one, other)

    monkeypatch.setattr(hashlib, "sha256", digest)
    monkeypatch.setattr(hmac, "compare_digest", compare)
    counts = set()
    for client in ("reports", "nobody", "signer"):
        digests.clear()
        compared.clear()
        await of.refused(FORM, basic(client, "AGENT"))
        counts.add((len(digests), len(compared)))
    assert counts == {(3, 2)}


async def test_failures_in_the_name_of_a_client_that_proves_nothing_are_about_nobody() -> None:
    of = house(cli={"auth": "none", "grants": ["authorization_code"], "redirect_uris": ["https://app.example.com/cb"]})
    assert await of.refused(FORM, basic("cli", "AGENT")) == INVALID
    assert isinstance(of.error, Unauthenticated)
    assert (of.error.about, of.error.genuine) == (None, False)
    assert await of.refused({"grant_type": "x", "client_id": "cli"}) == (400, "unsupported_grant_type")
    assert of.proved == []


@pytest.mark.parametrize("value", [b"Basic", b"Basic !!!", b"Basic cmVwb3J0cw==", b"Basic //79", b"Bearer abc", b"Digest x"])
async def test_a_malformed_authorization_is_no_client(value: bytes) -> None:
    assert await house().refused(FORM, (b"authorization", value)) == INVALID


async def test_a_secret_beyond_ascii_is_read_as_it_was_encoded() -> None:
    of = house()
    of.secrets["REPORTS"].replace("schlüssel:mit/zeichen 7TnB2mYc5RdF8hGaE1uk3J".encode())
    found = await of.ask(FORM, basic("reports", "schlüssel:mit/zeichen 7TnB2mYc5RdF8hGaE1uk3J"))
    assert found["access_token"]


@pytest.mark.parametrize(
    ("certificate", "wanted", "known"),
    [
        (BATCH, {"san_uri": "spiffe://example.org/batch"}, True),
        (BATCH, {"san_dns": "BATCH.example.org"}, True),
        (BATCH, {"subject": "CN=batch"}, True),
        (BATCH, {"san_dns": "spiffe://example.org/batch"}, False),
        (BATCH, {"subject": "CN=other"}, False),
        (BATCH, {"subject": "batch"}, False),
        (client_certificate(common=["batch.example.org"]), {"san_dns": "batch.example.org"}, False),
        (b"no certificate", {"san_dns": "batch.example.org"}, False),
        (None, {"san_dns": "batch.example.org"}, False),
    ],
    ids=["uri", "dns", "subject", "uri-as-dns", "other-subject", "name-alone", "name-as-dns", "malformed", "none"],
)
async def test_another_certificate_of_the_same_authority(certificate: bytes | None, wanted: dict[str, str], known: bool) -> None:
    of = house(batch={"auth": "tls_client_auth", "certificate": wanted, "grants": ["client_credentials"]})
    form = {**FORM, "client_id": "batch"}
    if known:
        assert (await of.ask(form, certificate=certificate))["access_token"]
    else:
        assert await of.refused(form, certificate=certificate) == INVALID
        assert isinstance(of.error, Unauthenticated)
        assert of.error.about == "client:batch"


@pytest.mark.parametrize(
    "model",
    [
        {"secret": {"env": "A"}, "grants": []},
        {"grants": ["client_credentials"]},
        {"secret": {"env": "A"}, "jwks": {"url": KEYS_URL}, "grants": ["client_credentials"]},
        {"auth": "none", "grants": ["client_credentials"]},
        {"auth": "none", "secret": {"env": "A"}, "grants": ["refresh_token"]},
        {"auth": "tls_client_auth", "certificate": {}, "grants": ["client_credentials"]},
        {"auth": "private_key_jwt", "jwks": {"discovery": True}, "grants": ["client_credentials"]},
        {"auth": "none", "grants": ["authorization_code"]},
        {"auth": "none", "grants": ["authorization_code"], "redirect_uris": ["http://localhost/cb"]},
        {"auth": "none", "grants": ["authorization_code"], "redirect_uris": ["https://*.example.com/cb"]},
        {"auth": "none", "grants": ["authorization_code"], "redirect_uris": ["https://a.example.com/#x"]},
        {"auth": "none", "grants": ["authorization_code"], "redirect_uris": ["https://a@b.example.com/"]},
        {"secret": {"env": "A"}, "grants": ["authorization_code"], "redirect_uris": ["http://127.0.0.1/cb"]},
        {"auth": "none", "grants": ["token_exchange"]},
        *(
            {"auth": "none", "grants": ["authorization_code"], "redirect_uris": [f"https://a.example.com{odd}"]}
            for odd in ("/\r\nSet-Cookie: a=b", "/\x7f", "/a b", "/\u00fc", "\\evil.example.com/", ":99999/", "/\n")
        ),
        {"secret": {"env": "A"}, "grants": ["implicit"]},
        {"secret": [{"env": "A"}, {"env": "B"}, {"env": "C"}], "grants": ["client_credentials"]},
    ],
    ids=str,
)
def test_a_client_that_could_be_imitated_is_not_configured(model: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        Client.model_validate(model)
