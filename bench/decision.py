"""The time of a policy decision by number of rules and routes, beside a naive scan of all rules.

Run: .venv/bin/python bench/decision.py. Reproduces the table of the policy language's design: 10, 1,000 and 10,000 rules,
and the worst case of 10,000 on one route. Half of the rules carry one of about 21 conditions.
"""

import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from gateway.authz.compile import compile_policies
from gateway.authz.document import from_documents
from gateway.authz.model import METHODS
from gateway.authz.policy import Policies, RouteFact, RoutePolicy
from gateway.authz.rule import first
from gateway.config.document import read
from gateway.core.decision import AccessRequest
from gateway.core.message import NO_BODY, Head, Request
from gateway.core.principal import Identity, Principal

METHOD_SETS = ["[GET, HEAD]", "[POST]", "[GET]", "[DELETE]", "[PUT, PATCH]"]
Pairs = list[tuple[RoutePolicy, AccessRequest]]
TABLE = [(10, 5), (1000, 200), (10000, 2000), (10000, 100), (10000, 1)]


def documents(rules: int, routes: int, seed: random.Random) -> list[str]:
    """One policy per route, its rules numbered through; one rule in a hundred speaks about every route."""
    everywhere: list[str] = []
    by_route: dict[int, list[str]] = {}
    for number in range(rules):
        line = rule(number, seed)
        if seed.random() < min(0.01, 20 / rules):
            everywhere.append(line)
        else:
            by_route.setdefault(number % routes, []).append(line)
    texts = [policy(f"p{route}", name(route), lines) for route, lines in by_route.items()]
    if everywhere:
        texts.append(policy("everywhere", "*", everywhere))
    return texts


def name(route: int) -> str:
    return f"svc{route // 20}.r{route}"


def policy(title: str, routes: str, lines: list[str]) -> str:
    return f"apiVersion: gateway/v1\nkind: Policy\nname: {title}\nroutes: ['{routes}']\nrules:\n" + "".join(lines)


def rule(number: int, seed: random.Random) -> str:
    deny = number % 10 == 0
    permission = seed.choice(["messages:read", "messages:write", "files:read", "billing:pay", f"x{number % 50}:read"])
    text = f"  - name: rule-{number}\n    {'deny' if deny else 'allow'}: {seed.choice(METHOD_SETS)}\n"
    if not deny:
        text += f"    permission: {permission}\n"
    if deny:
        network = number // 10 % 20
        text += (
            f"    when: \"cidr('10.{network}.0.0/16').containsIP(request.client_ip) && request.headers['x-a'] == 'z{network}'\"\n"
        )
    elif number % 2 == 0:
        text += "    when: subject.claims.org_id == resource.params.org_id\n"
    return text


def compiled(rules: int, routes: int, seed: random.Random) -> tuple[Policies, float, float]:
    facts = [RouteFact(name(route), None, "u", ("org_id",)) for route in range(routes)]
    roles = "apiVersion: gateway/v1\nkind: Roles\nroles:\n  member: ['messages:*', 'files:read', 'x1:read']\n"
    with tempfile.TemporaryDirectory() as folder:
        for number, text in enumerate([roles, *documents(rules, routes, seed)]):
            Path(folder, f"{number:05}.yaml").write_text(text)
        start = time.perf_counter()
        loaded = from_documents(map(read, sorted(Path(folder).iterdir())))
        parsed = time.perf_counter()
        policies, problems = compile_policies(loaded, routes=facts, issuers=frozenset({"corp"}))
        done = time.perf_counter()
    if policies is None:
        sys.exit("\n".join(str(problem) for problem in problems if problem.severity == "error"))
    return policies, parsed - start, done - parsed


def question(route: str, method: str) -> AccessRequest:
    fields = {b"x-a": b"none", b"accept": b"application/json"}
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
    request = Request(head, method, "/v1/orgs/org_9", ("v1", "orgs", "org_9"), None, NO_BODY)
    return AccessRequest(request, route, "u", {"org_id": "org_9"}, 1.8e9)


def naive(policies: Policies, principal: Principal, access: AccessRequest) -> bool:
    """What a scan of all rules would say; `rule.place` is enough to tell the route apart here."""
    row = [(rule.need, rule.condition.fast if rule.condition else None, rule) for rule in policies.rules]
    speaking = [found for found in row if found[2].applies_to(access.request.method if access.request.method in METHODS else None)]
    return first(speaking, principal, access, principal.mask, []) is not None


def measure(rules: int, routes: int) -> None:
    seed = random.Random(1)
    policies, read, compile_time = compiled(rules, routes, seed)
    identity = Identity(id="alice", issuer="corp", scheme="jwt", claims={"org_id": "org_9"}, roles=("member",))
    principal = policies.grant(identity)
    probes = [question(name(seed.randrange(routes)), seed.choice(["GET", "POST", "DELETE"])) for _ in range(3000)]
    pairs = [(policies.route(access.route), access) for access in probes]
    best = min(whole(pairs, principal) for _ in range(7))
    times = sorted(each(pairs, principal))
    cells = [len(policy.cell(access.request.method).rows()) for policy, access in pairs]
    start = time.perf_counter()
    for access in probes[:20]:
        naive(policies, principal, access)
    scan = (time.perf_counter() - start) / 20
    allowed = sum(policy.decide(principal, access).allowed for policy, access in pairs)
    print(
        f"rules={rules:6} routes={routes:5} read={read * 1e3:6.0f}ms compile={compile_time * 1e3:6.0f}ms "
        f"rules/cell mean={statistics.mean(cells):7.1f} max={max(cells):5} "
        f"mean us={best * 1e6:7.2f} p50={times[len(times) // 2] / 1e3:7.2f} p99={times[len(times) * 99 // 100] / 1e3:7.2f} "
        f"scan={scan * 1e6:8.0f}us allowed={100 * allowed // len(pairs)}%"
    )


def whole(pairs: Pairs, principal: Principal) -> float:
    start = time.perf_counter()
    for policy, access in pairs:
        policy.decide(principal, access)
    return (time.perf_counter() - start) / len(pairs)


def each(pairs: Pairs, principal: Principal) -> list[int]:
    times = []
    for policy, access in pairs:
        start = time.perf_counter_ns()
        policy.decide(principal, access)
        times.append(time.perf_counter_ns() - start)
    return times


if __name__ == "__main__":
    for rules, routes in TABLE:
        measure(rules, routes)
