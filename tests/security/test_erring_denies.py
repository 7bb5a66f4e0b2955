"""A condition that has no value never helps the client: every kind of error makes a deny deny and an allow not allow.

Rivals let an erring deny pass (Envoy, Cedar, Cerbos by default, agentgateway); each row is a way for a client to make one err.
"""

from pathlib import Path
from typing import Any

import pytest

from gateway.authz.policy import Policies
from gateway.core.errors import BadRequest
from gateway.core.message import Field
from tests.asking import a_subject, an_access, policies, policy
from tests.house import house

CLAIMS: dict[str, Any] = {
    "text": "x",
    "number": 7,
    "fraction": 0.5,
    "zero": 0,
    "least": -(2**63),
    "most": 2**63 - 1,
    "huge": 2**70,
    "nothing": None,
    "yes": True,
    "list": [1, 2],
    "mixed": [1, "x"],
    "map": {"a": 1},
    "long": list(range(1001)),
    "moment": "2026-13-01T00:00:00Z",
    "span": "1 fortnight",
}
HEADERS: list[Field] = [
    (b"x-twice", b"1"),
    (b"x-twice", b"2"),
    (b"x_spelled", b"1"),
    (b"x-spelled", b"1"),
    (b"x-raw", b"\xff"),
    (b"x-hop", b"1"),
    (b"connection", b"x-hop"),
]
ERRORS = {
    "missing claim": "subject.claims.nope == 'x'",
    "missing beneath a claim": "subject.claims.map.nope == 1",
    "missing claim by name": "subject.claims['nope'] == 1",
    "field of text": "subject.claims.text.a == 1",
    "field of null": "subject.claims.nothing.a == 1",
    "has of a field of text": "has(subject.claims.text.a)",
    "missing parameter": "resource.params[subject.claims.text] == 'x'",
    "claim is no bool": "subject.claims.text",
    "number is no bool": "subject.claims.number && true",
    "null is no bool": "subject.claims.nothing || false",
    "negation of text": "!subject.claims.text",
    "order of types": "subject.claims.text < 1",
    "order of null": "subject.claims.nothing < 1",
    "in a number": "1 in subject.claims.number",
    "in text": "'x' in subject.claims.text",
    "overflow of a sum": "subject.claims.most + 1 > 0",
    "overflow of a difference": "subject.claims.least - 1 > 0",
    "overflow of a product": "subject.claims.most * 2 > 0",
    "overflow of a sign": "-subject.claims.least > 0",
    "overflow of a quotient": "subject.claims.least / -1 > 0",
    "division by zero": "1 / subject.claims.zero == 1",
    "remainder by zero": "1 % subject.claims.zero == 1",
    "sum of types": "subject.claims.text + 1 == 1",
    "index beyond": "subject.claims.list[2] == 1",
    "index before": "subject.claims.list[-1] == 1",
    "index of text": "subject.claims.list['0'] == 1",
    "index of a fraction": "subject.claims.list[subject.claims.fraction] == 1",
    "bad moment": "timestamp(subject.claims.moment) < env.now",
    "moment of a number": "timestamp(subject.claims.yes) < env.now",
    "bad duration": "duration(subject.claims.span) < duration('1s')",
    "length of a number": "size(subject.claims.number) > 0",
    "beginning of a number": "subject.claims.number.startsWith('1')",
    "part of a list": "subject.claims.list.contains('1')",
    "pattern on a number": "subject.claims.number.matches('1')",
    "split of a number": "subject.claims.number.split(',') == ['7']",
    "text beyond its end": "subject.claims.text.substring(5) == ''",
    "list too long": "subject.claims.long.exists(x, x == 0)",
    "macro over a number": "subject.claims.number.exists(x, x == 1)",
    "error in a macro": "subject.claims.mixed.all(x, x < 3)",
    "not exactly a bool in a macro": "subject.claims.list.exists(x, x)",
    "address that is none": "cidr('10.0.0.0/8').containsIP(subject.claims.text)",
    "address in a set": "inSet(subject.claims.text, 'office')",
    "address that is a number": "inSet(subject.claims.number, 'office')",
    "header absent": "request.headers['x-absent'] == '1'",
    "header repeated": "request.headers['x-twice'] == '1'",
    "header in another spelling": "request.headers['x-spelled'] == '1'",
    "header not UTF-8": "request.headers['x-raw'] == '1'",
    "header named by Connection": "request.headers['x-hop'] == '1'",
    "query absent": "request.query.nope[0] == '1'",
    "body not inspected": "request.body.a == 1",
    "body asked for a part": "has(request.body.a)",
    "error in a definition": "own",
    "error in a definition beneath": "!(own || false)",
    "choice by an error": "subject.claims.nope ? true : true",
}
SETS = "apiVersion: gateway/v1\nkind: IpSets\nsets: {office: [10.0.0.0/8]}\n"
LET = "let: {own: subject.claims.nope == resource.params.org_id}\n"


