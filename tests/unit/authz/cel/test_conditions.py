"""What conditions mean: values, errors, absorption; the generated code and the exact walk agree."""

import ast
import random
import re
from operator import itemgetter
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.authz.attributes import POLICIES
from gateway.authz.cel.checker import check
from gateway.authz.cel.codegen import generate
from gateway.authz.cel.condition import Condition, clause
from gateway.authz.cel.definitions import define
from gateway.authz.cel.environment import Environment
from gateway.authz.cel.errors import FAULTS, CelError, EvaluationError
from gateway.authz.cel.evaluate import EVALUATE, evaluate
from gateway.authz.cel.parser import parse
from gateway.authz.cel.tree import Tree, Variable
from gateway.authz.cel.types import DYN
from gateway.core.errors import BadRequest
from gateway.core.reason import Reason
from tests.asking import a_subject, an_access, condition
from tests.celfuzz import FACTS, Expressions

CLAIMS = {
    "org_id": "org_9",
    "level": 2,
    "ratio": 2.0,
    "verified": True,
    "none": None,
    "tags": ["a", 1, 2.0, True, None],
    "nested": {"deep": {"list": [1, 2, 3]}},
    "empty": "",
    "nul": "admin\0x",
    "until": "2026-06-01T00:00:00Z",
}


def holds(source: str, **facts: Any) -> bool:
    subject = a_subject(claims=CLAIMS, roles=("member",), permissions=("messages:read", "files:*"), groups=("staff",))
    return condition(source).test(subject, an_access(**facts))


@pytest.mark.parametrize(
    "source",
    [
        "subject.claims.org_id == resource.params.org_id",
        "subject.claims['org_id'] == 'org_9'",
        "subject.claims.level == 2 && subject.claims.level == 2.0 && subject.claims.ratio == 2",
        "subject.claims.verified",
        "subject.claims.verified != 1 && subject.claims.level != true",
        "subject.claims.none == null && subject.claims.level != null",
        "subject.claims.level > 1 && subject.claims.ratio <= 2 && subject.claims.org_id < 'p'",
        "subject.claims.nested.deep.list[2] == 3",
        "subject.claims.nested.deep == {'list': [1, 2.0, 3]}",
        "subject.claims.nested.deep.list != [1, 2]",
        "'a' in subject.claims.tags && 2 in subject.claims.tags && null in subject.claims.tags",
        "!('b' in subject.claims.tags)",
        "'deep' in subject.claims.nested && !(1 in subject.claims.nested.deep.list == false)",
        "'messages:read' in subject.permissions && !('files:read' in subject.permissions)",
        "request.method in ['GET', 'HEAD'] && subject.claims.level in [1, 2]",
        "!(subject.claims.tags in ['a', 'b'])",
        "subject.id in ['alice', 'bob'] && subject.id in [subject.claims.org_id, 'alice']",
        "has(subject.claims.org_id) && !has(subject.claims.nope) && has(subject.claims.nested.deep)",
        "subject.claims.org_id.startsWith('org_') && subject.claims.org_id.endsWith('9') && subject.claims.org_id.contains('g_')",
        "resource.path.startsWith('/v1/') && resource.path.contains('orgs') && resource.path.endsWith('messages')",
        "size(subject.claims.tags) == 5 && subject.claims.empty.size() == 0 && size(subject.claims.nested) == 1",
        "size('\u00e9\U0001f600') == 2",
        "subject.claims.level == 2 ? subject.claims.verified : false",
        "resource.route == 'messages.get' && resource.upstream == 'chat' && request.host == 'gw.example'",
        "subject.issuer == 'corp' && subject.scheme == 'jwt' && 'member' in subject.roles && 'staff' in subject.groups",
        "env.now > timestamp('2020-01-01T00:00:00Z') && env.now < timestamp(subject.claims.until)",
        "timestamp('2026-05-28T20:26:40Z') == env.now && timestamp(1780000000) == env.now",
        "timestamp('2026-05-28T22:26:40.000000000+02:00') == env.now",
        "cidr('192.0.2.0/24').containsIP(request.client_ip) && !cidr('10.0.0.0/8').containsIP(request.client_ip)",
        "{'id': subject.id, 'n': 2} == {'n': subject.claims.ratio, 'id': 'alice'}",
        "subject.claims.nope == 1 || (subject.claims.verified ? {'a': [subject.id]} == {'a': ['alice']} : false)",
        "subject.claims.nested[subject.claims.empty == '' ? 'deep' : 'x'].list[2.0 == subject.claims.ratio ? 0 : 1] == 1",
        "[subject.claims.ratio][subject.claims.ratio == 2 ? 0 : 1] == 2",
        "subject.claims.tags[subject.claims.ratio] == 2.0",
        "resource.params[subject.claims.level == 2 ? 'org_id' : 'x'] == 'org_9'",
        "cidr('10.0.0.0/8') == cidr('10.0.0.0/8') && cidr('10.0.0.0/8') != cidr('10.0.0.0/9')",
        "timestamp(env.now) == env.now",
        "cidr('10.0.0.0/8').ip() == ip('10.0.0.0') && ip('10.0.0.1').family() == 4 && ip.isCanonical('::1')",
        "true || subject.claims.nope",
        "subject.claims.nope == 'x' || true",
        "!(subject.claims.nope == 'x' && false)",
        "!(false && subject.claims.nope == 'x')",
        "subject.claims.level || true",
    ],
)
def test_this_holds(source: str) -> None:
    assert holds(source) is True


