"""The catalogue over sockets: what it tells a principal is what that principal's requests then meet."""

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.house import Reply, config, house

TOOLS = "/.gateway/tools"
ROLES = """
apiVersion: gateway/v1
kind: Roles
roles: {reader: ["notes:read"], writer: {extends: [reader], permissions: ["notes:write"]}}
bindings:
  - {from_claim: roles, issuer: corp, only: [reader, writer]}
  - {role: writer, groups: ["corp:staff"]}
"""
POLICY = """
apiVersion: gateway/v1
kind: Policy
name: tools
routes: ["*"]
rules:
  - {name: read, allow: [GET], permission: "notes:read", when: "resource.route.startsWith('notes')"}
  - {name: write, allow: [POST], permission: "notes:write", when: "resource.route.startsWith('notes')"}
  - {name: own, allow: any, when: "resource.route == 'own' && has(resource.params.org) && subject.claims.org == resource.params.org"}
  - {name: near, allow: [GET], when: "resource.route == 'near' && request.client_ip == '127.0.0.1'"}
  - {name: away, allow: [GET], when: "resource.route == 'away' && request.client_ip != '127.0.0.1'"}
  - {name: free, allow: [GET], when: "resource.route == 'free'"}
  - {name: strong, allow: [GET], when: "resource.route == 'strong'", then: {step_up: {acr: [gold]}}}
  - {name: out, deny: any, when: "'banned' in subject.groups", reason: Not you.}
"""
PATHS = {
    "notes": ("/notes", None),
    "notes.silent": ("/silent", None),
    "own": ("/orgs/{org}", None),
    "near": ("/near", ["GET"]),
    "away": ("/away", ["GET"]),
    "free": ("/free", ["GET"]),
    "strong": ("/strong", ["GET"]),
    "other": ("/other", ["GET"]),
    "partner": ("/partner", ["GET"]),
}
SHOWN: dict[str, dict[str, Any]] = {
    "notes.silent": {"tool": False},
    "own": {"tool": {"name": "org", "description": "<b>Yours</b>"}},
}
PEOPLE: dict[str, dict[str, Any]] = {
    "rita": {"roles": ["reader"]},
    "wanda": {"roles": ["writer"], "acr": "gold"},
    "nina": {"roles": []},
    "stan": {"roles": [], "groups": ["staff"]},
    "ban": {"roles": ["writer"], "groups": ["banned", *(f"g{number}" for number in range(100))]},
    "lea": {"roles": ["reader"], "org": None},
}
SECRETS = (
    "canary-upstream-token-7f3a",
    '"api"',
    "bot",
    "127.0.0.1",
    "upstream",
    "credential",
    "notes:read",
    "staff",
    "client_ip",
    "<",
)


def settings(**portal: Any) -> dict[str, Any]:
    """Routes of every kind, and two issuers that sign with one key."""
    corp = config(0)["authentication"]["jwt"]["corp"]
    routes = []
    for name, (path, methods) in PATHS.items():
        match: dict[str, Any] = {"path": path, **({"methods": methods} if methods else {})}
        who: dict[str, Any] = (
            {"anonymous": True} if name == "free" else {"authenticate": ["jwt.other" if name == "partner" else "jwt.corp"]}
        )
        shown = SHOWN.get(name, {})
        routes.append({"name": name, "match": match, "upstream": "api", **who, **shown})
    return {
        "detection": {"rules": []},  # tokens of the wrong issuer are shown to every route
        "routes": routes,
        "authentication": {"jwt": {"corp": corp, "other": {**corp, "issuer": "https://other.example/"}}},
        "portal": {"tools": portal or {"authenticate": ["jwt.corp", "jwt.other"]}},
    }


def listed(reply: Reply) -> dict[str, tuple[set[str], set[str]]]:
    assert reply.status == 200, reply.body
    assert not [secret for secret in SECRETS if secret.encode() in reply.body]
    return {tool["name"]: (set(tool["methods"]), set(tool["conditional"])) for tool in reply.json()["tools"]}


async def test_what_is_told_is_what_requests_then_meet(tmp_path: Path) -> None:
    async with house(tmp_path, policy=POLICY, roles=ROLES, **settings()) as gateway:
        for name, claims in PEOPLE.items():
            token = gateway.keys.token(name, **claims)
            told = listed(await gateway.get(TOOLS, token=token))
            for (route, (path, methods)), method in product(PATHS.items(), ("GET", "POST", "DELETE")):
                if route == "notes.silent":
                    continue
                sure, maybe = told.get("org" if route == "own" else route, (set(), set()))
                answers = [await gateway.get(path.format(org=org), method=method, token=token) for org in ("acme", "globex")]
                met = {answer.status for answer in answers}
                expected = (
                    {200}
                    if method in sure
                    else None
                    if method in maybe
                    else {405}
                    if methods and method not in methods
                    else {401, 403}
                )
                assert expected is None or met <= expected, (name, route, method, met, told)


