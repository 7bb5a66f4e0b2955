"""The token endpoint: what a client gets, and what each refusal is told as."""

from typing import Any

import pytest

from gateway.core.errors import Forbidden, Unauthenticated
from gateway.core.reason import Reason
from tests.issuer import JWKS_URL, EcKey, ScriptedFetch, answer, bearer, claims, issuer_model, jwks, mint, request
from tests.tokening import AGENT, API, ISSUER, REPORTS, TokenHouse, basic, exchange, stated

FORM = {"grant_type": "client_credentials"}


async def test_a_client_gets_a_token_that_routes_know_as_the_client() -> None:
    house = TokenHouse()
    found = await house.ask({**FORM, "scope": "reports:read"}, basic("reports", "REPORTS"))
    token = found.pop("access_token")
    assert found == {"token_type": "Bearer", "expires_in": 900, "scope": "reports:read"}
    said = stated(token)
    assert (said["iss"], said["aud"], said["sub"], said["client_id"]) == (ISSUER, API, "clients:reports", "reports")
    who = await house.who(token)
    assert (who.issuer, who.id, who.scheme, who.scopes) == ("clients", "reports", "token", ("reports:read",))
    assert who.expires == said["exp"]
    [(event, fields)] = house.told
    assert (event, fields["credential_id"], fields["scopes"]) == ("token.issued", said["jti"], ["reports:read"])


async def test_without_scope_a_client_has_all_that_it_may_ask_for() -> None:
    house = TokenHouse()
    assert (await house.who(await house.token())).scopes == ("reports:read", "reports:write")


async def test_either_of_two_secrets_counts_while_one_replaces_the_other() -> None:
    house = TokenHouse(clients={"reports": REPORTS | {"secret": [{"env": "REPORTS_NEXT"}, {"env": "REPORTS"}]}})
    assert await house.token("reports", "REPORTS")
    assert await house.token("reports", "REPORTS_NEXT")
    assert await house.refused(FORM, basic("reports", "AGENT")) == (401, "invalid_client")


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({}, (400, "invalid_request")),
        ({"grant_type": "password", "username": "a", "password": "b"}, (400, "unsupported_grant_type")),
        ({**FORM, "scope": "admin"}, (400, "invalid_scope")),
        ({**FORM, "scope": 'a"b'}, (400, "invalid_scope")),
        ({**FORM, "audience": "https://elsewhere.example.com"}, (400, "invalid_target")),
        ({**FORM, "resource": [API, "https://elsewhere.example.com"]}, (400, "invalid_target")),
        ({**FORM, "resource": "no target"}, (400, "invalid_target")),
        ({**FORM, "budget": "0"}, (400, "invalid_request")),
        ({**FORM, "expires_in": "1e9"}, (400, "invalid_request")),
        ([("grant_type", "client_credentials"), ("grant_type", "client_credentials")], (400, "invalid_request")),
        ([*FORM.items(), ("scope", "a"), ("scope", "b")], (400, "invalid_request")),
        (b"grant_type=%zz", (400, "invalid_request")),
        (b"&".join(b"a%d=1" % number for number in range(100)), (400, "invalid_request")),
        (exchange("a.b.c"), (400, "unauthorized_client")),
    ],
    ids=str,
)
async def test_what_a_client_may_not_ask_is_told_as_the_standard_says(form: Any, told: tuple[int, str]) -> None:
    assert await TokenHouse().refused(form, basic("reports", "REPORTS")) == told


async def test_parameters_in_the_url_are_refused() -> None:
    house = TokenHouse()
    asked = house.request(FORM, basic("reports", "REPORTS"))
    asked.query = b"scope=reports:read"
    with pytest.raises(Exception, match="parameters come in the body"):
        await house.portal.token(asked, house.exchange())


async def test_a_body_of_another_type_is_refused() -> None:
    house = TokenHouse()
    asked = house.request(FORM, basic("reports", "REPORTS"))
    asked.head.fields[b"content-type"] = b"application/json"
    with pytest.raises(Exception, match="x-www-form-urlencoded"):
        await house.portal.token(asked, house.exchange())


async def test_an_empty_parameter_is_none() -> None:
    house = TokenHouse()
    assert await house.token(scope="", audience="") is not None


@pytest.mark.parametrize("ways", [1, 2])
async def test_a_refusal_is_counted_as_a_failed_credential_of_the_client(ways: int) -> None:
    house = TokenHouse()
    assert await house.refused(FORM, basic("reports", "AGENT")) == (401, "invalid_client")
    assert isinstance(house.error, Unauthenticated)
    assert (house.error.about, house.error.reason, house.error.genuine) == ("client:reports", Reason.CREDENTIAL_INVALID, False)
    assert house.metrics.counted("gateway.token_service.refused", error="invalid_client") == 1


async def test_who_says_nothing_of_himself_has_failed_nothing() -> None:
    house = TokenHouse()
    assert await house.refused(FORM) == (401, "invalid_client")
    assert house.error.reason is Reason.CREDENTIAL_MISSING
    assert (b"www-authenticate", b'Basic realm="gateway", charset="UTF-8"') in house.error.headers


