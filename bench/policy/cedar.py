"""Cedar (cedarpy): rules as a policy set parsed once, routes as resources, methods as actions, everything else as context."""

import json
from typing import Any

import cedarpy

from bench.policy.contestant import Made, play

TERMS = {"own": "context.claims.{0} == context.params.{0}", "claim": 'context.claims.{0} == "{1}"'}


def written(rule: dict[str, Any]) -> str:
    actions = ", ".join(f'Action::"{method}"' for method in rule["methods"])
    terms = [f'context.permissions.contains("{rule["permission"]}")'] if rule["permission"] else []
    when = " && ".join(terms + [TERMS[kind].format(*words) for kind, *words in rule["terms"]])
    effect = "forbid" if rule["deny"] else "permit"
    return f'{effect}(principal, action in [{actions}], resource == Route::"{rule["route"]}") when {{ {when or "true"} }};'


def make(job: dict[str, Any]) -> Made:
    policies = cedarpy.PolicySet.from_str("\n".join(written(rule) for rule in job["rules"]))
    entities = cedarpy.Entities.from_json_str(json.dumps([]))
    asked = [request(question) for question in job["questions"]]
    return {"Cedar": (lambda one: cedarpy.is_authorized(one, policies, entities).allowed, asked)}


def request(question: dict[str, Any]) -> dict[str, Any]:
    context = {name: question[name] for name in ("permissions", "claims", "params")}
    return {
        "principal": {"type": "User", "id": "alice"},
        "action": {"type": "Action", "id": question["method"]},
        "resource": {"type": "Route", "id": question["route"]},
        "context": context,
    }


if __name__ == "__main__":
    play(make)
