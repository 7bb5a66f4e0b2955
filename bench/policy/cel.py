"""Google's CEL engine (cel-expr-python): conditions alone, and decisions with the two ways of finding the rules to ask.

It knows no rules: what finds them is a few lines of Python here, once as a loop over all rules and once with an index like ours.
Its values must be made from Python's for every question, which is counted, as an application that uses it pays for it.
"""

from typing import Any

from cel_expr_python import cel

from bench.policy.contestant import Made, play
from bench.policy.sets import CONDITION

TERMS = {"own": "subject.claims.{0} == resource.params.{0}", "claim": "subject.claims.{0} == '{1}'"}
Compiled = tuple[bool, str, frozenset[str], str | None, Any]


def environment() -> Any:
    kind = cel.Type
    types = {
        "subject.permissions": kind.List(kind.STRING),
        "subject.claims": kind.Map(kind.STRING, kind.DYN),
        "resource.params": kind.Map(kind.STRING, kind.STRING),
        "resource.path": kind.STRING,
        "request.method": kind.STRING,
    }
    return cel.NewEnv(variables=types)


def facts(question: dict[str, Any]) -> dict[str, Any]:
    return {
        "subject.permissions": question["permissions"],
        "subject.claims": question["claims"],
        "resource.params": question["params"],
        "resource.path": question["path"],
        "request.method": question["method"],
    }


def true(value: Any) -> bool:
    """An error is a value too, and a true one to Python."""
    return value.type() == cel.Type.BOOL and value.value() is True


def make(job: dict[str, Any]) -> Made:
    engine = environment()
    if "condition" in job:
        return conditions(engine, job["questions"])
    rules = [compiled(engine, rule) for rule in job["rules"]]
    index: dict[tuple[str, str], list[Compiled]] = {}
    for rule in rules:
        for method in rule[2]:
            index.setdefault((rule[1], method), []).append(rule)
    asked = [
        (question["route"], question["method"], frozenset(question["permissions"]), facts(question))
        for question in job["questions"]
    ]
    return {
        "CEL, index": (lambda one: decide(engine, index.get((one[0], one[1]), ()), one), asked),
        "CEL, loop": (lambda one: decide(engine, rules, one), asked),
    }


def conditions(engine: Any, questions: list[dict[str, Any]]) -> Made:
    program = engine.compile(CONDITION)
    given = [facts(question) for question in questions]
    ready = [engine.Activation(one) for one in given]
    return {
        "CEL, values ready": (lambda one: true(program.eval(one)), ready),
        "CEL": (lambda one: true(program.eval(data=one)), given),
    }


def compiled(engine: Any, rule: dict[str, Any]) -> Compiled:
    when = " && ".join(TERMS[kind].format(*words) for kind, *words in rule["terms"])
    return rule["deny"], rule["route"], frozenset(rule["methods"]), rule["permission"], engine.compile(when) if when else None


def decide(engine: Any, rules: Any, asked: Any) -> bool:
    route, method, permissions, given = asked
    activation = None
    allowed = False
    for deny, speaks_of, methods, permission, program in rules:
        if speaks_of != route or method not in methods or (permission is not None and permission not in permissions):
            continue
        if allowed and not deny:
            continue
        if program is not None:
            activation = activation or engine.Activation(given)
            if not true(program.eval(activation)):
                continue
        if deny:
            return False
        allowed = True
    return allowed


if __name__ == "__main__":
    play(make)
