"""Tokens to a syntax tree, by the grammar of the CEL specification ("Syntax"): precedence climbing, bounded depth."""

from typing import Final

from gateway.authz.cel.errors import CelError
from gateway.authz.cel.lexer import MAX_INT, Kind, Token, tokens
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

MAX_DEPTH: Final = 32
MAX_ITEMS: Final = 1000

BINDING: Final = {
    "||": 1,
    "&&": 2,
    "<": 3,
    "<=": 3,
    ">": 3,
    ">=": 3,
    "==": 3,
    "!=": 3,
    "in": 3,
    "+": 4,
    "-": 4,
    "*": 5,
    "/": 5,
    "%": 5,
}
CONSTANTS: Final[dict[str, bool | None]] = {"true": True, "false": False, "null": None}
WORDS: Final = "as break const continue else for function if import let loop package namespace return var void while"
RESERVED: Final = frozenset(WORDS.split())


def parse(source: str) -> Node:
    """The syntax tree of one expression. Raises CelError, and nothing else whatever the source."""
    parser = _Parser(tokens(source))
    tree = parser.expression()
    parser.finish()
    return tree


class _Parser:
    """One pass over the tokens."""

    def __init__(self, found: list[Token]) -> None:
        self._tokens = found
        self._place = 0
        self._open = 0

    def finish(self) -> None:
        if self._next.kind is not Kind.END:
            raise CelError(f"unexpected {self._next.shown()}", self._next.start)

    def expression(self) -> Node:
        """Expr = ConditionalOr ["?" ConditionalOr ":" Expr]."""
        self._open += 1
        if self._open > MAX_DEPTH + 1:
            raise self._too_deep(self._next.start)
        node = self._binary(1)
        if self._accept("?"):
            then = self._binary(1)
            self._expect(":")
            other = self.expression()
            node = Conditional((node.span[0], other.span[1]), self._depth(node, then, other), node, then, other)
        self._open -= 1
        return node

    def _binary(self, least: int) -> Node:
        left = self._unary()
        while (binding := self._binding()) >= least:
            operator = self._take()
            right = self._binary(binding + 1)
            left = self._combined(operator, left, right)
        return left

    def _binding(self) -> int:
        """How tightly the next token binds as a binary operator; 0 if it is none."""
        return BINDING.get(self._next.text, 0) if self._next.kind in (Kind.OPERATOR, Kind.NAME) else 0

    def _combined(self, operator: Token, left: Node, right: Node) -> Node:
        span = (left.span[0], right.span[1])
        if operator.text not in ("&&", "||"):
            return Binary(span, self._depth(left, right), operator.text, left, right, operator.start)
        items = left.items if isinstance(left, Logic) and left.operator == operator.text else (left,)
        return Logic(span, self._depth(*items, right), operator.text, (*items, right))

    def _unary(self) -> Node:
        if self._is("!"):
            return self._negation()
        if self._is("-"):
            return self._negative()
        return self._member()

    def _negation(self) -> Node:
        """`!`, repeated at will: an even number of them is kept as one pair, which still demands a bool."""
        starts: list[int] = []
        while self._is("!"):
            starts.append(self._take().start)
        if self._is("-"):
            raise CelError("'!' needs a bool, found a number", starts[0])
        node = self._member()
        for start in reversed(starts[: 2 - len(starts) % 2]):
            node = Not((start, node.span[1]), self._depth(node), node)
        return node

    def _negative(self) -> Node:
        """`-`, repeated at will. Right before a number it belongs to the number."""
        starts: list[int] = []
        while self._is("-"):
            starts.append(self._take().start)
        token = self._next
        if token.kind is Kind.NUMBER and isinstance(token.value, int | float):
            self._take()
            node = self._suffixes(Literal((starts.pop(), token.end), -token.value))
        else:
            node = self._member()
        for start in reversed(starts):
            node = Negative((start, node.span[1]), self._depth(node), node)
        return node

    def _member(self) -> Node:
        return self._suffixes(self._primary())

    def _suffixes(self, node: Node) -> Node:
        while True:
            if self._accept("."):
                node = self._selected(node)
            elif self._accept("["):
                key = self.expression()
                closing = self._expect("]")
                node = Index((node.span[0], closing.end), self._depth(node, key), node, key)
            else:
                return node

    def _selected(self, operand: Node) -> Node:
        name = self._take()
        if name.kind is not Kind.NAME or name.text in CONSTANTS or name.text == "in":
            raise CelError(f"expected a field name after '.', found {name.shown()}", name.start)
        if self._accept("("):
            return self._call(name, operand)
        return Select((operand.span[0], name.end), self._depth(operand), operand, name.text, name.start)

    def _call(self, name: Token, target: Node | None) -> Node:
        arguments, end = self._listed(")")
        start = name.start if target is None else target.span[0]
        below = arguments if target is None else (target, *arguments)
        return Call((start, end), self._depth(*below), name.text, target, arguments, name.start)

    def _primary(self) -> Node:
        token = self._take()
        span = (token.start, token.end)
        match token.kind:
            case Kind.STRING:
                return Literal(span, token.value)
            case Kind.NUMBER:
                return self._positive(token)
            case Kind.NAME:
                return self._named(token)
            case Kind.OPERATOR if token.text == "(":
                node = self.expression()
                self._expect(")")
                return node
            case Kind.OPERATOR if token.text == "[":
                items, end = self._listed("]")
                return Items((token.start, end), self._depth(*items), items)
            case Kind.OPERATOR if token.text == "{":
                return self._map(token)
            case _:
                raise CelError(f"unexpected {token.shown()}", token.start)

    def _positive(self, token: Token) -> Node:
        if token.value == MAX_INT + 1 and isinstance(token.value, int):
            raise CelError("the number is too large for a 64-bit integer", token.start)
        return Literal((token.start, token.end), token.value)

    def _named(self, token: Token) -> Node:
        if token.text in CONSTANTS:
            return Literal((token.start, token.end), CONSTANTS[token.text])
        if token.text in RESERVED or token.text == "in":
            raise CelError(f"{token.text!r} is a reserved word", token.start)
        if self._accept("("):
            return self._call(token, None)
        return Name((token.start, token.end), token.text)

    def _map(self, opening: Token) -> Node:
        entries: list[tuple[Node, Node]] = []
        while not self._is("}"):
            key = self.expression()
            self._expect(":")
            entries.append((key, self.expression()))
            self._bounded(len(entries))
            if not self._accept(","):
                break
        end = self._expect("}").end
        below = [node for entry in entries for node in entry]
        return Entries((opening.start, end), self._depth(*below), tuple(entries))

    def _listed(self, closing: str) -> tuple[tuple[Node, ...], int]:
        """Comma-separated expressions up to `closing`; a list may end in a comma, arguments may not."""
        items: list[Node] = []
        while not self._is(closing):
            items.append(self.expression())
            self._bounded(len(items))
            if not self._accept(","):
                break
            if closing == ")" and self._is(")"):
                raise CelError("expected an argument after ','", self._next.start)
        return tuple(items), self._expect(closing).end

    def _bounded(self, count: int) -> None:
        if count > MAX_ITEMS:
            raise CelError(f"a list may have {MAX_ITEMS} items", self._next.start)

    def _depth(self, *below: Node) -> int:
        depth = 1 + max((node.depth for node in below), default=0)
        if depth > MAX_DEPTH:
            raise self._too_deep(below[0].span[0])
        return depth

    def _too_deep(self, place: int) -> CelError:
        return CelError(f"the expression is nested more than {MAX_DEPTH} deep", place)

    @property
    def _next(self) -> Token:
        return self._tokens[self._place]

    def _take(self) -> Token:
        token = self._tokens[self._place]
        self._place = min(self._place + 1, len(self._tokens) - 1)
        return token

    def _is(self, text: str) -> bool:
        return self._next.kind is Kind.OPERATOR and self._next.text == text

    def _accept(self, text: str) -> bool:
        if not self._is(text):
            return False
        self._take()
        return True

    def _expect(self, text: str) -> Token:
        if not self._is(text):
            raise CelError(f"expected {text!r}, found {self._next.shown()}", self._next.start)
        return self._take()
