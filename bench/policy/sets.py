"""Rules and questions as plain data, which every engine can be given: no engine is imported here."""

import random
from typing import Any

Rule = dict[str, Any]
"""`name`, `deny`, `route`, `methods`, `permission` (None for a deny) and `terms`, all of which must hold."""
Question = dict[str, Any]
"""`route`, `method`, `path`, `permissions`, `claims` and `params`."""

SIZES = (("10 rules, 5 routes", 10, 5), ("1,000 rules, 200 routes", 1000, 200), ("10,000 rules, 2,000 routes", 10000, 2000))
CROWDED = (("10,000 rules, 100 routes", 10000, 100), ("10,000 rules, one route", 10000, 1))
METHODS = (("GET", "HEAD"), ("POST",), ("GET",), ("DELETE",), ("PUT", "PATCH"))
PERMISSIONS = ("messages:read", "messages:write", "files:read", "billing:pay", *(f"area{number}:use" for number in range(46)))
COUNTRIES = ("de", "fr", "us", "jp", "br")
CONDITION = (
    "subject.claims.org_id == resource.params.org_id && request.method in ['GET', 'HEAD']"
    " && 'messages:read' in subject.permissions && resource.path.startsWith('/v1/orgs/')"
)
"""Four terms, as a rule of a multi-tenant API has them."""


def rules(count: int, routes: int, seed: int = 1) -> list[Rule]:
    """A tenth deny; of the others half ask for a condition of one or two terms beside a permission. Most conditions differ."""
    randomly = random.Random(seed)
    return [_rule(number, routes, randomly) for number in range(count)]


def _rule(number: int, routes: int, randomly: random.Random) -> Rule:
    deny = number % 10 == 0
    terms: list[list[str]] = []
    if deny:
        terms = [["claim", "country", randomly.choice(["kp", "aq"])], ["claim", "tenant", f"t{number % 997}"]]
    elif number % 2:
        terms = [["own", "org_id"], *([["claim", "tenant", f"t{number % 997}"]] if number % 3 else [])]
    return {
        "name": f"r{number}",
        "deny": deny,
        "route": f"svc{number % routes // 20}.r{number % routes}",
        "methods": list(randomly.choice(METHODS)),
        "permission": None if deny else randomly.choice(PERMISSIONS),
        "terms": terms,
    }


def questions(routes: int, count: int, seed: int = 2) -> list[Question]:
    """Fifty subjects ask about routes; half of the paths are those of their own organisation."""
    randomly = random.Random(seed)
    subjects = [_subject(number, randomly) for number in range(50)]
    found = []
    for _ in range(count):
        route, subject = randomly.randrange(routes), randomly.choice(subjects)
        org = subject["claims"]["org_id"] if randomly.random() < 0.5 else "org_other"
        found.append(
            {
                "route": f"svc{route // 20}.r{route}",
                "method": randomly.choice(["GET", "POST", "DELETE"]),
                "path": f"/v1/orgs/{org}/messages",
                "params": {"org_id": org},
                **subject,
            }
        )
    return found


def _subject(number: int, randomly: random.Random) -> dict[str, Any]:
    claims = {"org_id": f"org_{number}", "tenant": f"t{randomly.randrange(997)}", "country": randomly.choice(COUNTRIES)}
    return {"permissions": sorted(randomly.sample(PERMISSIONS, 8)), "claims": claims}
