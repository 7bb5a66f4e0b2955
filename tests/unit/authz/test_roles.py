"""Permissions, roles, bindings, and what a principal is granted."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authz.permissions import Numbering, covers, narrowed
from gateway.authz.policy import Policies
from tests.asking import an_identity, compiled, policies, policy, roles, said

ROLES = roles(
    """
    roles:
      viewer: [messages:read, files:read]
      member: {extends: [viewer], permissions: [messages:write]}
      admin: ["*:*"]
      files: ["files:*"]
      reader: ["*:read"]
    bindings:
      - {from_claim: roles, issuer: corp, only: [viewer, member]}
      - {role: admin, when: "subject.issuer == 'corp' && 'platform-admins' in subject.groups && 'mfa' in subject.claims.amr"}
      - {role: files, when: ["subject.issuer == 'partner'", "subject.scheme == 'jwt'"]}
      - {role: viewer, subjects: ["mtls:spiffe://example.org/ci", "api_keys:reporting"]}
    """
)
NEEDED = ["messages:read", "messages:write", "files:read", "files:write", "users:delete"]
RULES = policy("".join(f"- {{name: r{number}, allow: any, permission: '{name}'}}\n" for number, name in enumerate(NEEDED)))


@pytest.fixture
def granted(tmp_path: Path) -> Policies:
    return policies(tmp_path, ROLES, RULES)


def names(found: Policies, mask: int) -> set[str]:
    return {rule.permission for rule in found.rules if rule.need & mask and rule.permission}


SEGMENTS = st.sampled_from(["a", "b", "c", "*"])
PATTERNS = st.builds("{}:{}".format, SEGMENTS, SEGMENTS)
CONCRETE = [f"{one}:{other}" for one, other in product("abc", repeat=2)]


@given(st.lists(PATTERNS, max_size=4))
def test_a_mask_is_what_the_patterns_cover(patterns: list[str]) -> None:
    numbering = Numbering(CONCRETE)
    mask = numbering.mask(patterns)
    assert {name for name in CONCRETE if numbering.bit(name) & mask} == {
        name for name in CONCRETE if any(covers(pattern, name) for pattern in patterns)
    }


@given(st.lists(PATTERNS, max_size=4), st.lists(PATTERNS, max_size=4))
def test_narrowing_names_is_narrowing_masks(left: list[str], right: list[str]) -> None:
    numbering = Numbering(CONCRETE)
    assert numbering.mask(narrowed(left, right)) == numbering.mask(left) & numbering.mask(right)


@pytest.mark.parametrize(
    "text", ["", "*", ":", "*:", ":*", "messages", "messages:read:x", "messages:*:x", "**:**", "messages:re*", "https://a/b"]
)
def test_text_that_is_no_permission_covers_nothing(text: str) -> None:
    assert Numbering(NEEDED).mask([text]) == 0
    assert narrowed(["*:*"], [text]) == ()


def test_no_bit_is_spent_on_what_no_rule_asks_for() -> None:
    assert Numbering(["a:b", "a:b"]).mask(["*:*", "x:y"]) == 1


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("viewer", {"messages:read", "files:read"}),
        ("member", {"messages:read", "files:read", "messages:write"}),
        ("admin", set(NEEDED)),
        ("files", {"files:read", "files:write"}),
        ("reader", {"messages:read", "files:read"}),
        ("nobody", set()),
    ],
)
def test_a_role_gives_its_permissions_and_those_it_extends(granted: Policies, role: str, expected: set[str]) -> None:
    principal = granted.grant(an_identity(roles=(role,)))
    assert names(granted, principal.mask) == expected
    assert principal.uncapped == principal.mask


def test_who_has_a_role_has_the_roles_it_extends(granted: Policies) -> None:
    principal = granted.grant(an_identity(roles=("member",)))
    assert principal.roles == ("member", "viewer")
    assert principal.permissions == ("files:read", "messages:read", "messages:write")


def test_wildcards_are_kept_as_granted(granted: Policies) -> None:
    assert granted.grant(an_identity(roles=("admin", "files"))).permissions == ("*:*", "files:*")


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"claims": {"roles": ["viewer"]}}, ("viewer",)),
        ({"claims": {"roles": "member"}}, ("member", "viewer")),
        ({"claims": {"roles": ["admin"]}}, ()),
        ({"claims": {"roles": ["admin", "viewer", "root", 1, None, ["viewer"]]}}, ("viewer",)),
        ({"claims": {"roles": {"viewer": True}}}, ()),
        ({"claims": {"roles": None}}, ()),
        ({"claims": {}}, ()),
        ({"issuer": "partner", "scheme": "session", "claims": {"roles": ["viewer"]}}, ()),
        ({"groups": ("platform-admins",), "claims": {"amr": ["pwd", "mfa"]}}, ("admin",)),
        ({"groups": ("platform-admins",), "claims": {"amr": ["pwd"]}}, ()),
        ({"groups": ("platform-admins",)}, ()),
        ({"groups": ("platform-admins",), "claims": {"amr": 7}}, ()),
        ({"issuer": "partner", "scheme": "session", "groups": ("platform-admins",), "claims": {"amr": ["mfa"]}}, ()),
        ({"issuer": "partner"}, ("files",)),
        ({"issuer": "mtls", "scheme": "mtls", "id": "spiffe://example.org/ci"}, ("viewer",)),
        ({"issuer": "mtls", "scheme": "mtls", "id": "spiffe://example.org/ci2"}, ()),
        ({"issuer": "corp", "id": "spiffe://example.org/ci"}, ()),
        ({"issuer": "api_keys", "scheme": "api_key", "id": "reporting"}, ("viewer",)),
        ({"issuer": "api_keys:reporting", "scheme": "api_key", "id": ""}, ()),
    ],
)
def test_bindings_give_roles(granted: Policies, facts: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert granted.grant(an_identity(**facts)).roles == expected


def test_anonymous_has_no_roles_whatever_the_bindings_say(tmp_path: Path) -> None:
    everybody = roles("roles: {all: ['*:*']}\nbindings: [{role: all, when: 'true'}, {role: all, subjects: ['corp:anonymous']}]")
    found = policies(tmp_path, everybody, RULES)
    assert found.grant(an_identity()).mask != 0
    principal = found.grant(an_identity("anonymous", scheme="anonymous", roles=("all",), permissions=("*:*",)))
    assert (principal.roles, principal.permissions, principal.mask, principal.uncapped) == ((), (), 0, 0)


@pytest.mark.parametrize(
    ("direct_roles", "direct_permissions", "expected"),
    [
        (("member",), None, {"messages:read", "files:read", "messages:write"}),
        (None, ("messages:*", "users:delete"), {"messages:read", "messages:write", "users:delete"}),
        (("member",), ("messages:*",), {"messages:read", "messages:write"}),
        (("admin",), ("files:read",), {"files:read"}),
        (("viewer",), ("users:delete",), set()),
        ((), ("messages:read",), set()),
        (("nobody",), ("messages:read",), set()),
        (None, (), set()),
        (("viewer",), (), set()),
        (None, None, set()),
    ],
)
def test_direct_roles_and_permissions_narrow_together(
    granted: Policies, direct_roles: tuple[str, ...] | None, direct_permissions: tuple[str, ...] | None, expected: set[str]
) -> None:
    principal = granted.grant(
        an_identity("key", issuer="api_keys", scheme="api_key", roles=direct_roles, permissions=direct_permissions)
    )
    assert names(granted, principal.mask) == expected
    assert names(granted, Numbering(NEEDED).mask(principal.permissions)) == expected


def test_permissions_of_a_key_bound_what_bindings_give_it(granted: Policies) -> None:
    identity = an_identity("reporting", issuer="api_keys", scheme="api_key", permissions=("messages:read", "users:delete"))
    assert names(granted, granted.grant(identity).mask) == {"messages:read"}


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [
        (("messages:read", "openid"), {"messages:read"}),
        (("messages:*",), {"messages:read", "messages:write"}),
        (("*:*",), {"messages:read", "messages:write", "files:read"}),
        (("users:delete",), set()),
        (("openid", "*", "messages"), set()),
        ((), set()),
    ],
)
def test_a_scope_ceiling_takes_away_and_never_gives(granted: Policies, scopes: tuple[str, ...], expected: set[str]) -> None:
    principal = granted.grant(an_identity(roles=("member",), scopes=scopes, scope_ceiling=True))
    assert names(granted, principal.mask) == expected
    assert names(granted, principal.uncapped) == {"messages:read", "messages:write", "files:read"}
    assert Numbering(NEEDED).mask(principal.permissions) == principal.mask


def test_scopes_mean_nothing_without_a_ceiling(granted: Policies) -> None:
    assert granted.grant(an_identity(roles=("viewer",), scopes=("*:*",))).mask == granted.grant(an_identity(roles=("viewer",))).mask


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("roles: {a: {extends: [b]}, b: {extends: [a]}}", ["a -> b -> a", "b -> a -> b"]),
        ("roles: {a: {extends: [a]}}", ["the role extends itself: a -> a"]),
        ("roles: {viewer: ['a:b'], a: {extends: [viewr]}}", ["3:40: unknown role 'viewr' (did you mean 'viewer'?)"]),
        ("roles: {a: ['a:b']}\nbindings: [{role: b, when: 'true'}]", ["4:19: unknown role 'b'"]),
        ("roles: {a: ['a:b']}\nbindings: [{from_claim: x, issuer: corp, only: [a, b]}]", ["4:52: unknown role 'b'"]),
        (
            "roles: {a: ['a:b']}\nbindings: [{from_claim: x, issuer: crop, only: [a]}]",
            ["4:36: unknown issuer 'crop' (did you mean 'corp'?)"],
        ),
        ("roles: {a: ['a:b']}\nbindings: [{role: a, subjects: ['mtl:x']}]", ["unknown issuer 'mtl' (did you mean 'mtls'?)"]),
        ("roles: {a: ['a:b']}\nbindings: [{role: a, when: subject.isuer == 'x'}]", ["4:36: 'isuer' is not a field of subject"]),
        ("roles: {a: ['a:b']}\nbindings: [{role: a, when: request.method == 'GET'}]", ["4:28: unknown name 'request'"]),
    ],
)
def test_what_roles_name_must_exist(tmp_path: Path, text: str, messages: list[str]) -> None:
    found, problems = compiled(tmp_path, roles(text))
    assert found is None
    assert len(said(problems)) == len(messages)
    for shown, message in zip(said(problems), messages, strict=True):
        assert message in shown


def test_roles_extend_one_another_eight_deep_at_most(tmp_path: Path) -> None:
    chain = "roles:\n  r1: ['a:b']\n" + "".join(f"  r{number}: {{extends: [r{number - 1}]}}\n" for number in range(2, 9))
    assert said(compiled(tmp_path, roles(chain))[1]) == []
    _, problems = compiled(tmp_path, roles(chain + "  r9: {extends: [r8]}\n"))
    assert said(problems) == ["12:3: roles extend one another more than 8 deep"]


def test_a_chain_of_thousands_of_roles_is_refused_like_one_of_nine(tmp_path: Path) -> None:
    """Followed to its end it would need more of the interpreter's stack than there is."""
    chain = "".join(f"  r{number}: {{extends: [r{number + 1}]}}\n" for number in range(2000))
    _, problems = compiled(tmp_path, roles("roles:\n" + chain + "  r2000: ['a:b']\n"))
    refused = [problem.message for problem in problems if problem.severity == "error"]
    assert refused == ["roles extend one another more than 8 deep"] * (2001 - 8)


def test_roles_of_several_files_are_one_set(tmp_path: Path) -> None:
    found = policies(tmp_path, roles("roles: {a: ['x:y']}"), roles("roles: {b: {extends: [a]}}"))
    assert found.grant(an_identity(roles=("b",))).roles == ("a", "b")
    _, problems = compiled(tmp_path, roles("roles: {a: ['x:y']}"), roles("roles: {a: ['*:*']}"))
    assert said(problems) == ["3:9: the role 'a' is defined twice"]


def test_a_condition_that_does_not_ask_for_the_issuer_is_warned_about(tmp_path: Path) -> None:
    text = roles("roles: {a: ['x:y']}\nbindings: [{role: a, when: \"'admins' in subject.groups\"}]")
    _, several = compiled(tmp_path, text)
    assert "4:28: the tokens of every issuer can give this role (compare subject.issuer too)" in said(several, "warning")
    _, single = compiled(tmp_path, text, issuers=frozenset({"corp", "mtls", "api_keys"}))
    assert not any("every issuer" in shown for shown in said(single, "warning"))
