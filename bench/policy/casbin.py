"""Casbin (pycasbin): rules as policy lines with an effect, their terms as expressions that its matcher evaluates."""

from typing import Any

from casbin import Enforcer, Model

from bench.policy.contestant import Made, play

MODEL = """
[request_definition]
r = sub, route, method

[policy_definition]
p = route, methods, permission, when, eft

[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))

[matchers]
m = r.route == p.route && speaks(r.method, p.methods) && holds(r.sub, p.permission) && eval(p.when)
"""
TERMS = {"own": "r.sub.{0} == r.sub.param_{0}", "claim": "r.sub.{0} == '{1}'"}


class Subject:
    """What the matcher reads: the subject's claims and the path's parameters as attributes."""

    def __init__(self, question: dict[str, Any]) -> None:
        self.permissions = frozenset(question["permissions"])
        for name, value in question["claims"].items():
            setattr(self, name, value)
        for name, value in question["params"].items():
            setattr(self, f"param_{name}", value)


def make(job: dict[str, Any]) -> Made:
    model = Model()
    model.load_model_from_text(MODEL)
    engine = Enforcer(model, enable_log=False)
    engine.add_function("speaks", lambda method, methods: method in methods.split())
    engine.add_function("holds", lambda subject, permission: permission == "-" or permission in subject.permissions)
    engine.add_policies([line(rule) for rule in job["rules"]])
    asked = [(Subject(question), question["route"], question["method"]) for question in job["questions"]]
    return {"Casbin": (lambda one: engine.enforce(*one), asked)}


def line(rule: dict[str, Any]) -> list[str]:
    when = " and ".join(TERMS[kind].format(*words) for kind, *words in rule["terms"]) or "True"
    return [rule["route"], " ".join(rule["methods"]), rule["permission"] or "-", when, "deny" if rule["deny"] else "allow"]


if __name__ == "__main__":
    play(make)