async def test_each_is_told_its_own_and_nobody_anothers(tmp_path: Path) -> None:
    async with house(tmp_path, policy=POLICY, roles=ROLES, **settings()) as gateway:
        told = {
            name: set(listed(await gateway.get(TOOLS, token=gateway.keys.token(name, **claims)))) for name, claims in PEOPLE.items()
        }
        partner = gateway.keys.token("olga", iss="https://other.example/", roles=[])
        other = set(listed(await gateway.get(TOOLS, token=partner)))
        events = await gateway.requests()
    common = {"near", "away", "free", "strong"}
    assert told == {
        "rita": {"notes", "org"} | common,
        "wanda": {"notes", "org"} | common,
        "nina": {"org"} | common,
        "stan": {"notes", "org"} | common,
        "ban": {"free"},
        "lea": {"notes"} | common,
    }
    assert other == {"free"}
    assert [(event["route"], event["issuer"], event["subject"], event["upstream"]) for event in events][-1] == (
        "tools",
        "other",
        "olga",
        None,
    )


async def test_conditions_are_told_as_such_without_the_rule(tmp_path: Path) -> None:
    async with house(tmp_path, policy=POLICY, roles=ROLES, **settings()) as gateway:
        rita, wanda = [
            listed(await gateway.get(TOOLS, token=gateway.keys.token(name, **PEOPLE[name]))) for name in ("rita", "wanda")
        ]
    assert rita["notes"] == ({"GET", "HEAD"}, set())
    assert wanda["notes"] == ({"GET", "HEAD", "POST"}, set())
    assert rita["near"] == rita["away"] == rita["strong"] == (set(), {"GET"})
    assert wanda["strong"] == ({"GET"}, set())


async def test_nobody_is_told_anything_without_a_credential_that_counts(tmp_path: Path) -> None:
    async with house(tmp_path, policy=POLICY, roles=ROLES, **settings(authenticate=["jwt.corp"])) as gateway:
        foreign = gateway.keys.token("olga", iss="https://other.example/")
        old = gateway.keys.token("rita", exp=1)
        for token in (None, foreign, old, "a.b.c"):
            reply = await gateway.get(TOOLS, token=token)
            assert (reply.status, b"tools" in reply.body) == (401, False)
        assert (await gateway.get(TOOLS + "?as=wanda", token=gateway.keys.token("rita"))).status == 400


async def test_everybody_is_told_the_anonymous_ones_where_nobody_is_asked(tmp_path: Path) -> None:
    async with house(tmp_path, policy=POLICY, roles=ROLES, **settings(anonymous=True)) as gateway:
        for token in (None, gateway.keys.token("wanda", **PEOPLE["wanda"])):
            assert listed(await gateway.get(TOOLS, token=token)) == {"free": ({"GET"}, set())}


async def test_only_reading_is_answered_and_nothing_is_kept(tmp_path: Path) -> None:
    async with house(tmp_path, policy=POLICY, roles=ROLES, **settings()) as gateway:
        token = gateway.keys.token("rita", **PEOPLE["rita"])
        first = await gateway.get(TOOLS, token=token)
        head = await gateway.get(TOOLS, token=token, method="HEAD")
        again = await gateway.get(TOOLS, token=token, headers={"If-None-Match": first["etag"]})
        another = await gateway.get(TOOLS, token=gateway.keys.token("nina", roles=[]), headers={"If-None-Match": first["etag"]})
        assert (head.status, head.body, head["etag"]) == (200, b"", first["etag"])
        assert (again.status, again.body, another.status) == (304, b"", 200)
        for method in ("POST", "OPTIONS", "DELETE"):
            refused = await gateway.get(TOOLS, method=method, token=token, headers={"X-HTTP-Method-Override": "GET"})
            assert (refused.status, refused["allow"]) == (405, "GET, HEAD")
        assert (await gateway.get(TOOLS + "/", token=token)).status == 404
    assert ("no-store" in first["cache-control"], first["x-content-type-options"]) == (True, "nosniff")


