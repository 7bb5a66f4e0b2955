"""What policies name must exist, and every expression's mistake stands where it was written."""

from pathlib import Path

import pytest

from gateway.authz.policy import RouteFact
from tests.asking import MESSAGES, STATUS, compiled, policies, policy, roles, said

ROLES = roles("roles: {member: ['messages:*', 'files:read']}")
ORGS = [RouteFact("orgs.get", ("GET",), "u", ("org_id",)), RouteFact("users.get", ("GET",), "u", ("user_id",)), STATUS]


@pytest.mark.parametrize(
    ("rule", "place"),
    [
        ("  - {name: a, allow: any, when: request.methd == 'GET'}\n", (6, 41)),
        ("  - name: a\n    allow: any\n    when: true && request.methd == 'GET'\n", (8, 27)),
        ("  - name: a\n    allow: any\n    when: \"true && request.methd == 'GET'\"\n", (8, 28)),
        ("  - name: a\n    allow: any\n    when: \"\\x74rue && request.methd == 'GET'\"\n", (8, 31)),
        ("  - name: a\n    allow: any\n    when: 'request.method == ''GET'' && request.methd == ''x'''\n", (8, 49)),
        ("  - name: a\n    allow: any\n    when: |\n      true\n        && request.methd == 'GET'\n", (10, 20)),
        ("  - name: a\n    allow: any\n    when: >-\n      true\n      && request.methd == 'GET'\n", (10, 18)),
        ("  - name: a\n    allow: any\n    when:\n      - 'true'\n      - request.methd == 'GET'\n", (10, 17)),
        ("  - name: a\n    allow: any\n    when: true\n      && request.methd == 'GET'\n", (9, 18)),
        ("  - name: a\n    allow: any\n    unless: request.methd == 'GET'\n", (8, 21)),
    ],
    ids=["flow", "plain", "double", "escape", "single", "literal", "folded", "list", "lines", "unless"],
)
def test_a_mistake_in_an_expression_has_its_place_in_the_file(tmp_path: Path, rule: str, place: tuple[int, int]) -> None:
    _, problems = compiled(tmp_path, f"apiVersion: gateway/v1\nkind: Policy\nname: p\nroutes: ['*']\nrules:\n{rule}")
    errors = [problem for problem in problems if problem.severity == "error"]
    assert [(problem.line, problem.column) for problem in errors] == [place]
    assert errors[0].message == "'methd' is not a field of request"
    assert errors[0].hint == "did you mean 'method'?"


@pytest.mark.parametrize(
    ("routes", "message"),
    [
        ("[messages.gte]", "4:10: unknown route 'messages.gte' (did you mean 'messages.get'?)"),
        ("['message.*']", "4:10: no route matches 'message.*'"),
        ("['messages.ge?']", "4:10: unknown route 'messages.ge?'"),
        ("['messages.[g]et']", "4:10: unknown route"),
        ("['.*.*.*']", "4:10: no route matches '.*.*.*'"),
        ("['Status']", "4:10: unknown route 'Status'"),
    ],
)
def test_a_policy_speaks_about_routes_that_exist(tmp_path: Path, routes: str, message: str) -> None:
    found, problems = compiled(tmp_path, policy("- {name: a, allow: any}", routes=routes))
    assert found is None
    assert message in said(problems)[0]


@pytest.mark.parametrize(
    ("glob", "names"),
    [
        ("messages.*", {"messages.get", "messages.a.b"}),
        ("*.get", {"messages.get"}),
        ("*", {"messages.get", "messages.a.b", "status"}),
        ("m*s.*b", {"messages.a.b"}),
        ("status", {"status"}),
    ],
)
def test_a_star_crosses_dots(tmp_path: Path, glob: str, names: set[str]) -> None:
    routes = [MESSAGES, STATUS, RouteFact("messages.a.b", None, "u", ())]
    found = policies(tmp_path, policy("- {name: a, allow: [GET]}", routes=f"['{glob}']"), routes=routes)
    assert {fact.name for fact in routes if found.route(fact.name).cell("GET").rows()} == names


def test_a_route_named_twice_has_each_rule_once(tmp_path: Path) -> None:
    found = policies(tmp_path, policy("- {name: a, allow: [GET]}", routes="['*', status, 'sta*']"))
    assert len(found.route("status").cell("GET").rows()) == 1


