"""Protected resources (RFC 9728): where clients are told to get a token, and that nothing a request says is in it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from gateway.cli.check import built
from gateway.settings.load import load
from tests.house import AUDIENCE, ISSUER, House, Reply, config, house, written

NOTES, TASKS = "https://gw.example/mcp/notes", "https://gw.example"
AT = "/.well-known/oauth-protected-resource"
POINTER = f'resource_metadata="https://gw.example{AT}/mcp/notes", scope="notes:read notes:write"'
POLICY = """
apiVersion: gateway/v1
kind: Policy
name: tests
routes: ["*"]
rules:
  - {name: members, allow: [GET], permission: "things:use"}
  - {name: strong, allow: [POST], permission: "things:use", then: {step_up: {acr: [gold]}}}
"""


def settings(**over: Any) -> dict[str, Any]:
    corp = config(0)["authentication"]["jwt"]["corp"] | {"audience": [AUDIENCE, NOTES, TASKS], "scope_ceiling": True}
    accepted = {"upstream": "api", "authenticate": ["jwt.corp"]}
    base: dict[str, Any] = {
        "authentication": {"jwt": {"corp": corp}},
        "detection": {"rules": []},  # many tokens that are refused come from here
        "resources": {
            "notes": {"url": NOTES, "scopes": ["notes:read", "notes:write"], "name": "Notes", "terms": "https://example.com/terms"},
            "tasks": {"url": TASKS, "own_tokens_only": False},
        },
        "routes": [
            {"name": "notes", "match": {"path": "/mcp/notes"}, "resource": "notes", **accepted},
            {"name": "tasks", "match": {"path": "/tasks"}, "resource": "tasks", **accepted},
            {"name": "plain", "match": {"path": "/plain"}, **accepted},
        ],
    }
    return base | over


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with house(tmp_path_factory.mktemp("resources"), policy=POLICY, **settings()) as made:
        yield made


pytestmark = pytest.mark.asyncio(loop_scope="module")


def challenge(reply: Reply, status: int = 401) -> str:
    assert reply.status == status, reply.body
    [value] = reply.all("www-authenticate")
    return value


async def test_the_metadata_is_told_to_everybody_at_the_resources_own_place(gateway: House) -> None:
    reply = await gateway.get(f"{AT}/mcp/notes")
    assert (reply.status, reply["content-type"], reply["access-control-allow-origin"]) == (200, "application/json", "*")
    assert reply.json() == {
        "resource": NOTES,
        "authorization_servers": [ISSUER],
        "scopes_supported": ["notes:read", "notes:write"],
        "bearer_methods_supported": ["header"],
        "resource_name": "Notes",
        "resource_tos_uri": "https://example.com/terms",
    }
    root = (await gateway.get(AT)).json()
    assert root == {"resource": TASKS, "authorization_servers": [ISSUER], "bearer_methods_supported": ["header"]}
    assert (await gateway.get(f"{AT}/mcp/other")).status == 404
    assert (await gateway.get(f"{AT}/mcp/notes", method="POST")).status == 405
    assert (await gateway.get(f"{AT}/mcp/notes", method="HEAD")).status == 200


async def test_a_challenge_points_there_and_calls_nothing_invalid_that_was_not_presented(gateway: House) -> None:
    assert challenge(await gateway.get("/mcp/notes")) == f'Bearer realm="gateway", {POINTER}'
    bad = challenge(await gateway.get("/mcp/notes", token="a.b.c"))
    assert bad == f'Bearer realm="gateway", error="invalid_token", {POINTER}'
    assert challenge(await gateway.get("/tasks")) == f'Bearer realm="gateway", resource_metadata="https://gw.example{AT}"'
    assert challenge(await gateway.get("/plain")) == 'Bearer realm="gateway"'


async def test_missing_scopes_are_named_with_the_403(gateway: House) -> None:
    token = gateway.keys.token(aud=NOTES, scope="other")
    assert challenge(await gateway.get("/mcp/notes", token=token), 403) == f'Bearer error="insufficient_scope", {POINTER}'
    weak = gateway.keys.token(aud=NOTES, scope="things:use")
    assert POINTER in challenge(await gateway.get("/mcp/notes", method="POST", token=weak))
    assert (await gateway.get("/mcp/notes", token=weak)).status == 200


async def test_nothing_that_a_request_says_is_in_metadata_or_challenge(gateway: House) -> None:
    said = {"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example", "X-Forwarded-Proto": "http"}
    for target in (f"{AT}/mcp/notes", "/mcp/notes", '/mcp/notes?x="evil.example'):
        reply = await gateway.get(target, host="evil.example", headers=said)
        assert "evil" not in str(reply.headers)
        assert b"evil" not in reply.body


async def test_cve_2025_69196_a_token_for_another_resource_of_the_same_issuer_is_refused(gateway: House) -> None:
    for audience in (AUDIENCE, TASKS, NOTES + "/", NOTES.upper(), [AUDIENCE, TASKS], [NOTES + "/x"]):
        token = gateway.keys.token(aud=audience, scope="things:use")
        for _ in range(2):
            assert "invalid_token" in challenge(await gateway.get("/mcp/notes", token=token))
    for audience in (NOTES, [AUDIENCE, NOTES]):
        token = gateway.keys.token(aud=audience, scope="things:use")
        assert [(await gateway.get("/mcp/notes", token=token)).status for _ in range(2)] == [200, 200]
        assert (await gateway.get("/plain", token=token)).status == 200


async def test_a_token_remembered_on_another_route_is_judged_anew(gateway: House) -> None:
    token = gateway.keys.token(aud=AUDIENCE, scope="things:use")
    for path, status in (("/plain", 200), ("/mcp/notes", 401), ("/plain", 200), ("/tasks", 200), ("/mcp/notes", 401)):
        assert (await gateway.get(path, token=token)).status == status


def problems(folder: Path, **over: Any) -> list[str]:
    (folder / "policies").mkdir()
    (folder / "policies" / "policy.yaml").write_text(POLICY)
    (folder / "jwks.json").write_text('{"keys": []}')
    (folder / "config.yaml").write_text(written(config(1) | settings(**over)))
    return [str(problem) for problem in built(load([folder / "config.yaml"], environ={"UPSTREAM_TOKEN": "t"}))]


@pytest.mark.parametrize(
    ("resource", "told"),
    [
        ({"url": "http://gw.example/mcp"}, "lower case, without query and fragment"),
        ({"url": "https://gw.example/mcp?x=1"}, "lower case, without query and fragment"),
        ({"url": "https://gw.example/a/../b"}, "lower case, without query and fragment"),
        ({"url": 'https://gw.example/"x'}, "lower case, without query and fragment"),
        ({"url": "https://GW.example/mcp"}, "lower case, without query and fragment"),
        ({"url": "https://gw.example/{x}"}, "lower case, without query and fragment"),
        ({"url": NOTES, "scopes": ['a"b']}, "scopes"),
        ({"url": NOTES, "scopes": ["a b"]}, "scopes"),
        ({"url": "https://gw.example/"}, "has the path of 'notes'"),
        ({"url": "https://gw.example/third"}, "for this resource would be refused"),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_a_resource_that_would_mislead_is_refused(tmp_path: Path, resource: dict[str, Any], told: str) -> None:
    found = problems(tmp_path, resources={"notes": {"url": TASKS, "own_tokens_only": False}, "tasks": resource})
    assert [problem for problem in found if told in problem], found


async def test_a_resource_needs_a_server_that_gives_tokens(tmp_path: Path) -> None:
    waived = config(0)["authentication"]["jwt"]["corp"] | {"issuer": "none"}
    found = problems(tmp_path, authentication={"jwt": {"corp": waived}})
    assert [problem for problem in found if "no server to send clients to" in problem], found


async def test_no_route_claims_the_metadata(tmp_path: Path) -> None:
    route = {"name": "thief", "match": {"path": f"{AT}/mcp/notes"}, "upstream": "api", "authenticate": ["jwt.corp"]}
    found = problems(tmp_path, routes=[*settings()["routes"], route])
    assert [problem for problem in found if "reserved for the gateway itself" in problem], found


async def test_a_resource_of_an_anonymous_route_and_an_unknown_one_are_refused(tmp_path: Path) -> None:
    routes = settings()["routes"]
    routes[0] = {name: value for name, value in routes[0].items() if name != "authenticate"} | {"anonymous": True}
    routes[1]["resource"] = "taks"
    found = problems(tmp_path, routes=routes)
    assert [problem for problem in found if "everybody is let in" in problem], found
    assert [problem for problem in found if "unknown resource 'taks'" in problem], found
