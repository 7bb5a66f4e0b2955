"""Tokens that others issue, as published attacks presented them. Each test is named after the flaw it answers."""

import json
from typing import Any

import pytest

from gateway.core.errors import DependencyDown, Unauthenticated
from gateway.core.ports import Fetched
from tests.issuer import (
    AUDIENCE,
    ISSUER,
    JWKS_URL,
    NOW,
    EdKey,
    FixedSecret,
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

ONE, OTHER = "https://one.example/introspect", "https://other.example/introspect"
SAID = {"active": True, "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": NOW + 600, "token_type": "Bearer"}


def answered(**more: Any) -> Fetched:
    return Fetched(200, {}, json.dumps(SAID | more).encode())


def entry(url: str, **more: Any) -> dict[str, Any]:
    return {"url": url, "client": {"id": "gateway", "secret": {"env": "S"}}, "issuer": ISSUER, "audience": [AUDIENCE]} | more


@pytest.mark.parametrize("first", ["one", "other"])
async def test_cve_2026_33496_what_one_endpoint_answered_counts_for_no_other(first: str) -> None:
    fetch = ScriptedFetch({ONE: answered(), OTHER: answered(active=False)})
    model = {"introspection": {"one": entry(ONE), "other": entry(OTHER)}}
    made = authentication(model, fetch=fetch, secrets=lambda reference: FixedSecret(b"secret"))
    gates = {name: made.gate((f"introspection.{name}",), anonymous=False, grant=grant) for name in ("one", "other")}
    for name in (first, "one", "other", "one"):
        if name == "one":
            assert (await gates["one"].authenticate(request(bearer("same")))).issuer == "one"
        else:
            with pytest.raises(Unauthenticated):
                await gates["other"].authenticate(request(bearer("same")))
    assert sorted(fetch.asked) == [ONE, OTHER]


@pytest.mark.parametrize(
    "differs", [{"audience": ["https://other.example"]}, {"issuer": "https://other.example/"}, {"required_claims": ["exp", "acr"]}]
)
async def test_cve_2021_32701_the_same_endpoint_under_other_demands_decides_anew(differs: dict[str, Any]) -> None:
    fetch = ScriptedFetch({ONE: answered()})
    model = {"introspection": {"loose": entry(ONE), "strict": entry(ONE, **differs)}}
    made = authentication(model, fetch=fetch, secrets=lambda reference: FixedSecret(b"secret"))
    loose, strict = (made.gate((f"introspection.{name}",), anonymous=False, grant=grant) for name in ("loose", "strict"))
    assert (await loose.authenticate(request(bearer("same")))).id == "alice"
    with pytest.raises(Unauthenticated):
        await strict.authenticate(request(bearer("same")))


async def test_cve_2026_71326_no_two_tokens_share_a_question() -> None:
    """Neither ends of tokens nor those that share a beginning are taken for one another."""
    fetch = ScriptedFetch({ONE: answered()})
    made = authentication({"introspection": {"one": entry(ONE)}}, fetch=fetch, secrets=lambda reference: FixedSecret(b"secret"))
    gate = made.gate(("introspection.one",), anonymous=False, grant=grant)
    tokens = ["a", "a=", "aa", "a.a", "aA", "a~"]
    for token in tokens:
        await gate.authenticate(request(bearer(token)))
    assert [posted.form["token"] for posted in fetch.posted] == tokens


async def test_rfc_7662_4_a_refresh_token_is_active_and_no_access_token() -> None:
    """oidc-provider and others answer for refresh tokens too, without a token_type."""
    told = {name: value for name, value in SAID.items() if name != "token_type"}
    fetch = ScriptedFetch({ONE: Fetched(200, {}, json.dumps(told).encode())})
    made = authentication({"introspection": {"one": entry(ONE)}}, fetch=fetch, secrets=lambda reference: FixedSecret(b"secret"))
    with pytest.raises(Unauthenticated):
        await made.gate(("introspection.one",), anonymous=False, grant=grant).authenticate(request(bearer("refresh")))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"active": true', '"active": false, "active": true'),
        ('"active": true', '"Active": true'),
        ('"active": true', '"active": "true"'),
        ('"active": true', '"active": 1'),
        ('"sub": "alice"', '"sub": "mallory", "sub": "alice"'),
        ('"sub": "alice"', '"sub": "alice", "su\\u0062": "alice"'),
        ('"sub": "alice"', '"SUB": "alice"'),
        ('"sub": "alice"', '"sub": "alice\\u0000"'),
    ],
)
async def test_cve_2026_27896_an_answer_that_can_be_read_in_two_ways_lets_nobody_in(before: str, after: str) -> None:
    text = json.dumps(SAID)
    assert before in text
    fetch = ScriptedFetch({ONE: Fetched(200, {}, text.replace(before, after).encode())})
    made = authentication({"introspection": {"one": entry(ONE)}}, fetch=fetch, secrets=lambda reference: FixedSecret(b"secret"))
    with pytest.raises((Unauthenticated, DependencyDown)):
        await made.gate(("introspection.one",), anonymous=False, grant=grant).authenticate(request(bearer("odd")))


KEY = EdKey()
ACCESS: dict[str, Any] = {"jti": "j", "client_id": "app"}


def profiled(token: str) -> Any:
    fetch = ScriptedFetch({JWKS_URL: answer(jwks(KEY))})
    made = authentication({"jwt": {"corp": issuer_model(profile="rfc9068")}}, fetch=fetch)
    return made.gate(("jwt.corp",), anonymous=False, grant=grant).authenticate(request(bearer(token)))


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
async def test_rfc_9068_an_access_token_is_taken(typ: str) -> None:
    assert (await profiled(mint(KEY, claims(**ACCESS), typ=typ))).id == "alice"


@pytest.mark.parametrize("typ", ["JWT", None, "id+jwt", "logout+jwt", "dpop+jwt", "secevent+jwt", "at+jwtx", "x/at+jwt"])
async def test_rfc_9068_an_id_token_is_no_access_token(typ: str | None) -> None:
    with pytest.raises(Unauthenticated, match="type"):
        await profiled(mint(KEY, claims(**ACCESS), typ=typ))


@pytest.mark.parametrize("missing", ["iss", "aud", "exp", "iat", "jti", "sub", "client_id"])
async def test_rfc_9068_what_an_access_token_always_says_is_asked_for(missing: str) -> None:
    with pytest.raises(Unauthenticated):
        await profiled(mint(KEY, claims(**(ACCESS | {missing: None})), typ="at+jwt"))


@pytest.mark.parametrize("wrong", [{"types": ["JWT"]}, {"audience": "none"}, {"issuer": "none"}], ids=str)
def test_rfc_9068_the_profile_cannot_be_waived_in_part(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="rfc9068"):
        authentication({"jwt": {"corp": issuer_model(profile="rfc9068", **wrong)}})
