"""What rules demand, over sockets: honoured, or the request does not get through."""

from pathlib import Path
from typing import Any

import pytest

from tests.house import ROLES, House, house

START = 'apiVersion: gateway/v1\nkind: Policy\nname: p\nroutes: ["*"]\nrules:\n'


def ruled(*rules: str) -> str:
    return START + "".join(f"  - {rule}\n" for rule in rules)


async def answered(served: House, **request: Any) -> tuple[int, str | None]:
    """The status and the reason in the trail."""
    reply = await served.get("/things/1", token=served.keys.token(), **request)
    return reply.status, (await served.requests())[-1]["reason"]


async def test_a_rate_that_a_rule_states_is_counted_for_the_rule_and_principal(tmp_path: Path) -> None:
    policy = ruled(
        "{name: reads, allow: [GET]}",
        "{name: writes, allow: [POST], then: {rate_limit: 2/day}}",
    )
    async with house(tmp_path, policy=policy) as served:
        alice, bob = served.keys.token("alice"), served.keys.token("bob")
        replies = [await served.get(f"/{path}/1", method="POST", token=alice) for path in ("things", "admin", "things")]
        assert [reply.status for reply in replies] == [200, 200, 429]
        assert replies[0]["ratelimit-policy"] == '"p/writes";q=2;w=86400'
        assert replies[2].json()["violated-policies"] == ["p/writes"]
        assert replies[2].get("retry-after") is not None
        assert (await served.get("/things/1", method="POST", token=bob)).status == 200
        assert (await served.get("/things/1", token=alice)).get("ratelimit") is None


async def test_a_reload_does_not_give_back_what_a_rules_rate_has_counted(tmp_path: Path) -> None:
    policy = ruled("{name: a, allow: any, then: {rate_limit: 1/day}}")
    async with house(tmp_path, policy=policy) as served:
        assert (await answered(served))[0] == 200
        (tmp_path / "policies" / "policy.yaml").write_text(policy + "# changed\n")
        await served.process.reload()
        assert await answered(served) == (429, "rate-limited")


async def test_a_weak_login_is_challenged_and_a_strong_one_passes(tmp_path: Path) -> None:
    policy = ruled("{name: a, allow: any, then: {step_up: {acr: mfa}}}", "{name: b, allow: any}")
    async with house(tmp_path, policy=policy) as served:
        weak = await served.get("/things/1", token=served.keys.token())
        assert (weak.status, weak.json()["type"]) == (401, "urn:latchgate:problem:step-up-required")
        assert weak["www-authenticate"].startswith('Bearer realm="gateway", error="insufficient_user_authentication"')
        assert (await served.get("/things/1", token=served.keys.token(acr="mfa"))).status == 200
        assert len(served.upstream.seen) == 1


async def test_fields_that_rules_set_reach_the_upstream_and_nobody_elses_do(tmp_path: Path) -> None:
    policy = ruled(
        "{name: a, allow: any, then: {set_header: {X-Mode: read-only, X-Tenant: {cel: subject.claims.org}}}}",
    )
    async with house(tmp_path, policy=policy) as served:
        for _ in range(2):
            spoofed = {"X-Mode": "write", "x_mode": "write", "X.Tenant": "evil"}
            reply = await served.get("/things/1", token=served.keys.token(), headers=spoofed)
            assert reply.status == 200
        for seen in served.upstream.seen:
            assert (seen.all("x-mode"), seen.all("x-tenant")) == (["read-only"], ["acme"])
            assert not {"x_mode", "x.tenant"} & seen.names


async def test_a_field_of_a_rule_is_taken_from_clients_also_where_the_rule_does_not_speak(tmp_path: Path) -> None:
    policy = ruled(
        "{name: a, allow: [POST], then: {set_header: {X-Mode: write}}}",
        "{name: b, allow: [GET]}",
    )
    async with house(tmp_path, policy=policy) as served:
        assert (await served.get("/things/1", token=served.keys.token(), headers={"X-Mode": "write"})).status == 200
        assert served.upstream.seen[0].all("x-mode") == []


