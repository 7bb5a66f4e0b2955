"""The grammar of conditions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authz.cel.errors import CelError
from gateway.authz.cel.parser import MAX_DEPTH, MAX_ITEMS, parse
from gateway.authz.cel.syntax import (
    Binary,
    Call,
    Conditional,
    Entries,
    Index,
    Items,
    Literal,
    Logic,
    Name,
    Negative,
    Node,
    Not,
    Select,
)


def shape(node: Node) -> str:
    """The tree with all its parentheses."""
    match node:
        case Literal():
            return repr(node.value)
        case Name():
            return node.name
        case Select():
            return f"{shape(node.operand)}.{node.field}"
        case Index():
            return f"{shape(node.operand)}[{shape(node.key)}]"
        case Not():
            return f"!{shape(node.operand)}"
        case Negative():
            return f"-({shape(node.operand)})"
        case Logic():
            return "(" + f" {node.operator} ".join(map(shape, node.items)) + ")"
        case Binary():
            return f"({shape(node.left)} {node.operator} {shape(node.right)})"
        case Conditional():
            return f"({shape(node.test)} ? {shape(node.then)} : {shape(node.other)})"
        case Items():
            return "[" + ", ".join(map(shape, node.items)) + "]"
        case Entries():
            return "{" + ", ".join(f"{shape(key)}: {shape(value)}" for key, value in node.entries) + "}"
        case Call():
            start = "" if node.target is None else f"{shape(node.target)}."
            return f"{start}{node.name}({', '.join(map(shape, node.arguments))})"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a || b && c", "(a || (b && c))"),
        ("a && b || c && d", "((a && b) || (c && d))"),
        ("a && b && c && d", "(a && b && c && d)"),
        ("a && (b && c)", "(a && (b && c))"),
        ("a == b && c", "((a == b) && c)"),
        ("a == b == c", "((a == b) == c)"),
        ("a + b * c == d", "((a + (b * c)) == d)"),
        ("a - b - c", "((a - b) - c)"),
        ("!a.b", "!a.b"),
        ("!!a", "!!a"),
        ("!!!a", "!a"),
        ("!!!!a", "!!a"),
        ("-1 < 2", "(-1 < 2)"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("a ? b : c ? d : e", "(a ? b : (c ? d : e))"),
        ("a ? b ? c : d : e", None),
        ("a.b.c['d'][0]", "a.b.c['d'][0]"),
        ("f(a, b).g(c)", "f(a, b).g(c)"),
        ("'a' in [1, 2,]", "('a' in [1, 2])"),
        ("{'a': 1, 'b': [2],}", "{'a': 1, 'b': [2]}"),
        ("has(a.b)", "has(a.b)"),
        ("a.package", "a.package"),
        ("true != null", "(True != None)"),
    ],
)
def test_operators_bind_as_in_the_grammar(source: str, expected: str | None) -> None:
    if expected is None:
        with pytest.raises(CelError):
            parse(source)
    else:
        assert shape(parse(source)) == expected


@pytest.mark.parametrize(
    ("source", "offset", "message"),
    [
        ("", 0, "unexpected end"),
        ("a ==", 4, "unexpected end"),
        ("a b", 2, "unexpected 'b'"),
        ("(a", 2, "expected '\\)'"),
        ("[1, 2", 5, "expected '\\]'"),
        ("{'a' 1}", 5, "expected ':'"),
        ("f(a,)", 4, "expected an argument"),
        ("a.1", 1, "unexpected '.1'"),
        ("a.'b'", 2, "expected a field name"),
        ("a.true", 2, "expected a field name"),
        ("a.in", 2, "expected a field name"),
        ("if", 0, "reserved"),
        ("in", 0, "reserved"),
        ("9223372036854775808", 0, "64-bit"),
        ("a ? b", 5, "expected ':'"),
        (")", 0, "unexpected '\\)'"),
        ("a &&", 4, "unexpected end"),
        (".a", 0, "unexpected '.'"),
        ("Message{a: 1}", 7, "unexpected '{'"),
    ],
)
def test_what_is_no_expression_is_refused_where_it_stands(source: str, offset: int, message: str) -> None:
    with pytest.raises(CelError, match=message) as caught:
        parse(source)
    assert caught.value.offset == offset


CHAINS = {
    "parentheses": lambda n: "(" * n + "a" + ")" * n,
    "fields": lambda n: "a" + ".b" * n,
    "indices": lambda n: "a" + "[0]" * n,
    "lists": lambda n: "[" * n + "]" * n,
    "maps": lambda n: "{'a': " * n + "1" + "}" * n,
    "equalities": lambda n: "a" + " == b" * n,
    "sums": lambda n: "a" + " + b" * n,
    "choices": lambda n: "a ? b : " * n + "c",
    "calls": lambda n: "f(" * n + ")" * n,
    "methods": lambda n: "a" + ".f()" * n,
    "mixed": lambda n: "(" * n + "a" + ".b.c || d)" * n,
}


@pytest.mark.parametrize("kind", CHAINS)
def test_depth_is_bounded_however_it_is_made(kind: str) -> None:
    assert parse(CHAINS[kind](8)).depth <= MAX_DEPTH
    for count in (33, 100, 500):
        source = CHAINS[kind](count)
        if len(source) <= 4096:
            with pytest.raises(CelError, match="nested more than 32 deep"):
                parse(source)


def test_long_flat_conditions_are_not_deep() -> None:
    assert parse(" && ".join(["a"] * 800)).depth == 2
    assert parse("!" * 4000 + "a").depth == 3


def test_a_list_may_have_a_thousand_items() -> None:
    parse(f"[{','.join(['1'] * MAX_ITEMS)}]")
    with pytest.raises(CelError, match="1000 items"):
        parse(f"[{','.join(['1'] * (MAX_ITEMS + 1))}]")


def test_nodes_know_where_they_stand() -> None:
    source = "  a.b == c['d'] && !f(x)  "
    tree = parse(source)
    assert isinstance(tree, Logic)
    assert [source[slice(*item.span)] for item in (tree, *tree.items)] == ["a.b == c['d'] && !f(x)", "a.b == c['d']", "!f(x)"]


WORDS = [
    "a",
    "b",
    ".",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "?",
    "!",
    "-",
    "&&",
    "||",
    "==",
    "in",
    "1",
    "'s'",
    "has",
    "true",
    "in",
    "<",
    "+",
]


def parsed(source: str) -> Node | CelError:
    try:
        return parse(source)
    except CelError as error:
        return error


@given(st.lists(st.sampled_from(WORDS), max_size=60).map(" ".join))
def test_any_words_give_a_tree_or_a_cel_error(source: str) -> None:
    tree = parsed(source)
    if isinstance(tree, CelError):
        assert 0 <= tree.offset <= len(source)
        return
    assert tree.depth <= MAX_DEPTH
    assert shape(parse(shape(tree).replace("True", "true"))) == shape(tree)


@given(st.text(max_size=200))
def test_any_text_gives_a_tree_or_a_cel_error(source: str) -> None:
    tree = parsed(source)
    place = tree.offset if isinstance(tree, CelError) else tree.span[1]
    assert 0 <= place <= len(source)