@pytest.mark.parametrize(
    "source",
    [
        "subject.claims.nope == 'x'",
        "subject.claims.org_id.x == 'x'",
        "subject.claims.tags.x == 'x'",
        "subject.claims.none.x == 'x'",
        "subject.claims.level",
        "subject.claims.org_id",
        "!subject.claims.level",
        "subject.claims.level == 1 || subject.claims.org_id",
        "subject.claims.nope || false",
        "subject.claims.nope && true",
        "subject.claims.org_id > 1",
        "subject.claims.verified > 0",
        "subject.claims.none < 1",
        "'a' in subject.claims.org_id",
        "has(subject.claims.org_id.x)",
        "has(subject.claims.nope.x)",
        "subject.claims.tags[5] == 'a'",
        "subject.claims.tags[-1] == null",
        "subject.claims.tags[0.5] == 'a'",
        "subject.claims.tags[subject.claims.verified] == 1",
        "subject.claims.nested[subject.claims.level] == 1",
        "subject.claims.org_id[0] == 'o'",
        "subject.claims.level.startsWith('a')",
        "subject.claims.org_id.startsWith(subject.claims.level)",
        "size(subject.claims.level) == 1",
        "cidr('10.0.0.0/8').containsIP(subject.claims.org_id)",
        "cidr('10.0.0.0/8').containsIP(subject.claims.level)",
        "subject.claims.org_id.containsIP('10.0.0.1')",
        "timestamp(subject.claims.org_id) < env.now",
        "timestamp(subject.claims.ratio) < env.now",
        "subject.claims.nope ? true : true",
        "resource.params.nope == 'x'",
        "request.headers['x-none'] == 'a'",
        "request.query.none[0] == 'a'",
        "env.now == subject.claims.level || subject.claims.nope",
    ],
)
def test_this_has_no_value(source: str) -> None:
    with pytest.raises(FAULTS):
        holds(source)


def test_a_nul_byte_does_not_end_a_string() -> None:
    assert holds("subject.claims.nul != 'admin' && subject.claims.nul == 'admin\\x00x' && size(subject.claims.nul) == 7")


def test_a_lone_surrogate_is_a_character_like_others() -> None:
    subject = a_subject(claims={"role": "admin\ud800"})
    assert condition("subject.claims.role == 'admin'").test(subject, an_access()) is False
    with pytest.raises(FAULTS):
        condition("cidr('10.0.0.0/8').containsIP(subject.claims.role)").test(subject, an_access())


def test_all_clauses_hold_together() -> None:
    both = Condition([clause("true", POLICIES), clause("subject.id == 'alice'", POLICIES)])
    assert both.test(a_subject(), an_access()) is True
    assert both.test(a_subject(id="bob"), an_access()) is False


def test_an_unless_is_a_negation() -> None:
    unless = Condition([clause("true", POLICIES), clause("subject.id == 'alice'", POLICIES, negated=True)])
    assert unless.test(a_subject(), an_access()) is False
    assert unless.test(a_subject(id="bob"), an_access()) is True


def test_an_undecodable_query_is_never_absorbed() -> None:
    with pytest.raises(BadRequest) as caught:
        holds("request.query.a[0] == 'x' || subject.id != ''", query=b"a=%zz")
    assert caught.value.reason is Reason.QUERY_INVALID
    assert holds("subject.id != '' || request.query.a[0] == 'x'", query=b"a=%zz")


def test_deep_claims_end_in_an_error_and_not_in_a_crash() -> None:
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(FAULTS):
        condition("subject.claims.a == subject.claims.b").test(a_subject(claims={"a": deep, "b": [deep[0]]}), an_access())


def test_generated_code_has_no_builtins_and_no_name_of_the_policy() -> None:
    source = "subject.claims.__class__ == 'x' || subject.claims['__builtins__'].eval == resource.params.org_id"
    fast: Any = condition(source).fast
    assert fast.__globals__["__builtins__"] == {}
    assert set(fast.__code__.co_names) == {"claims", "params", *(name for name in fast.__code__.co_names if name[0] == "k")}
    assert fast.__code__.co_varnames == ("a0", "a1")