async def test_pages_go_on_where_the_last_one_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many tools, or so many bytes, and never without one."""
    async with house(tmp_path, policy=POLICY, roles=ROLES, **settings()) as gateway:
        token = gateway.keys.token("rita", **PEOPLE["rita"])
        whole = len((await gateway.get(TOOLS, token=token)).body)
        for limit, most, sizes in ((2, whole, {2}), (6, whole, {6}), (6, 1, {1}), (6, whole // 2, {1, 2, 3, 4, 5})):
            monkeypatch.setattr("gateway.catalogue.MOST_TOLD", most)
            names = list[str]()
            after: str | None = ""
            while after is not None:
                page = (await gateway.get(f"{TOOLS}?limit={limit}&after={after}", token=token)).json()
                names += [tool["name"] for tool in page["tools"]]
                assert len(page["tools"]) in sizes
                after = page["next"]
            assert names == ["away", "free", "near", "notes", "org", "strong"]


async def test_whoever_asks_too_often_is_limited_by_who_he_is(tmp_path: Path) -> None:
    over = settings(authenticate=["jwt.corp"], rate_limits=["few"])
    limits: dict[str, Any] = {"rate_limits": {"rules": {"few": {"key": "subject", "limit": "2/minute"}}}}
    async with house(tmp_path, policy=POLICY, roles=ROLES, **over, **limits) as gateway:
        rita, wanda = gateway.keys.token("rita"), gateway.keys.token("wanda")
        statuses = [(await gateway.get(TOOLS, token=token)).status for token in (rita, rita, rita, wanda)]
    assert statuses == [200, 200, 429, 200]


async def test_schemas_and_templates_are_told_where_they_are_wanted(tmp_path: Path) -> None:
    schema = {"$comment": "bot", "type": "object", "properties": {"title": {"type": "string"}}}
    (tmp_path / "issue.json").write_text(json.dumps(schema))
    for wanted in (True, False):
        over = settings(authenticate=["jwt.corp"], schemas=wanted)
        over["routes"][0] |= {"validate": {"body": "issue.json", "content_types": ["application/json"]}}
        over["routes"][2] |= {"params": {"org": "[a-z]{1,9}"}}
        async with house(tmp_path, policy=POLICY, roles=ROLES, **over) as gateway:
            reply = await gateway.get(TOOLS, token=gateway.keys.token("rita", roles=["reader"]))
        told = {tool["name"]: tool for tool in reply.json()["tools"]}
        assert told["org"]["parameters"] == {"org": "[a-z]{1,9}"}
        assert (told["org"]["path"], told["org"]["description"]) == ("/orgs/{org}", "<b>Yours</b>")
        assert told["notes"].get("schemas") == (
            {"body": {"type": "object", "properties": schema["properties"]}} if wanted else None
        )
        assert told["notes"]["content_types"] == ["application/json"]


DESCRIPTION: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "upstream", "version": "1", "description": "https://bot.internal"},
    "servers": [{"url": "https://bot.internal/v1"}],
    "paths": {
        "/notes": {
            "get": {"summary": "List notes", "responses": {}},
            "post": {
                "summary": "Add a note at bot.internal",
                "requestBody": {"content": {"application/json": {"schema": {"type": "object", "description": "bot"}}}},
                "responses": {},
            },
        },
        "/others": {"get": {"summary": "Other things", "responses": {}}},
    },
}


async def test_operations_of_a_description_are_told_to_those_who_may_use_them(tmp_path: Path) -> None:
    (tmp_path / "api.json").write_text(json.dumps(DESCRIPTION))
    over = settings(authenticate=["jwt.corp"])
    described = {"rewrite": {"strip_prefix": "/front"}, "validate": {"openapi": "api.json"}}
    over["routes"][0] |= {"match": {"path": "/front/v1/**"}, **described}
    near = next(each for each in over["routes"] if each["name"] == "near")
    near |= {"match": {"path": "/front/v1/others", "methods": ["GET"]}, **described}
    async with house(tmp_path, policy=POLICY, roles=ROLES, **over) as gateway:
        seen = {}
        for who, role in (("rita", "reader"), ("wanda", "writer")):
            reply = await gateway.get(TOOLS, token=gateway.keys.token(who, roles=[role]))
            listed(reply)
            seen[who] = {tool["name"]: tool for tool in reply.json()["tools"]}
        operations = seen["rita"]["notes"]["schemas"]["operations"]
        assert [(method, [each["path"] for each in found]) for method, found in operations.items()] == [
            ("GET", ["/front/v1/notes", "/front/v1/others"])
        ]
        assert (operations["GET"][0]["summary"], seen["rita"]["notes"]["description"]) == ("List notes", "")
        [posted] = seen["wanda"]["notes"]["schemas"]["operations"]["POST"]
        assert posted["body"] == {"application/json": {"type": "object"}}
        assert "summary" not in posted
        assert seen["rita"]["near"]["description"] == "Other things"
        asked = await gateway.get(operations["GET"][0]["path"], token=gateway.keys.token("rita", roles=["reader"]))
        assert asked.status == 200


async def test_a_description_too_large_to_be_told_is_null_and_none_is_told_where_schemas_are_not(tmp_path: Path) -> None:
    large = {"type": "object", "properties": {f"p{number}": {"type": "string"} for number in range(900)}}
    paths = {
        f"/{name}": {"post": {"requestBody": {"content": {"application/json": {"schema": large}}}, "responses": {}}}
        for name in "abc"
    }
    (tmp_path / "api.json").write_text(json.dumps({**DESCRIPTION, "paths": paths}))
    for wanted in (True, False):
        over = settings(authenticate=["jwt.corp"], schemas=wanted)
        over["routes"][0] |= {"match": {"path": "/**"}, "validate": {"openapi": "api.json"}}
        async with house(tmp_path, policy=POLICY, roles=ROLES, **over) as gateway:
            reply = await gateway.get(TOOLS, token=gateway.keys.token("wanda", roles=["writer"]))
        told = {tool["name"]: tool for tool in reply.json()["tools"]}
        assert told["notes"].get("schemas") == ({"operations": None} if wanted else None)


async def test_without_the_key_there_is_no_catalogue(tmp_path: Path) -> None:
    async with house(tmp_path) as gateway:
        assert (await gateway.get(TOOLS, token=gateway.keys.token())).status == 404
