"""`let`: names for expressions, and named sets of addresses."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.authz.attributes import POLICIES
from gateway.authz.cel.condition import Condition, clause
from gateway.authz.cel.definitions import define
from gateway.authz.cel.environment import Environment
from gateway.authz.cel.errors import FAULTS, CelError, EvaluationError
from gateway.authz.cel.networks import AddressSet, Network
from gateway.authz.cel.tree import Variable, walk
from gateway.authz.cel.types import DYN
from tests.asking import a_subject, an_access

OFFICE = POLICIES.with_sets({"office": AddressSet([Network("192.0.2.0/24")]), "depot": AddressSet([])})


def defined(**sources: str) -> Environment:
    environment, refused = define(sources, POLICIES)
    assert refused == {}
    return environment


def refused(**sources: str) -> dict[str, tuple[int, str, str]]:
    return {name: (error.offset, error.message, error.hint) for name, error in define(sources, POLICIES)[1].items()}


def holds(source: str, environment: Environment, **claims: Any) -> bool:
    return Condition([clause(source, environment)]).test(a_subject(claims=claims), an_access())


def test_a_definition_stands_for_its_expression() -> None:
    environment = defined(own="subject.claims.org_id == resource.params.org_id")
    assert holds("own", environment, org_id="org_9") is True
    assert holds("!own || own", environment, org_id="org_1") is True
    assert holds("own && request.method == 'GET'", environment, org_id="org_1") is False


def test_definitions_use_each_other_in_any_order_and_may_be_of_any_type() -> None:
    environment = defined(own="org == resource.params.org_id", org="subject.claims.profile.org", names="['a', org]")
    assert holds("own && 'org_9' in names", environment, profile={"org": "org_9"}) is True


def test_an_error_in_a_definition_is_an_error_where_it_is_used() -> None:
    environment = defined(own="subject.claims.org_id == 'x'")
    assert holds("own || true", environment) is True
    with pytest.raises(FAULTS):
        holds("own", environment)


def test_fields_of_a_definition_can_be_asked() -> None:
    environment = defined(profile="subject.claims.profile")
    assert holds("has(profile.org) && profile.org == 'a' && profile['org'] == 'a'", environment, profile={"org": "a"})


def test_mistakes_are_told_with_their_place_in_the_definition() -> None:
    assert refused(own="subject.claims.org_id == resource.parms.org_id", all_good="true") == {
        "own": (34, "'parms' is not a field of resource", "did you mean 'params'?")
    }


def test_definitions_in_a_circle_are_refused() -> None:
    found = refused(a="b", b="c", c="true && a")
    assert found["c"] == (8, "'a' is defined by itself", "a -> b -> c -> a")
    assert found["a"] == (0, "'b' is refused itself", "")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("subject", "is a name of the language"),
        ("size", "is a function"),
        ("exists", "is a function"),
        ("in", "cannot be a name"),
        ("while", "cannot be a name"),
        ("true", "cannot be a name"),
        ("a-b", "cannot be a name"),
        ("1a", "cannot be a name"),
        ("\u0430dmin", "cannot be a name"),
        ("", "cannot be a name"),
        ("a\n", "cannot be a name"),
    ],
)
def test_a_definition_may_not_take_a_name_that_means_something(name: str, message: str) -> None:
    assert message in define({name: "true"}, POLICIES)[1][name].message


def test_definitions_that_double_each_other_are_bounded() -> None:
    sources = {"a0": "subject.id == 'a'"} | {f"a{n}": f"a{n - 1} || a{n - 1}" for n in range(1, 40)}
    _, found = define(sources, POLICIES)
    assert "more than 4096 parts" in found["a11"].message


def test_a_chain_of_definitions_is_bounded_in_depth() -> None:
    sources = {"a0": "subject.claims.x"} | {f"a{n}": f"[a{n - 1}]" for n in range(1, 100)}
    assert "nested more than" in define(sources, POLICIES)[1]["a63"].message


def test_a_mistake_beside_a_definition_is_told_in_the_expression_itself() -> None:
    with pytest.raises(CelError, match="unknown name 'owm'") as caught:
        clause("true && owm", defined(own="true"))
    assert (caught.value.offset, caught.value.hint) == (8, "did you mean 'own'?")


def test_parts_of_a_definition_stand_where_its_name_does() -> None:
    found = clause("true && own", defined(own="subject.claims.org_id == resource.params.org_id"))
    assert {found.text(node) for node in walk(found.tree)} == {"true && own", "own"}


def test_a_set_of_addresses_is_asked_by_name() -> None:
    assert holds("inSet(request.client_ip, 'office')", OFFICE) is True
    assert holds("inSet(request.client_ip, 'depot')", OFFICE) is False
    assert holds("inSet(subject.claims.ip, 'office')", OFFICE, ip="10.0.0.1") is False
    with pytest.raises(FAULTS):
        holds("inSet(subject.claims.ip, 'office')", OFFICE, ip=7)


@pytest.mark.parametrize(
    ("source", "offset", "message", "hint"),
    [
        ("inSet(request.client_ip, 'offce')", 25, "unknown set 'offce'", "did you mean 'office'?"),
        ("inSet(request.client_ip, 'zz')", 25, "unknown set 'zz'", "known: depot, office"),
        ("inSet(request.client_ip, subject.id)", 25, "as a literal", ""),
        ("inSet(1, 'office')", 6, "needs string or ip, found int", ""),
        ("inSet('office')", 0, "takes 2 arguments, found 1", ""),
    ],
)
def test_a_set_that_cannot_be_known_at_load_is_refused(source: str, offset: int, message: str, hint: str) -> None:
    with pytest.raises(CelError, match=message) as caught:
        clause(source, OFFICE)
    assert (caught.value.offset, caught.value.hint) == (offset, hint)


def test_without_sets_the_message_says_so() -> None:
    with pytest.raises(CelError) as caught:
        clause("inSet(request.client_ip, 'office')", POLICIES)
    assert caught.value.hint == "none is defined"


def test_a_condition_may_be_asked_with_more_than_two_values() -> None:
    answered = replace(POLICIES, variables={**POLICIES.variables, "response.body": Variable(DYN, 2)})
    condition = Condition([clause("response.body.org == subject.claims.org", answered)], arguments=3)
    assert condition.test(a_subject(claims={"org": "a"}), an_access(), {"org": "a"}) is True


def test_a_value_that_cannot_be_read_is_an_error_like_any_other() -> None:
    def unread(_: object) -> object:
        raise EvaluationError("the body cannot be inspected")

    environment = replace(POLICIES, variables={**POLICIES.variables, "request.body": Variable(DYN, 1, (), unread)})
    assert holds("request.body.a == 1 || true", environment) is True
    assert holds("request.body.a == 1 && false", environment) is False
    with pytest.raises(EvaluationError, match="cannot be inspected"):
        holds("request.body.a == 1", environment)
