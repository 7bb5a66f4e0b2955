"""A deny that cannot be evaluated, in the gateway and in engines of others: the same rules, the same requests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import casbin
import cedarpy
import pytest
from cel_expr_python import cel

from tests.asking import a_subject, an_access, policies, policy
from tests.repository.tree import ROOT

LARGEST = 2**63 - 1
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "claims.suspended == true": ("no such claim", {}),
    "claims.level < 3": ("a text", {"level": "high"}),
    "claims.level + 1 > 0": ("the largest integer", {"level": LARGEST}),
}
REFUSES, PASSES = "refuses", "lets through"
MODEL = """
[request_definition]
r = claims, act
[policy_definition]
p = act, when, eft
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = r.act == p.act && eval(p.when)
"""


class Claims:
    """Claims as attributes, which Casbin's matcher reads."""

    def __init__(self, claims: dict[str, Any]) -> None:
        self.__dict__.update(claims)


def ours(folder: Path, condition: str, claims: dict[str, Any], effect: str) -> str:
    everybody = "- {name: everybody, allow: any}\n" if effect == "deny" else ""
    found = policies(folder, policy(f"{everybody}- {{name: this, {effect}: any, when: 'subject.{condition}'}}"))
    decision = found.route("status").decide(a_subject(claims=claims), an_access())
    assert decision.errors == ("p/this",)
    return PASSES if decision.allowed else REFUSES


def cedar(_: Path, condition: str, claims: dict[str, Any], effect: str) -> str:
    everybody = "permit(principal, action, resource);" if effect == "deny" else ""
    verb = "forbid" if effect == "deny" else "permit"
    rules = f"{everybody} {verb}(principal, action, resource) when {{ context.{condition} }};"
    request = {"principal": 'User::"a"', "action": 'Action::"GET"', "resource": 'Route::"r"', "context": {"claims": claims}}
    answer = cedarpy.is_authorized(request, rules, [])
    assert answer.diagnostics.errors
    return PASSES if answer.allowed else REFUSES


def google(_: Path, condition: str, claims: dict[str, Any], __: str) -> str:
    engine = cel.NewEnv(variables={"claims": cel.Type.Map(cel.Type.STRING, cel.Type.DYN)})
    value = engine.compile(condition).eval(data={"claims": claims})
    assert value.type() == cel.Type.ERROR
    return "an error value, true to Python" if value.value() else "an error value, false to Python"


def pycasbin(_: Path, condition: str, claims: dict[str, Any], effect: str) -> str:
    model = casbin.Model()
    model.load_model_from_text(MODEL)
    engine = casbin.Enforcer(model)
    when = condition.replace("true", "True").replace("claims", "r.claims")
    engine.add_policies([["GET", "True", "allow"]] if effect == "deny" else [["POST", "True", "allow"]])
    engine.add_policies([["GET", when, effect]])
    try:
        return PASSES if engine.enforce(Claims(claims), "GET") else REFUSES
    except Exception:
        return "raises"


ENGINES: list[Callable[[Path, str, dict[str, Any], str], str]] = [ours, cedar, google, pycasbin]


def rows(folder: Path) -> list[str]:
    """The table's lines, as the engines answer."""
    found = []
    for condition, (request, claims) in CASES.items():
        for effect in ("deny", "allow"):
            answers = [engine(folder, condition, claims, effect) for engine in ENGINES]
            found.append(f"| `{condition}` | {request} | {effect} | {' | '.join(answers)} |")
    return found


def test_the_table_is_what_the_engines_answer(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "explanation" / "erroring-deny.md").read_text()
    assert [line for line in page.splitlines() if line.startswith("| `claims")] == rows(tmp_path)


@pytest.mark.parametrize("effect", ["deny", "allow"])
@pytest.mark.parametrize("condition", CASES)
def test_a_condition_without_a_value_never_helps_the_client(tmp_path: Path, condition: str, effect: str) -> None:
    assert ours(tmp_path, condition, CASES[condition][1], effect) == REFUSES