async def test_a_token_is_for_what_was_asked_for_and_counts_there_alone() -> None:
    mcp = "https://gw.example.com/mcp"
    house = TokenHouse(clients={"reports": REPORTS | {"audiences": [API, mcp]}})
    token = await house.token(resource=mcp)
    assert stated(token)["aud"] == mcp
    assert (await house.who(token, gate=house.gate(pinned=mcp))).id == "reports"
    with pytest.raises(Unauthenticated, match="another audience"):
        await house.who(token)
    both = await house.token(resource=mcp, audience=API)
    assert stated(both)["aud"] == [mcp, API]
    assert (await house.who(both)).id == "reports"


async def test_an_api_key_is_traded_for_a_narrower_token_of_the_same_principal() -> None:
    house = TokenHouse(with_keys=True)
    assert house.keys is not None
    key = house.keys.create(roles=["member"], permissions=["issues:*"], routes=["issues.*", "wiki"], expires=300)
    form = {**FORM, "scope": "issues:read", "routes": "issues.list wiki.edit", "budget": "5"}
    found = await house.ask(form, (b"x-api-key", key.encode()))
    assert (found["expires_in"], found["scope"], found["budget"]) == (300, "issues:read", 5)
    who = await house.who(found["access_token"])
    assert (who.issuer, who.id, who.scheme, who.scopes) == ("api_keys", "ci", "api_key", ())
    assert who.routes is not None
    assert [name for name in ("issues.list", "issues.edit", "wiki", "wiki.edit") if who.routes.has(name)] == ["issues.list"]


async def test_an_api_key_as_bearer_is_traded_too() -> None:
    house = TokenHouse(with_keys=True)
    assert house.keys is not None
    found = await house.ask(FORM, bearer(house.keys.create()))
    assert stated(found["access_token"])["sub"] == "api_keys:ci"


async def test_a_key_for_some_addresses_is_not_traded_for_what_counts_from_all() -> None:
    house = TokenHouse(with_keys=True)
    assert house.keys is not None
    key = house.keys.create(addresses=["192.0.2.0/24"])
    assert await house.refused(FORM, (b"x-api-key", key.encode())) == (401, "invalid_client")
    assert isinstance(house.error, Unauthenticated)
    assert house.error.genuine


async def test_a_wrong_key_is_counted_for_the_key() -> None:
    house = TokenHouse(with_keys=True)
    assert house.keys is not None
    key = house.keys.create()
    wrong = house.keys.create()[:17] + key[17:]
    assert await house.refused(FORM, (b"x-api-key", wrong.encode())) == (401, "invalid_client")
    assert isinstance(house.error, Unauthenticated)


async def test_a_token_counts_no_longer_than_the_key_it_was_given_for() -> None:
    house = TokenHouse(with_keys=True)
    assert house.keys is not None
    token = (await house.ask(FORM, (b"x-api-key", house.keys.create().encode())))["access_token"]
    gate = house.gate()
    assert (await house.who(token, gate=gate)).id == "ci"
    house.keys.take([])
    with pytest.raises(Unauthenticated, match="no more"):
        await house.who(token, gate=gate)


async def test_a_token_of_a_client_that_is_configured_no_more_counts_no_more() -> None:
    token = await TokenHouse().token()
    with pytest.raises(Unauthenticated, match="no more"):
        await TokenHouse(clients={"agent": AGENT}).who(token)


async def test_a_token_of_another_issuer_stays_that_issuers() -> None:
    corp = EcKey()
    fetch = ScriptedFetch({JWKS_URL: answer(jwks(corp))})
    house = TokenHouse(authentication={"jwt": {"corp": issuer_model()}}, fetch=fetch)
    both = house.gate(accepted=("tokens", "jwt.corp"))
    assert (await house.who(mint(corp, claims()), gate=both)).issuer == "corp"
    assert (await house.who(await house.token(), gate=both)).issuer == "clients"
    with pytest.raises(Unauthenticated, match="no accepted issuer"):
        await house.who(await house.token(), gate=house.gate(accepted=("jwt.corp",)))


async def test_the_last_call_of_a_budget_is_the_last() -> None:
    house = TokenHouse()
    token, gate = await house.token(budget="2"), house.gate()
    for _ in range(2):
        assert (await house.who(token, gate=gate, memo={})).id == "reports"
    with pytest.raises(Unauthenticated) as caught:
        await house.who(token, gate=gate)
    assert (caught.value.members, caught.value.genuine) == ({"budget": "exhausted"}, True)


async def test_a_budget_is_not_recalled_past_its_calls() -> None:
    house = TokenHouse()
    token, gate, memo = await house.token(budget="1"), house.gate(), dict[object, Any]()
    asked = request(bearer(token), memo=memo)
    await gate.authenticate(asked)
    assert gate.recalled(asked) is None


async def test_who_is_known_is_not_let_in_for_it() -> None:
    """A refusal that is none of a credential is no guess."""
    house = TokenHouse()
    await house.refused({**FORM, "scope": "admin"}, basic("reports", "REPORTS"))
    assert isinstance(house.error, Forbidden)
