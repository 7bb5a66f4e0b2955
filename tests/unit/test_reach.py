"""Where credentials are used and who may reach them: compared with what the policies then decide."""

from pathlib import Path

import pytest

from gateway.authn import key_entry, key_file
from gateway.authz.cases import imagined
from gateway.core.decision import AccessRequest
from gateway.core.principal import Identity
from gateway.reach import Way, everybody, named, sources, uses, ways
from gateway.rehearsal import Rehearsal, rehearse
from gateway.settings import Loaded, load
from tests.policyhouse import furnish

NOW = 1_780_000_000.0
PEPPER = b"4bTq9x0ZrVn7sKpW2mLcYhEa8dGfUiOj"
CONFIG = """\
version: 1
policies: policies
authentication:
  jwt:
    corp: {issuer: "https://idp.example/", audience: [https://gw.example], jwks: {file: keys.json}, algorithms: [ES256], scope_ceiling: true}
    other: {issuer: "https://other.example/", audience: [https://gw.example], jwks: {file: keys.json}, algorithms: [ES256]}
  api_keys: {file: api-keys.yaml, pepper: {env: PEPPER}}
credentials:
  bot: {inject: bearer, secret: {env: BOT}}
  spare: {inject: basic, username: u, password: {file: spare.txt}}
  idle: {inject: header, name: X-Key, secret: {env: BOT}}
upstreams:
  api: {url: https://api.example.com, credential: [bot, spare]}
  plain: {url: https://plain.example.com}
routes:
  - {name: notes.list, match: {path: "/orgs/{org}/notes", methods: [GET, POST]}, upstream: api, authenticate: [jwt.corp, api_keys]}
  - {name: notes.one, match: {path: "/notes/{note}"}, upstream: plain, credential: spare, authenticate: [jwt.other]}
  - {name: open.page, match: {path: /open, methods: [GET]}, upstream: plain, credential: bot, anonymous: true}
  - {name: plain.page, match: {path: /plain, methods: [GET]}, upstream: plain, anonymous: true}
"""
ROLES = """\
apiVersion: gateway/v1
kind: Roles
roles:
  reader: [notes:read]
  writer: {extends: [reader], permissions: [notes:write]}
bindings:
  - {from_claim: roles, issuer: corp, only: [reader]}
  - {role: writer, subjects: ["corp:wanda", "other:olga"]}
  - {role: writer, groups: ["corp:staff"]}
  - {role: reader, when: "subject.id.startsWith('svc-')"}
  - {role: writer, subjects: ["corp:gone"], expires_at: "2020-01-01T00:00:00Z"}
"""
POLICY = """\
apiVersion: gateway/v1
kind: Policy
name: notes
routes: [notes.*, open.*]
rules:
  - {name: read, allow: [GET], permission: "notes:read"}
  - {name: write, allow: [POST], permission: "notes:write", when: "request.client_ip != '203.0.113.9'"}
  - {name: page, allow: [GET], when: "resource.route == 'open.page'"}
  - {name: no-put, deny: [PUT], reason: Never.}
  - {name: night, deny: any, when: "request.client_ip == '203.0.113.1'", reason: Not from there.}
"""


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    furnish(tmp_path, config=CONFIG, roles=ROLES, policy=POLICY, tests="")
    (tmp_path / "policies" / "notes_test.yaml").unlink()
    (tmp_path / "spare.txt").write_text("canary-of-the-spare\n")
    _, entry = key_entry.new_entry(PEPPER, prefix="lgk", name="ci", now=NOW, permissions=["notes:write"])
    _, idle = key_entry.new_entry(PEPPER, prefix="lgk", name="idle", now=NOW, roles=["nobody"])
    _, past = key_entry.new_entry(PEPPER, prefix="lgk", name="past", now=NOW - 10, permissions=["notes:read"], expires=5)
    for each in (entry, idle, past):
        key_file.add(tmp_path / "api-keys.yaml", each)
    return load([tmp_path / "config.yaml"], environ={"BOT": "canary-of-the-bot", "PEPPER": PEPPER.decode()})


@pytest.fixture
def built(loaded: Loaded) -> Rehearsal:
    return rehearse(loaded)


def told(loaded: Loaded, built: Rehearsal, credential: str) -> dict[str, Way]:
    return {way.use.route: way for way in ways(loaded, built.policies, built.documents, credential, NOW)}


def test_a_credential_is_found_by_its_name_and_by_what_it_is_made_of(loaded: Loaded, tmp_path: Path) -> None:
    assert loaded.settings is not None
    settings = loaded.settings
    assert named(loaded, settings, "bot") == ["bot"]
    assert named(loaded, settings, "env:BOT") == ["bot", "idle"]
    assert named(loaded, settings, f"file:{tmp_path / 'spare.txt'}") == ["spare"]
    assert named(loaded, settings, "nothing") == []
    [made_of] = sources(loaded, settings, "spare")
    assert (made_of.key, made_of.place) == ("credentials.spare.password", f"{tmp_path / 'config.yaml'}:10")


