"""The gateway: rules as a policy document, decisions as the request path asks for them."""

import json
import sys
import time
from typing import Any

from bench.policy.contestant import Made, play
from bench.policy.sets import CONDITION
from gateway.authz.attributes import POLICIES
from gateway.authz.cel.condition import Condition, clause
from gateway.authz.compile import compile_policies
from gateway.authz.document import from_documents
from gateway.authz.policy import Policies, RouteFact, RoutePolicy
from gateway.config.document import read
from gateway.core.decision import AccessRequest
from gateway.core.message import NO_BODY, Head, Request
from gateway.core.principal import Identity, Principal

Asked = tuple[RoutePolicy, Principal, AccessRequest]
ROLES = '{"apiVersion": "gateway/v1", "kind": "Roles", "roles": {"nobody": []}}'
TERMS = {"own": "subject.claims.{0} == resource.params.{0}", "claim": "subject.claims.{0} == '{1}'"}


def make(job: dict[str, Any]) -> Made:
    if "condition" in job:
        fast = Condition([clause(CONDITION, POLICIES)]).fast
        asked = [(principal(question), access(question)) for question in job["questions"]]
        return {"ours": (lambda pair: fast(pair[0], pair[1]), asked), "by hand": (lambda pair: by_hand(pair[0], pair[1]), asked)}
    policies = compiled(job["rules"])
    found = [(policies.route(one["route"]), principal(one, policies), access(one)) for one in job["questions"]]
    return {"ours": (decide, found)}


def by_hand(principal: Principal, access: AccessRequest) -> bool:
    """CONDITION as a programmer would write it: what Python itself costs."""
    return (
        principal.claims["org_id"] == access.params["org_id"]
        and access.request.method in ("GET", "HEAD")
        and "messages:read" in principal.permissions
        and access.request.path.startswith("/v1/orgs/")
    )


def decide(asked: Asked) -> bool:
    policy, principal, access = asked
    return policy.decide(principal, access).allowed


def compiled(rules: list[dict[str, Any]]) -> Policies:
    facts = [RouteFact(name, None, "u", ("org_id",)) for name in dict.fromkeys(rule["route"] for rule in rules)]
    texts = [ROLES, *(document(fact.name, rules) for fact in facts)] if len(facts) == 1 else [ROLES, *by_route(rules)]
    documents = from_documents(read(f"{number}.yaml", text) for number, text in enumerate(texts))
    policies, problems = compile_policies(documents, routes=facts, issuers=frozenset({"corp"}), now=time.time)
    if policies is None:
        sys.exit("\n".join(str(problem) for problem in problems if problem.severity == "error"))
    return policies


def by_route(rules: list[dict[str, Any]]) -> list[str]:
    grouped: dict[str, list[dict[str, Any]]] = {}
    for rule in rules:
        grouped.setdefault(rule["route"], []).append(rule)
    return [document(route, found) for route, found in grouped.items()]


def document(route: str, rules: list[dict[str, Any]]) -> str:
    """JSON is YAML."""
    head = {"apiVersion": "gateway/v1", "kind": "Policy", "name": route.replace(".", "-"), "routes": [route]}
    return json.dumps(head | {"rules": [written(rule) for rule in rules]}, indent=0)


def written(rule: dict[str, Any]) -> dict[str, Any]:
    when = [TERMS[kind].format(*words) for kind, *words in rule["terms"]]
    found = {"name": rule["name"], "deny" if rule["deny"] else "allow": rule["methods"]}
    found |= {"permission": rule["permission"]} if rule["permission"] else {}
    return found | ({"when": when} if when else {})


def principal(question: dict[str, Any], policies: Policies | None = None) -> Principal:
    identity = Identity(
        id="alice", issuer="corp", scheme="jwt", claims=question["claims"], permissions=tuple(question["permissions"])
    )
    if policies is None:
        return Principal(identity, permissions=tuple(question["permissions"]))
    return policies.grant(identity)


def access(question: dict[str, Any]) -> AccessRequest:
    fields = {b"accept": b"application/json"}
    head = Head(
        host="api.example.com",
        authority="api.example.com",
        version="1.1",
        headers=list(fields.items()),
        fields=fields,
        repeated=frozenset(),
        peer="192.0.2.7",
        client="192.0.2.7",
        secure=True,
        trusted=False,
        forwarded=(),
        certificate=None,
        listener="default",
    )
    path = question["path"]
    request = Request(head, question["method"], path, tuple(path[1:].split("/")), None, NO_BODY)
    return AccessRequest(request, question["route"], "u", question["params"], 1.8e9)


if __name__ == "__main__":
    play(make)
