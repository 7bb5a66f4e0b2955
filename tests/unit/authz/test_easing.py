"""What other policies demand less and more with the same allow: told, never taken for the same answer."""

import re
from pathlib import Path

import pytest

from gateway.authz.difference import Difference, in_cases, replayed
from gateway.authz.replay import Side, Stated
from tests.asking import compiled, documents, policy
from tests.unit.authz.test_replay import an_event

REDACTED = "then: {redact: {response: [$.ssn]}}"

NO_KEYS: dict[str, Stated] = {}


def a_side(folder: Path, name: str, rules: str) -> Side:
    place = folder / name
    place.mkdir()
    test = "apiVersion: gateway/v1\nkind: PolicyTest\nname: t\nsubjects: {sue: {claims: {a: x}}}\ncases: [{request: GET /x, expect: {sue: allow}}]\n"
    policies, problems = compiled(place, policy(rules), test=test, has_key=True)
    assert policies is not None, [str(problem) for problem in problems]
    return Side(policies, documents(place), NO_KEYS.__getitem__)


def match(_method: str, _path: str, _host: str) -> tuple[str, dict[str, str]]:
    return "messages.get", {"org_id": "org_9"}


def told(folder: Path, old: str, new: str) -> Difference:
    sides = (
        a_side(folder, "old", f"- {{name: r0, allow: [GET], {old}}}"),
        a_side(folder, "new", f"- {{name: r0, allow: [GET], {new}}}"),
    )
    in_trail, in_tests = replayed([an_event()], *sides), in_cases(*sides, match, match)
    assert list(in_trail.eased) == list(in_tests.eased)
    assert (in_trail.changed, in_trail.undecidable, in_tests.changed) == (0, 0, 0)
    return in_trail


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (REDACTED, "when: 'true'", "demands less: redact $.ssn remove"),
        ("when: 'true'", REDACTED, "demands more: redact $.ssn remove"),
        (REDACTED, "then: {redact: {response: [$.ssn], style: last4}}", "demands less: redact $.ssn remove -> last4"),
        ("then: {rate_limit: 60/minute}", "then: {rate_limit: 600/minute}", "demands less: rate_limit of p/r0 60/1m -> 600/1m"),
        ("then: {rate_limit: 60/minute}", "then: {rate_limit: 60/hour}", "demands more: rate_limit of p/r0 60/1m -> 60/1h"),
        ("then: {max_body: 10}", "then: {max_body: 20}", "demands less: max_body 10 -> 20"),
        ("then: {audit: full, max_body: 10}", "then: {max_body: 10}", "demands less: audit full"),
        (
            "then: {require_response: 'response.status == 200'}",
            "then: {require_response: 'response.status > 0'}",
            "demands less: require_response response.status == 200 (…); demands more: require_response response.status > 0 (…)",
        ),
        (
            "then: {response: {fields: [$.a]}}",
            "then: {response: {fields: [$.a, $.b]}}",
            "demands less: response $.a; demands more: response $.a, $.b",
        ),
        ("then: {step_up: {acr: mfa}}", "when: 'true'", "demands less: step_up acr mfa"),
        ("then: {set_header: {x-a: b}}", "when: 'true'", "demands less: set_header x-a: b"),
    ],
)
def test_an_allow_with_other_demands_is_told_as_such(tmp_path: Path, old: str, new: str, words: str) -> None:
    found = told(tmp_path, old, new)
    assert (found.easing, found.same) == (1, 0)
    [(before, after)] = found.eased
    assert (before, re.sub(r"\([0-9a-f]{8}\)", "(…)", after)) == ("allow by p/r0", f"allow by p/r0, {words}")


@pytest.mark.parametrize("then", [REDACTED, "then: {rate_limit: 60/minute}", "then: {set_header: {x-a: {cel: subject.id}}}"])
def test_the_same_demands_are_the_same_answer(tmp_path: Path, then: str) -> None:
    found = told(tmp_path, then, then)
    assert (found.easing, found.same) == (0, 1)


def test_another_expression_for_a_field_is_another_demand(tmp_path: Path) -> None:
    found = told(tmp_path, "then: {set_header: {x-a: {cel: subject.id}}}", "then: {set_header: {x-a: {cel: subject.issuer}}}")
    assert found.easing == 1


def test_a_demand_of_a_rule_that_may_have_matched_cannot_be_told(tmp_path: Path) -> None:
    unknown = "- {name: r1, allow: [GET], when: subject.claims.a == 'x', %s}"
    old = a_side(tmp_path, "old", "- {name: r0, allow: [GET]}\n" + unknown % REDACTED)
    new = a_side(tmp_path, "new", "- {name: r0, allow: [GET]}\n" + unknown % "then: {max_body: 10}")
    found = replayed([an_event()], old, new)
    assert (found.undecidable, found.easing, found.same) == (1, 0, 0)
    assert list(found.undecided) == [("p/r1", "subject.claims")]


def test_an_error_demands_all_the_same(tmp_path: Path) -> None:
    failing = f"- {{name: r1, allow: [GET], when: \"{{'a': 'b'}}[subject.id] == 'x'\", {REDACTED}}}"
    old = a_side(tmp_path, "old", "- {name: r0, allow: [GET]}\n" + failing)
    new = a_side(tmp_path, "new", "- {name: r0, allow: [GET]}")
    assert [key[1] for key in replayed([an_event()], old, new).eased] == ["allow by p/r0, demands less: redact $.ssn remove"]


def test_a_requirement_that_reads_as_before_and_means_something_else_is_told(tmp_path: Path) -> None:
    """What it names is defined in the file's `let`."""
    sides = []
    for name, who in (("old", "sue"), ("new", "joe")):
        (tmp_path / name).mkdir()
        text = policy("- {name: r0, allow: [GET], then: {require_response: 'mine && response.status < 300'}}").replace(
            "rules:", f"let: {{mine: \"subject.id == '{who}'\"}}\nrules:", 1
        )
        policies, problems = compiled(tmp_path / name, text)
        assert policies is not None, [str(problem) for problem in problems]
        sides.append(Side(policies, documents(tmp_path / name), NO_KEYS.__getitem__))
    [(_, words)] = replayed([an_event()], *sides).eased
    assert re.search(r"require_response mine && response.status < 300 \([0-9a-f]{8}\) -> \([0-9a-f]{8}\)$", words)