def test_uses_tell_the_place_in_the_order_and_who_named_it(loaded: Loaded) -> None:
    assert loaded.settings is not None
    found = {
        name: [(use.route, use.position, use.of, use.given_by) for use in uses(loaded, loaded.settings, name)]
        for name in ("bot", "spare", "idle")
    }
    assert found == {
        "bot": [("notes.list", 1, 2, "upstream"), ("open.page", 1, 1, "route")],
        "spare": [("notes.list", 2, 2, "upstream"), ("notes.one", 1, 1, "route")],
        "idle": [],
    }


def test_who_may_is_told_by_rule_role_and_binding(loaded: Loaded, built: Rehearsal) -> None:
    way = told(loaded, built, "bot")["notes.list"]
    (read, readers), (write, writers) = way.allows
    assert (read.rule, read.methods, read.conditions) == ("notes/read", ("GET", "HEAD"), ())
    assert [(each.kind, each.issuer, each.who, each.role) for each in readers] == [
        ("claim", "corp", "roles", "reader"),
        ("subject", "corp", "wanda", "writer"),
        ("group", "corp", "staff", "writer"),
        ("condition", "", "subject.id.startsWith('svc-')", "reader"),
    ]
    assert (write.methods, write.conditions) == (("POST",), ("request.client_ip != '203.0.113.9'",))
    assert [(each.kind, each.who) for each in writers] == [("subject", "wanda"), ("group", "staff")]
    assert read.place.endswith("notes.yaml:6")
    assert readers[1].place.endswith("roles.yaml:8")
    assert (way.capped, [rule.rule for rule in way.denies]) == (("corp",), ["notes/night"])


def test_keys_are_told_by_what_they_hold_themselves(loaded: Loaded, built: Rehearsal) -> None:
    [key] = told(loaded, built, "bot")["notes.list"].keys
    assert (key.name, key.methods, key.conditional) == ("ci", (), ("POST",))


def test_principals_of_issuers_that_a_route_does_not_accept_are_not_told(loaded: Loaded, built: Rehearsal) -> None:
    way = told(loaded, built, "spare")["notes.one"]
    assert {(each.kind, each.issuer) for _, held in way.allows for each in held} == {("subject", "other"), ("condition", "")}
    assert (way.closed, way.keys, way.capped) == (("PUT",), (), ())


def test_an_anonymous_route_is_everybodys_and_holds_no_permission(loaded: Loaded, built: Rehearsal) -> None:
    way = told(loaded, built, "bot")["open.page"]
    assert [(rule.rule, held) for rule, held in way.allows] == [("notes/page", ())]
    assert everybody(way) == "anonymous"


PEOPLE = [
    Identity(id="wanda", issuer="corp", scheme="jwt"),
    Identity(id="rita", issuer="corp", scheme="jwt", claims={"roles": ["reader", "writer"]}),
    Identity(id="svc-1", issuer="other", scheme="jwt"),
    Identity(id="olga", issuer="other", scheme="jwt", groups=("staff",)),
    Identity(id="gone", issuer="corp", scheme="jwt"),
    Identity(id="nobody", issuer="corp", scheme="jwt", groups=("staff",)),
    Identity(id="anonymous", issuer="anonymous", scheme="anonymous"),
]


def test_whoever_is_allowed_has_been_told(loaded: Loaded, built: Rehearsal) -> None:
    """Nothing is allowed that `who-can` would not have shown: the other way round a condition may still say no."""
    found = (told(loaded, built, "bot") | told(loaded, built, "spare")).values()
    allowed = [checked(way, built, who, method) for way in found for who in PEOPLE for method in ("GET", "HEAD", "POST", "PUT")]
    assert sum(allowed) > 10


def checked(way: Way, built: Rehearsal, who: Identity, method: str) -> bool:
    """Whether somebody may, and then that it was told."""
    route, accepted = way.use.route, {name.removeprefix("jwt.") for name in way.asked} or {"anonymous"}
    access = AccessRequest(imagined(method, "/", client="192.0.2.1"), route, way.use.upstream, {"org": "acme", "note": "1"}, NOW)
    decision = built.policies.route(route).decide(built.policies.grant.at(who, NOW), access)
    if not decision.allowed or who.issuer not in accepted:
        return False
    [(rule, held)] = [(rule, held) for rule, held in way.allows if rule.rule == decision.rule]
    assert method in rule.methods
    assert method not in way.closed
    mine = [each for each in held if each.issuer in ("", who.issuer)]
    named = [each for each in mine if each.who in (who.id, *who.groups) or each.kind in ("claim", "condition")]
    assert rule.permission is None or named
    return True