@pytest.mark.parametrize(
    ("rules", "claims"),
    [
        (["{name: a, allow: any, then: {set_header: {X-A: {cel: subject.claims.nope}}}}"], {}),
        (["{name: a, allow: any, then: {set_header: {X-A: {cel: subject.claims.org}}}}"], {"org": 7}),
        (["{name: a, allow: any, then: {set_header: {X-A: {cel: subject.claims.org}}}}"], {"org": ""}),
        (["{name: a, allow: any, then: {set_header: {X-A: {cel: subject.claims.org}}}}"], {"org": "a\r\nX-Admin: 1"}),
        (["{name: a, allow: any, then: {set_header: {X-A: {cel: subject.claims.org}}}}"], {"org": " a"}),
        (["{name: a, allow: any, then: {set_header: {X-A: {cel: subject.claims.org}}}}"], {"org": "a" * 4097}),
        (["{name: a, allow: any, then: {set_header: {X-A: a}}}", "{name: b, allow: any, then: {set_header: {X_A: b}}}"], {}),
    ],
)
async def test_what_cannot_be_honoured_denies(tmp_path: Path, rules: list[str], claims: dict[str, Any]) -> None:
    async with house(tmp_path, policy=ruled(*rules)) as served:
        reply = await served.get("/things/1", token=served.keys.token(**claims))
        assert reply.status in (401, 403)
        assert served.upstream.seen == []
        assert (await served.only_request())["reason"] in ("policy-denied", "credential-invalid")


@pytest.mark.parametrize(
    "name", ["Host", "Authorization", "Cookie", "Content-Type", "X-Request-Id", "X-Forwarded-For", "Connection", "TE"]
)
async def test_a_rule_cannot_set_what_is_the_gateways(tmp_path: Path, name: str) -> None:
    policy = ruled(f"{{name: a, allow: any, then: {{set_header: {{{name}: x}}}}}}")
    with pytest.raises(Exception, match="is not a rule's to set"):
        async with house(tmp_path, policy=policy):
            pass


async def test_a_rule_cannot_set_the_header_that_an_injected_credential_goes_into(tmp_path: Path) -> None:
    policy = ruled("{name: a, allow: any, then: {set_header: {X_Api_Key: x}}}")
    credentials = {"bot": {"inject": "header", "name": "X-Api-Key", "secret": {"env": "UPSTREAM_TOKEN"}}}
    with pytest.raises(Exception, match="is not a rule's to set"):
        async with house(tmp_path, policy=policy, credentials=credentials):
            pass


async def test_a_body_over_what_a_rule_takes_is_refused_whole_or_in_chunks(tmp_path: Path) -> None:
    policy = ruled("{name: a, allow: any, then: {max_body: 4}}", "{name: b, allow: any}")
    async with house(tmp_path, policy=policy) as served:
        assert (await answered(served, method="POST", body=b"1234"))[0] == 200
        assert await answered(served, method="POST", body=b"12345") == (413, "body-too-large")
        token = served.keys.token()
        chunked = (
            f"POST /things/1 HTTP/1.1\r\nHost: gw.test\r\nAuthorization: Bearer {token}\r\nTransfer-Encoding: chunked\r\n\r\n"
            "5\r\n12345\r\n0\r\n\r\n"
        )
        assert (await served.raw(chunked.encode(), method="POST", close=True)).status == 413
        assert [seen.body for seen in served.upstream.seen if seen.body] == [b"1234"]
        assert (await answered(served))[0] == 200


async def test_demands_of_rules_hold_on_anonymous_routes_too(tmp_path: Path) -> None:
    policy = ruled("{name: a, allow: any, then: {step_up: {acr: mfa}, rate_limit: 5/day}}")
    async with house(tmp_path, policy=policy, roles=ROLES) as served:
        assert (await served.get("/public/x")).status == 401
        assert served.upstream.seen == []


async def test_values_are_hashed_with_the_configured_key(tmp_path: Path) -> None:
    policy = ruled("{name: a, allow: any, then: {redact: {response: [$.mail], style: hash}}}")
    key = "k3Jw9vQzP0sLx7TnB2mYc5RdF8hGaE1u"
    redaction = {"key": {"env": "REDACTION_KEY"}}
    async with house(tmp_path, policy=policy, redaction=redaction, environ={"REDACTION_KEY": key}) as served:
        served.upstream.answer = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{"mail": "a@b"}'
        replies = [await served.get("/things/1", token=served.keys.token()) for _ in range(2)]
        assert {reply.status for reply in replies} == {200}
        assert replies[0].json() == replies[1].json()
        assert "a@b" not in replies[0].body.decode()
        assert key not in replies[0].body.decode()


async def test_a_key_that_is_too_weak_refuses_the_start(tmp_path: Path) -> None:
    redaction = {"key": {"env": "REDACTION_KEY"}}
    with pytest.raises(Exception, match=r"redaction\.key"):
        async with house(tmp_path, redaction=redaction, environ={"REDACTION_KEY": "short"}):
            pass
