"""Exchanges of tokens (RFC 8693), attacked: whatever is asked for, nobody gets more than there was. Named after the attack."""

from typing import Any

import pytest

from gateway.core.errors import Unauthenticated
from gateway.core.principal import Identity
from tests.holding import Holder
from tests.issuer import JWKS_URL, EcKey, ScriptedFetch, answer, claims, issuer_model, jwks, mint
from tests.tokening import AGENT, API, ISSUER, REPORTS, TokenHouse, basic, exchange, stated

CORP = EcKey()
ENDPOINT = f"{ISSUER}/.gateway/token"


def house(agent: dict[str, Any] | None = None, *, issuer: dict[str, Any] | None = None, **more: Any) -> TokenHouse:
    """With an issuer `corp` whose tokens the agent may exchange."""
    agent = AGENT | {"exchanges": ["tokens", "jwt.corp", "api_keys"]} | (agent or {})
    authentication = {"jwt": {"corp": issuer_model(**(issuer or {}))}} | more.pop("authentication", {})
    fetch = ScriptedFetch({JWKS_URL: answer(jwks(CORP))})
    clients = {"agent": agent, "reports": REPORTS | {"audiences": [API, "https://b.example.com"]}} | more.pop("clients", {})
    return TokenHouse(clients=clients, authentication=authentication, fetch=fetch, **more)


async def refused(of: TokenHouse, token: str, **form: Any) -> str:
    status, code = await of.refused(exchange(token, **form), basic("agent", "AGENT"))
    assert status == 400
    return str(code)


async def test_an_agent_gets_less_and_the_principal_stays_who_it_was() -> None:
    of = house(issuer={"scope_ceiling": True})
    subject = mint(CORP, claims(scope="issues:* wiki:read", groups=["dev"], acr="mfa", auth_time=1, exp=int(of.clock.now()) + 400))
    found = await of.exchanged(subject, scope="issues:read", routes="issues.*", expires_in="60", budget="3")
    token = found.pop("access_token")
    kind = "urn:ietf:params:oauth:token-type:access_token"
    told = {"token_type": "Bearer", "expires_in": 60, "scope": "issues:read", "budget": 3, "issued_token_type": kind}
    assert found == told
    said = stated(token)
    assert (said["sub"], said["client_id"], said["act"]) == ("corp:alice", "agent", {"sub": "agent", "iss": "clients"})
    who = await of.who(token)
    assert (who.issuer, who.id, who.scheme, who.groups, who.scopes) == ("corp", "alice", "jwt", ("dev",), ("issues:read",))
    assert (who.claims["acr"], who.claims["auth_time"], who.claims["act"]) == ("mfa", 1, said["act"])
    assert who.routes is not None
    assert (who.routes.has("issues.list"), who.routes.has("wiki")) == (True, False)


async def test_scope_widening() -> None:
    of = house()
    token = await of.token(scope="reports:read")
    assert await refused(of, token, scope="reports:write") == "invalid_scope"
    assert await refused(of, token, scope="reports:*") == "invalid_scope"
    assert await refused(of, token, scope="*:*") == "invalid_scope"
    subject = mint(CORP, claims(scope="read"))
    assert await refused(of, subject, scope="read admin") == "invalid_scope"


async def test_scopes_that_nobody_has_only_bound_what_roles_give() -> None:
    """A principal without scopes gets none that a condition would see, and no permission that its roles do not give."""
    seen: list[Identity] = []

    def grant(identity: Identity) -> Any:
        from tests.issuer import grant as plain

        seen.append(identity)
        return plain(identity)

    of = house(grant=grant)
    token = (await of.exchanged(mint(CORP, claims()), scope="payroll:write openid"))["access_token"]
    await of.who(token)
    assert (seen[-1].scopes, seen[-1].permissions, seen[-1].roles) == ((), ("payroll:write",), ())
    again = (await of.exchanged(token, scope="payroll:write"))["access_token"]
    await of.who(again)
    assert seen[-1].permissions == ("payroll:write",)
    assert await refused(of, token, scope="payroll:read") == "invalid_scope"