@pytest.mark.parametrize("text", ["'); __import__('os').system('id", "{{7*7}}", "`id`", "${PATH}", "\\' or 1==1 #", "\n\r\t\"'"])
def test_whatever_a_string_contains_it_stays_a_string(text: str) -> None:
    literal = "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r") + "'"
    assert condition(f"subject.claims.x == {literal}").test(a_subject(claims={"x": text}), an_access())
    assert ast.literal_eval(repr(text)) == text


VARIABLES = Environment.of({name: Variable(DYN, 0, (), itemgetter(name)) for name in ("a", "b", "c")})
ATOMS = [
    "a",
    "b",
    "c",
    "a.x",
    "b.x",
    "true",
    "false",
    "null",
    "1",
    "2",
    "1.0",
    "'s'",
    "''",
    "[1, 's']",
    "[a]",
    "{'x': 1}",
    "{'x': b}",
    "-1",
]


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operator = st.sampled_from(["&&", "||", "==", "!=", "<", "<=", ">", ">=", "in"])
    return st.one_of(
        st.builds("({} {} {})".format, inner, operator, inner),
        st.builds("!({})".format, inner),
        st.builds("({} ? {} : {})".format, inner, inner, inner),
        st.builds("({})[{}]".format, inner, inner),
        st.builds("has(({}).x)".format, inner),
        st.builds("size({})".format, inner),
        st.builds("({}).{}({})".format, inner, st.sampled_from(["startsWith", "endsWith", "contains"]), inner),
        st.builds("timestamp({})".format, inner),
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=True) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["x", "y"]), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=400)
@given(st.recursive(st.sampled_from(ATOMS), _grown, max_leaves=8), st.fixed_dictionaries({"a": JSON, "b": JSON, "c": JSON}))
def test_generated_code_gives_what_the_exact_walk_gives_or_raises(source: str, values: dict[str, Any]) -> None:
    try:
        tree = check(parse(source), VARIABLES)
    except CelError:
        return
    fast = generate(tree, 1)
    try:
        found = fast(values)
    except FAULTS:
        return
    exact = evaluate(tree, (values,))
    assert type(found) is type(exact)
    assert repr(found) == repr(exact)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("a < b", "a string cannot be ordered with an int"),
        ("a + b == c", "'+' does not fit a string and an int"),
        ("b % c == 1", "'%' does not fit an int and null"),
        ("-a == 1", "'-' needs a number, not a string"),
        ("a in b", "an int cannot hold a string"),
        ("a.x == 1", "a string has no fields"),
        ("size(b) == 1", "an int has no size"),
        ("d[b] == 1", "an int is no key"),
        ("d.x == 1", "no such key"),
    ],
)
def test_an_error_names_the_kinds_that_do_not_fit_and_no_value(source: str, told: str) -> None:
    environment = Environment.of({name: Variable(DYN, 0, (), itemgetter(name)) for name in ("a", "b", "c", "d")})
    with pytest.raises(EvaluationError, match=re.escape(told)):
        Condition([clause(source, environment)]).exact({"a": "canary", "b": 7, "c": None, "d": {}})


def test_a_condition_insists_on_a_bool() -> None:
    with pytest.raises(EvaluationError, match="not a bool"):
        Condition([clause("a", VARIABLES)]).exact({"a": 1})


def test_every_kind_of_node_can_be_evaluated() -> None:
    assert set(EVALUATE) == set(get_args(Tree))


STRANGE: list[Any] = [
    *(0, 1, -1, 2**63, 10**30, 0.0, -0.0, 2.5, 1e308, True, False, None, "", "a", "1", "a\0", "\u00e9" * 50, "x" * 70_000),
    *([], [1], [[1]], ["a", 1, None], {}, {"a": 1}, {"a": {"b": []}}, [2**64], list(range(1001))),
]


@pytest.mark.parametrize("seed", range(4))
def test_generated_code_and_exact_walk_agree_on_claims_of_any_type(seed: int) -> None:
    stream, chance = Expressions(seed), random.Random(seed)
    for _ in range(60):
        made = stream.next()
        environment, refused = define(made.definitions, POLICIES)
        try:
            asked = Condition([clause(made.source, environment)]) if not refused else None
        except CelError:
            continue
        if asked is None:
            continue
        for _ in range(5):
            claims = {name: chance.choice(STRANGE) for name in [*FACTS["subject.claims"]]}
            subject = a_subject(claims=claims, roles=("member",))
            try:
                found = asked.fast(subject, an_access())
            except FAULTS:
                continue
            assert found is asked.exact(subject, an_access()), (made, claims)