@pytest.mark.parametrize(
    ("source", "errors", "warnings"),
    [
        (
            "resource.params.org_id == 'a'",
            [],
            ["the parameter 'org_id' is missing on users.get: there this condition has no value"],
        ),
        ("resource.params['org_id'] == 'a'", [], ["is missing on users.get"]),
        ("has(resource.params.org_id)", [], []),
        ("resource.params.orgid == 'a'", ["no route of this policy has a parameter 'orgid' (did you mean 'org_id'?)"], []),
        ("has(resource.params.orgid)", ["no route of this policy has a parameter 'orgid'"], []),
        ("has(resource.params.org_id) && has(resource.params.user_id)", [], []),
    ],
)
def test_parameters_that_conditions_read_exist(tmp_path: Path, source: str, errors: list[str], warnings: list[str]) -> None:
    text = policy(f'- {{name: a, allow: [GET], when: "{source}"}}', routes="[orgs.get, users.get]")
    other = policy("- {name: a, allow: [GET]}", name="q", routes="[status]")
    _, problems = compiled(tmp_path, text, other, routes=ORGS)
    for found, expected in ((said(problems), errors), (said(problems, "warning"), warnings)):
        assert len(found) == len(expected)
        assert all(message in shown for shown, message in zip(found, expected, strict=True))


def test_a_parameter_that_only_a_description_names_does_not_count(tmp_path: Path) -> None:
    text = policy("- {name: a, allow: [GET], when: \"resource.params.org == 'a'\"}", routes="[orgs.all]")
    _, problems = compiled(tmp_path, text, routes=[RouteFact("orgs.all", None, "u", (), described=True)])
    assert "name them in `match`" in said(problems)[0]


def test_a_route_without_a_rule_is_warned_about_where_it_is_configured(tmp_path: Path) -> None:
    _, problems = compiled(tmp_path, policy("- {name: a, allow: any}", routes="[status]"))
    assert said(problems) == []
    assert [str(problem) for problem in problems] == [
        "config.yaml:7:5: warning: routes.messages.get: route 'messages.get' has no rule: every request is denied"
    ]


@pytest.mark.parametrize("rule", ["deny: any", "allow: any, mode: shadow", "allow: [PUT]"], ids=["deny", "shadow", "method"])
def test_a_route_that_nothing_allows_is_warned_about(tmp_path: Path, rule: str) -> None:
    text = policy(f"- {{name: a, {rule}}}", routes="[messages.get]")
    _, problems = compiled(tmp_path, text, policy("- {name: a, allow: any}", name="q", routes="[status]"))
    assert any(
        "route 'messages.get' has no rule that allows anything: every request is denied" in shown
        for shown in said(problems, "warning")
    )


def test_no_policies_at_all_is_a_warning_for_every_route(tmp_path: Path) -> None:
    found, problems = compiled(tmp_path)
    assert found is not None
    assert len(said(problems, "warning")) == 2


def test_a_permission_that_no_role_grants_is_a_warning(tmp_path: Path) -> None:
    rules = "- {name: a, allow: any, permission: 'files:read'}\n- {name: b, allow: any, permission: 'file:read'}"
    _, problems = compiled(tmp_path, ROLES, policy(rules))
    assert said(problems, "warning") == ["7:37: no role grants 'file:read' (did you mean 'files:read'?)"]


def test_a_rule_about_methods_its_routes_do_not_serve_is_a_warning(tmp_path: Path) -> None:
    rules = "- {name: a, allow: [PUT]}\n- {name: b, allow: [GET]}"
    _, problems = compiled(tmp_path, policy(rules, routes="[messages.get]"), routes=[MESSAGES])
    assert said(problems, "warning") == ["6:3: no route of this policy serves the methods of this rule"]


def test_all_problems_of_all_files_come_together_and_in_order(tmp_path: Path) -> None:
    found, problems = compiled(
        tmp_path,
        roles("roles: {a: {extends: [nobody]}}\nbindings: [{role: b, when: subject.x}, {from_claim: r, issuer: i, only: [a]}]"),
        policy("- {name: a, allow: any, when: subject.x}\n- {name: a, deny: any, when: 1}", routes="[nowhere]"),
        policy(
            "- {name: a, allow: any, when: '1 +'}\n- {name: b, deny: any, when: 'true &&'}\n- {name: c, deny: any, unless: '('}",
            name="q",
        ),
    )
    assert found is None
    assert problems == sorted(problems, key=lambda problem: (problem.file, problem.line, problem.column))
    assert len(said(problems)) == 10
    assert {Path(problem.file).name for problem in problems if problem.severity == "error"} == {"0.yaml", "1.yaml", "2.yaml"}


TEST = """\
apiVersion: gateway/v1
kind: PolicyTest
name: t
subjects:
  alice: {roles: [membr]}
cases:
  - request: GET /x
    expect: {alcie: allow}
    rule: p/b
    from: 10.0.0
    now: today
"""


def test_names_in_tests_must_exist(tmp_path: Path) -> None:
    _, problems = compiled(tmp_path, ROLES, policy("- {name: a, allow: any}"), test=TEST)
    assert said(problems) == [
        "5:19: unknown role 'membr' (did you mean 'member'?)",
        "8:14: unknown subject 'alcie' (did you mean 'alice'?)",
        "9:11: unknown rule 'p/b' (did you mean 'p/a'?)",
        "10:11: not an IP address",
        "11:10: a timestamp is written like 2026-11-21T10:58:00Z",
    ]