async def test_a_client_asks_for_no_scope_that_is_not_its_own() -> None:
    of = house({"scopes": ["issues:read"]})
    subject = mint(CORP, claims(scope="issues:read issues:write"))
    assert await refused(of, subject, scope="issues:write") == "invalid_scope"
    assert await refused(of, subject) == "invalid_scope"
    assert (await of.exchanged(subject, scope="issues:read"))["scope"] == "issues:read"


async def test_route_widening() -> None:
    of = house()
    narrow = (await of.exchanged(await of.token(), routes="issues.*"))["access_token"]
    wide = (await of.exchanged(narrow, routes="* wiki"))["access_token"]
    kept = (await of.exchanged(narrow))["access_token"]
    for token in (narrow, wide, kept):
        routes = (await of.who(token)).routes
        assert routes is not None
        assert (routes.has("issues.list"), routes.has("wiki")) == (True, False)


async def test_audience_widening() -> None:
    of = house({"audiences": [API, "https://b.example.com"]})
    other = "https://b.example.com"
    token = await of.token(audience=API)
    assert await refused(of, token, audience=other) == "invalid_target"
    assert await refused(of, token, resource=[API, other]) == "invalid_target"
    both = await of.token(audience=[API, other])
    assert stated((await of.exchanged(both, audience=other))["access_token"])["aud"] == other
    assert await refused(of, both, audience="https://c.example.com") == "invalid_target"
    assert await refused(house(), mint(CORP, claims()), audience=other) == "invalid_target"


async def test_a_life_beyond_the_subjects() -> None:
    of = house()
    token = await of.token(expires_in="100")
    found = await of.exchanged(token, expires_in="900")
    assert found["expires_in"] == 100
    assert stated(found["access_token"])["exp"] == stated(token)["exp"]
    of.clock.advance(99.5)
    assert await refused(of, token) == "invalid_grant"


async def test_an_exchange_for_calls_does_not_double_them() -> None:
    of = house()
    token, gate = await of.token(budget="3"), of.gate()
    child = await of.exchanged(token, budget="10")
    assert child["budget"] == 3
    twin = (await of.exchanged(token))["access_token"]
    await of.who(token, gate=gate)
    await of.who(child["access_token"], gate=gate)
    await of.who(twin, gate=gate)
    for each in (token, child["access_token"], twin):
        with pytest.raises(Unauthenticated, match="calls are spent"):
            await of.who(each, gate=gate)


async def test_a_revoked_token_takes_with_it_what_was_made_of_it() -> None:
    of = house()
    token = await of.token()
    grandchild = (await of.exchanged((await of.exchanged(token))["access_token"]))["access_token"]
    await of.who(grandchild)
    await of.own.revoked.revoke(stated(token)["jti"], 900)
    with pytest.raises(Unauthenticated, match="revoked"):
        await of.who(grandchild)
    assert await refused(of, token) == "invalid_grant"


async def test_a_forged_chain_of_actors() -> None:
    """What a client says of `act` is not read; what an issuer said stays beneath who acts now."""
    of = house()
    found = await of.exchanged(await of.token(), act='{"sub":"boss"}')
    assert stated(found["access_token"])["act"] == {"sub": "agent", "iss": "clients"}
    again = await of.exchanged(found["access_token"])
    act = {"sub": "agent", "iss": "clients"}
    assert stated(again["access_token"])["act"] == act | {"act": act}
    theirs = await of.exchanged(mint(CORP, claims(act={"sub": "helpdesk"})))
    assert stated(theirs["access_token"])["act"] == act | {"act": {"sub": "helpdesk"}}


async def test_an_actor_is_who_the_actor_token_proves() -> None:
    of, kind = house(), "urn:ietf:params:oauth:token-type:access_token"
    actor = mint(CORP, claims(sub="assistant"))
    found = await of.exchanged(await of.token(), actor_token=actor, actor_token_type=kind)
    assert stated(found["access_token"])["act"] == {"sub": "assistant", "iss": "corp"}
    assert await refused(of, await of.token(), actor_token=actor[:-4] + "AAAA", actor_token_type=kind) == "invalid_grant"
    assert await refused(of, await of.token(), actor_token_type=kind) == "invalid_request"