def quoted(source: str) -> str:
    return '"' + source.replace("\\", "\\\\").replace('"', '\\"') + '"'


def decided(folder: Path, rules: str) -> tuple[Policies, Any]:
    found = policies(folder, policy(rules, head=LET), SETS)
    access = an_access("GET", headers=HEADERS)
    return found, found.route("messages.get").decide(a_subject(claims=CLAIMS), access)


@pytest.mark.parametrize("source", ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("form", ["when: {}", "when: '!({})'", "unless: {}"])
def test_a_deny_that_errs_denies_and_an_allow_that_errs_allows_nothing(tmp_path: Path, source: str, form: str) -> None:
    """Both as written and negated: whichever way round the client would like it, an error is neither."""
    written = form.replace("'!({})'", quoted(f"!({source})")).format(quoted(source))
    _, decision = decided(tmp_path, f"- {{name: a, allow: any}}\n- {{name: d, deny: any, {written}}}")
    assert (decision.allowed, decision.rule, decision.errors) == (False, "p/d", ("p/d",))
    _, decision = decided(tmp_path, f"- {{name: a, allow: any, {written}}}")
    assert (decision.allowed, decision.rule, decision.errors) == (False, None, ("p/a",))


@pytest.mark.parametrize("source", ERRORS.values(), ids=ERRORS)
def test_an_error_beside_what_settles_it_is_none(tmp_path: Path, source: str) -> None:
    """CEL absorbs errors, in either order: a guard works."""
    for whole, expected in ((f"({source}) || true", "p/d"), (f"true || ({source})", "p/d"), (f"({source}) && false", "p/a")):
        _, decision = decided(tmp_path, f"- {{name: a, allow: any}}\n- {{name: d, deny: any, when: {quoted(whole)}}}")
        assert (decision.rule, decision.errors) == (expected, ())


@pytest.mark.parametrize("source", ["request.query.a[0] == '1'", "has(request.query.a)"])
def test_a_query_that_cannot_be_decoded_is_refused_before_any_rule_speaks(tmp_path: Path, source: str) -> None:
    found = policies(tmp_path, policy(f"- {{name: a, allow: any, when: {quoted(source)}}}"))
    with pytest.raises(BadRequest):
        found.route("messages.get").decide(a_subject(), an_access(query=b"a=%zz"))


async def test_an_erring_deny_denies_over_a_socket(tmp_path: Path) -> None:
    rules = """
apiVersion: gateway/v1
kind: Policy
name: p
routes: ["*"]
rules:
  - {name: a, allow: any}
  - {name: claim, deny: [GET], when: subject.claims.banned == true}
  - {name: header, deny: [PUT], when: "request.headers['x-mode'] == 'raw'"}
  - {name: body, deny: [POST], when: request.body.admin == true}
"""
    async with house(tmp_path, policy=rules) as served:
        good, bad = served.keys.token(banned=False), served.keys.token()
        json = {"Content-Type": "application/json"}
        answers = [
            (await served.get("/things/1", token=good)).status,
            (await served.get("/things/1", token=bad)).status,
            (await served.get("/things/1", method="PUT", token=good, headers={"X-Mode": "plain"})).status,
            (await served.get("/things/1", method="PUT", token=good, headers={"X-Mode": "plain", "x-mode": "raw"})).status,
            (await served.get("/things/1", method="PUT", token=good, headers={"X-Mode": "plain", "X_Mode": "raw"})).status,
            (await served.get("/things/1", method="POST", token=good, headers=json, body=b'{"admin": false}')).status,
            (
                await served.get("/things/1", method="POST", token=good, headers=json, body=b'{"admin": true, "admin": false}')
            ).status,
            (await served.get("/things/1", method="POST", token=good, headers=json, body=b"{}")).status,
        ]
        assert answers == [200, 403, 200, 403, 403, 200, 403, 403]
        assert (await served.requests())[1]["condition_errors"] == ["p/claim"]
