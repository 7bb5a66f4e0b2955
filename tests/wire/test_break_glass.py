"""Full audit, roles for emergencies, and roles that end while their holder's token is remembered."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.house import house

POLICY = """
apiVersion: gateway/v1
kind: Policy
name: p
routes: ["*"]
rules:
  - {name: full, allow: [GET], permission: "things:use", when: "subject.claims.org == 'acme' && request.headers['x-canary'] != ''", then: {audit: full}}
  - {name: writes, allow: [POST], permission: "things:fix", when: "subject.claims.org == 'acme'"}
"""
ROLES = """
apiVersion: gateway/v1
kind: Roles
roles: {member: ["things:use"], fire: {permissions: ["*:*"], break_glass: true}}
bindings:
  - {from_claim: roles, issuer: corp, only: [member]}
  - {role: fire, subjects: ["corp:chief"], expires_at: "%s"}
"""
FAR = "2999-01-01T00:00:00Z"


async def test_an_event_in_full_tells_the_rules_and_the_values_of_claims_never_of_headers(tmp_path: Path) -> None:
    async with house(tmp_path, policy=POLICY, roles=ROLES % FAR) as served:
        reply = await served.get("/things/1", token=served.keys.token(), headers={"X-Canary": "canary-5d1f"})
        assert reply.status == 200
        told = await served.only_request()
        assert told["trace"] == [
            {
                "rule": "p/full",
                "effect": "allow",
                "mode": "enforce",
                "granted": True,
                "matched": True,
                "conditions": [True],
                "values": {"subject.claims.org": "'acme'"},
            }
        ]
        assert "canary-5d1f" not in str(await served.events())


async def test_values_are_masked_as_the_trail_masks_them(tmp_path: Path) -> None:
    audit = {"file": "audit.jsonl", "mask": {"subject": "partial"}}
    async with house(tmp_path, policy=POLICY, roles=ROLES % FAR, audit=audit) as served:
        await served.get("/things/1", token=served.keys.token(), headers={"X-Canary": "1"})
        assert (await served.only_request())["trace"][0]["values"] == {"subject.claims.org": "ac***"}


@pytest.mark.parametrize(("method", "org", "status"), [("POST", "acme", 200), ("POST", "other", 403)])
async def test_every_request_of_who_breaks_the_glass_is_told_in_full_and_counted(
    tmp_path: Path, method: str, org: str, status: int
) -> None:
    async with house(tmp_path, policy=POLICY, roles=ROLES % FAR) as served:
        assert (await served.get("/things/1", method=method, token=served.keys.token("chief", org=org))).status == status
        assert (await served.only_request())["trace"][0]["values"] == {"subject.claims.org": f"'{org}'"}
        assert (await served.get("/things/1", method=method, token=served.keys.token("alice"))).status == 403
        assert "trace" not in (await served.requests())[-1]
        metrics = (await served.get("/metrics", listener="admin", host="127.0.0.1")).body.decode()
        assert 'gateway_authz_break_glass_total{route="things"} 1' in metrics


async def test_a_role_ends_while_its_holder_goes_on(tmp_path: Path) -> None:
    """On one connection, with one token: the principal is remembered with both, and no longer than its role."""
    ends = time.time() + 1.5
    moment = datetime.fromtimestamp(ends, UTC).isoformat().replace("+00:00", "Z")
    async with house(tmp_path, policy=POLICY, roles=ROLES % moment) as served:
        token = served.keys.token("chief")
        statuses: list[tuple[float, int]] = []
        while not statuses or (statuses[-1][1] == 200 and time.time() < ends + 5):
            begun = time.time()
            reply = await served.get("/things/1", method="POST", token=token)
            statuses.append((begun, reply.status))
        assert statuses[0][1] == 200
        assert statuses[-1][1] == 403
        assert all(begun < ends for begun, status in statuses if status == 200)


async def test_a_demand_of_an_audit_in_full_is_not_lost_beside_another_rule(tmp_path: Path) -> None:
    more = POLICY + "  - {name: other, allow: any}\n"
    async with house(tmp_path, policy=more, roles=ROLES % FAR) as served:
        fields: dict[str, Any] = {"X-Canary": "1"}
        await served.get("/things/1", token=served.keys.token(), headers=fields)
        told = await served.only_request()
        assert (told["rule"], [rule["rule"] for rule in told["trace"]]) == ("p/other", ["p/other", "p/full"])
