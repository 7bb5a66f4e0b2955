"""Rules and bindings that end, groups, and roles for emergencies."""

from pathlib import Path
from typing import Any

import pytest

from gateway.core.principal import Principal
from tests.asking import NOW, a_subject, an_access, an_identity, compiled, policies, policy, roles, said

SOON = "2026-05-28T21:00:00Z"
AT = 1_780_002_000.0
"""The moment SOON is."""
BOUND = "roles: {member: ['messages:read'], fire: {permissions: ['*:*'], break_glass: true}, chief: {extends: [fire]}}\n"


def granted(folder: Path, bindings: str, now: float = NOW, **who: Any) -> Principal:
    return policies(folder, roles(BOUND + f"bindings: {bindings}")).grant.at(an_identity(**who), now)


def test_the_moment_is_what_the_tests_take_it_for(tmp_path: Path) -> None:
    found = policies(tmp_path, policy(f"- {{name: a, allow: any, expires_at: {SOON}}}"))
    asked = [found.route("messages.get").decide(a_subject(), an_access(now=now)).allowed for now in (AT - 0.001, AT)]
    assert asked == [True, False]


def test_a_deny_ends_too(tmp_path: Path) -> None:
    found = policies(tmp_path, policy(f"- {{name: a, allow: any}}\n- {{name: b, deny: any, expires_at: {SOON}}}"))
    asked = [found.route("messages.get").decide(a_subject(), an_access(now=now)).allowed for now in (AT - 1, AT)]
    assert asked == [False, True]


@pytest.mark.parametrize(
    "binding",
    [
        "{role: member, subjects: ['corp:alice'], expires_at: %s}",
        "{role: member, groups: ['corp:staff'], expires_at: %s}",
        "{role: member, when: \"subject.issuer == 'corp'\", expires_at: %s}",
        "{from_claim: roles, issuer: corp, only: [member], expires_at: %s}",
    ],
    ids=["subjects", "groups", "when", "claim"],
)
def test_a_binding_gives_nothing_from_its_end_on_and_the_principal_ends_with_it(tmp_path: Path, binding: str) -> None:
    who: dict[str, Any] = {"groups": ("staff",), "claims": {"roles": ["member"]}}
    before = granted(tmp_path, f"[{binding % SOON}]", AT - 1, **who)
    after = granted(tmp_path, f"[{binding % SOON}]", AT, **who)
    assert (before.roles, before.expires) == (("member",), AT)
    assert (after.roles, after.expires, after.mask) == ((), None, 0)


@pytest.mark.parametrize(("credential", "expected"), [(None, AT), (AT - 60, AT - 60), (AT + 60, AT)])
def test_the_earlier_end_counts(tmp_path: Path, credential: float | None, expected: float) -> None:
    bindings = f"[{{role: member, subjects: ['corp:alice'], expires_at: {SOON}}}, {{role: member, subjects: ['corp:alice']}}]"
    assert granted(tmp_path, bindings, expires=credential).expires == expected


def test_a_binding_of_somebody_else_ends_nothing(tmp_path: Path) -> None:
    assert granted(tmp_path, f"[{{role: member, subjects: ['corp:bob'], expires_at: {SOON}}}]").expires is None


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ({"groups": ("staff", "x")}, ("member",)),
        ({"groups": ("ops",)}, ("member",)),
        ({"groups": ("Staff",)}, ()),
        ({"groups": ()}, ()),
        ({"groups": ("staff",), "issuer": "partner"}, ()),
    ],
)
def test_groups_give_roles_of_their_own_issuer_only(tmp_path: Path, who: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert granted(tmp_path, "[{role: member, groups: ['corp:staff', 'corp:ops']}]", **who).roles == expected


def test_groups_of_an_unknown_issuer_are_an_error(tmp_path: Path) -> None:
    _, problems = compiled(tmp_path, roles(BOUND + "bindings: [{role: member, groups: ['crop:staff']}]"))
    assert said(problems) == ["4:36: unknown issuer 'crop' (did you mean 'corp'?)"]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (policy("- {name: a, allow: any, expires_at: 2020-01-01T00:00:00Z}"), "this ended at 2020-01-01T00:00:00Z"),
        (
            roles(BOUND + "bindings: [{role: member, subjects: ['corp:a'], expires_at: 2020-01-01T00:00:00Z}]"),
            "this ended at 2020-01-01T00:00:00Z",
        ),
        (
            roles(BOUND + "bindings: [{role: fire, subjects: ['corp:a']}]"),
            "'fire' is a break-glass role, and this gives it for ever",
        ),
        (roles(BOUND + "bindings: [{role: chief, groups: ['corp:a']}]"), "'chief' is a break-glass role"),
        (roles(BOUND + "bindings: [{from_claim: r, issuer: corp, only: [member, fire]}]"), "'fire' is a break-glass role"),
    ],
)
def test_what_has_ended_and_what_never_ends_is_told(tmp_path: Path, document: str, message: str) -> None:
    _, problems = compiled(tmp_path, document)
    assert any(message in told for told in said(problems, "warning"))


@pytest.mark.parametrize("moment", ["2026-05-28", "tomorrow", "2026-05-28T21:00:00", "2026-13-28T21:00:00Z", "1"])
def test_a_moment_is_written_as_rfc_3339_has_it(tmp_path: Path, moment: str) -> None:
    found, problems = compiled(tmp_path, policy(f"- {{name: a, allow: any, expires_at: {moment}}}"))
    assert found is None
    assert said(problems)[0].startswith("6:37: ")


@pytest.mark.parametrize(("role", "expected"), [("fire", True), ("chief", True), ("member", False)])
def test_whoever_holds_a_role_for_emergencies_is_known(tmp_path: Path, role: str, expected: bool) -> None:
    assert granted(tmp_path, f"[{{role: {role}, subjects: ['corp:alice'], expires_at: {SOON}}}]").break_glass is expected
    assert granted(tmp_path, "[]", roles=(role,)).break_glass is expected