async def test_a_chain_without_an_end() -> None:
    of = house()
    token = await of.token()
    for _ in range(4):
        token = (await of.exchanged(token))["access_token"]
    assert await refused(of, token) == "invalid_grant"
    deep: dict[str, Any] = {"sub": "a"}
    for _ in range(30):
        deep = {"sub": "a", "act": deep}
    assert await refused(of, mint(CORP, claims(act=deep))) == "invalid_grant"


async def test_a_stolen_bound_token_is_not_traded_for_a_free_one() -> None:
    of = house(authentication={"dpop": {}})
    holder, thief = Holder(url=ENDPOINT), Holder(url=ENDPOINT)
    subject = mint(CORP, claims(cnf=holder.cnf))
    assert await refused(of, subject) == "invalid_grant"
    stolen = thief.proof("", htm="POST", ath=None)
    told = await of.refused(exchange(subject), basic("agent", "AGENT"), (b"dpop", stolen))
    assert told == (400, "invalid_grant")
    mine = (b"dpop", holder.proof("", htm="POST", ath=None))
    found = await of.ask(exchange(subject), basic("agent", "AGENT"), mine)
    assert (found["token_type"], stated(found["access_token"])["cnf"]) == ("DPoP", holder.cnf)


async def test_a_token_that_the_client_may_not_exchange() -> None:
    of = house({"exchanges": ["tokens"]})
    assert await refused(of, mint(CORP, claims())) == "unauthorized_client"


@pytest.mark.parametrize(
    ("subject", "form", "told"),
    [
        (claims(aud="https://elsewhere.example.com"), {}, "invalid_grant"),
        (claims(exp=1), {}, "invalid_grant"),
        (claims(iss="https://nobody.example.com/"), {}, "invalid_grant"),
        (claims(), {"subject_token_type": "urn:ietf:params:oauth:token-type:id_token"}, "invalid_request"),
        (claims(), {"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"}, "invalid_request"),
        (claims(), {"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"}, "invalid_request"),
        (claims(), {"subject_token": ""}, "invalid_request"),
        (claims(), {"subject_token": "opaque"}, "invalid_grant"),
    ],
    ids=str,
)
async def test_what_is_no_subject_token_is_refused(subject: dict[str, Any], form: dict[str, Any], told: str) -> None:
    assert await refused(house(), mint(CORP, subject), **form) == told


@pytest.mark.parametrize("token", ["lgk_" + "A" * 61, "a.b.c", "opaque", None])
async def test_tokens_that_strangers_hand_a_client_do_not_have_its_address_blocked(token: str | None) -> None:
    of = house(with_keys=True)
    token = token or (await of.token())[:-4] + "AAAA"
    assert await refused(of, token) == "invalid_grant"
    assert isinstance(of.error, Unauthenticated)
    assert of.error.genuine


async def test_an_api_key_is_exchanged_where_the_client_may() -> None:
    of = house(with_keys=True)
    assert of.keys is not None
    key = of.keys.create(permissions=["issues:*"])
    form = {"subject_token_type": "urn:latchgate:token-type:api_key"}
    found = await of.exchanged(key, **form, scope="issues:read")
    assert stated(found["access_token"])["sub"] == "api_keys:ci"
    assert await refused(of, key, **form, scope="wiki:read") == "invalid_scope"
    of.keys.take([])
    with pytest.raises(Unauthenticated, match="no more"):
        await of.who(found["access_token"])


async def test_a_public_client_that_may_not_exchange() -> None:
    of = house(clients={"cli": {"auth": "none", "grants": ["refresh_token"]}})
    told = await of.refused(exchange(await of.token(), client_id="cli"))
    assert told == (400, "unauthorized_client")
