"""A checked tree to a Python function, built from `ast` nodes: no text of a policy ever becomes Python source or a name.

Names in the code are `a0`, `a1` … for arguments and `k0`, `k1` … for objects; `__builtins__` is empty. Known types choose
Python's own operators where these mean the same as CEL's, else the functions of `operations`.
"""

import ast
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any, Final

from gateway.authz.cel import operations, tree
from gateway.authz.cel.networks import AddressSet, Network
from gateway.authz.cel.types import BOOL, DYN, STRING, Kind, Type

LOAD: Final = ast.Load()
OPERATORS: Final[dict[str, ast.cmpop]] = {
    "==": ast.Eq(),
    "!=": ast.NotEq(),
    "<": ast.Lt(),
    "<=": ast.LtE(),
    ">": ast.Gt(),
    ">=": ast.GtE(),
}
SCALAR: Final = frozenset({Kind.INT, Kind.DOUBLE, Kind.STRING, Kind.BOOL, Kind.TIMESTAMP})


def generate(node: tree.Tree, arguments: int) -> Callable[..., Any]:
    """A function of `arguments` positional arguments that gives the node's value or raises one of FAULTS.

    It gives exactly what `evaluate` gives, except that it does not absorb errors: where it raises, `evaluate` decides.
    """
    generator = _Generator()
    body = generator.expression(node)
    parameters = [ast.arg(arg=f"a{number}") for number in range(arguments)]
    signature = ast.arguments(posonlyargs=parameters, args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
    module = ast.Expression(body=ast.Lambda(args=signature, body=body))
    code = compile(located(module), "<condition>", "eval")
    function = next(constant for constant in code.co_consts if isinstance(constant, CodeType))
    return FunctionType(function, {"__builtins__": {}, **generator.objects}, "condition")


def located(tree: ast.Expression) -> ast.Expression:
    """The tree with a place on every node, which `compile` demands. Unlike the standard library's it leaves no cycle behind: what
    a configuration is made of is freed by counting references (see gateway.memory)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.expr | ast.arg):
            node.lineno = node.end_lineno = 1
            node.col_offset = node.end_col_offset = 0
    return tree


class _Generator:
    """Makes expressions and remembers the objects they refer to."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}
        self._names: dict[int, str] = {}

    def expression(self, node: tree.Tree) -> ast.expr:
        match node:
            case tree.Negation():
                return ast.UnaryOp(op=ast.Not(), operand=self._bool(node.operand))
            case tree.Junction():
                return self._junction(node)
            case tree.Choice():
                then, other = self.expression(node.then), self.expression(node.other)
                return ast.IfExp(test=self._bool(node.test), body=then, orelse=other)
            case tree.Comparison():
                return self._comparison(node)
            case tree.Membership():
                return self._membership(node)
            case tree.Invocation():
                return self._invocation(node)
            case _:
                return self._datum(node)

    def _datum(self, node: tree.Datum) -> ast.expr:
        match node:
            case tree.Constant():
                return self._constant(node.value)
            case tree.Read():
                return self._read(node.variable)
            case tree.Field():
                return self._field(node)
            case tree.Has():
                return self._has(node)
            case tree.Item():
                return self._call(operations.item, node.operand, node.key)
            case tree.Sequence():
                return ast.List(elts=[self.expression(item) for item in node.items], ctx=LOAD)
            case tree.Table():
                keys: list[ast.expr | None] = [ast.Constant(value=key) for key in node.keys]
                return ast.Dict(keys=keys, values=[self.expression(item) for item in node.items])

    def _constant(self, value: Any) -> ast.expr:
        plain = value is None or isinstance(value, bool | int | float | str)
        return ast.Constant(value=value) if plain else self._object(value)

    def _object(self, value: Any) -> ast.expr:
        """A reference to an object that has no literal form."""
        # The object is kept, so that its id stays its own while code is made.
        name = self._names.setdefault(id(value), f"k{len(self._names)}")
        self.objects.setdefault(name, value)
        return ast.Name(id=name, ctx=LOAD)

    def _read(self, variable: tree.Variable) -> ast.expr:
        value: ast.expr = ast.Name(id=f"a{variable.argument}", ctx=LOAD)
        for name in variable.path:
            value = ast.Attribute(value=value, attr=name, ctx=LOAD)
        return value if variable.decode is None else _called(self._object(variable.decode), value)

    def _field(self, node: tree.Field) -> ast.expr:
        # On a value of unknown type the subscript raises TypeError unless it is a map: no other JSON value takes a string.
        return ast.Subscript(value=self.expression(node.operand), slice=ast.Constant(value=node.name), ctx=LOAD)

    def _has(self, node: tree.Has) -> ast.expr:
        name = ast.Constant(value=node.name)
        if node.operand.type == DYN:
            return _called(self._object(operations.has), self.expression(node.operand), name)
        return ast.Compare(left=name, ops=[ast.In()], comparators=[self.expression(node.operand)])

    def _junction(self, node: tree.Junction) -> ast.expr:
        values = [self._bool(item) for item in node.items]
        operator = ast.And() if node.conjunction else ast.Or()
        return ast.BoolOp(op=operator, values=values) if len(values) > 1 else values[0]

    def _bool(self, node: tree.Tree) -> ast.expr:
        value = self.expression(node)
        return value if node.type == BOOL else _called(self._object(operations.boolean), value)

    def _call(self, function: Callable[..., Any], *arguments: tree.Tree) -> ast.expr:
        return _called(self._object(function), *(self.expression(argument) for argument in arguments))

    def _comparison(self, node: tree.Comparison) -> ast.expr:
        if not _native(node):
            return self._call(operations.COMPARE[node.operator], node.left, node.right)
        left, right = self.expression(node.left), self.expression(node.right)
        return ast.Compare(left=left, ops=[OPERATORS[node.operator]], comparators=[right])

    def _membership(self, node: tree.Membership) -> ast.expr:
        container = node.container
        # Only strings equal strings, so Python's `in` is CEL's where one side is known to be strings alone.
        if not _of_strings(container.type) or node.value.type not in (STRING, DYN):
            return self._call(operations.member, node.value, container)
        if isinstance(container, tree.Constant) and node.value.type == STRING:
            return ast.Compare(
                left=self.expression(node.value), ops=[ast.In()], comparators=[self._object(frozenset(container.value))]
            )
        return ast.Compare(left=self.expression(node.value), ops=[ast.In()], comparators=[self.expression(container)])

    def _invocation(self, node: tree.Invocation) -> ast.expr:
        inline = INLINE.get(node.function.name)
        if inline is not None and all(argument.type == STRING for argument in node.arguments):
            return inline([self.expression(argument) for argument in node.arguments])
        first, *rest = node.arguments
        if isinstance(first, tree.Constant) and isinstance(first.value, Network | AddressSet):
            return _called(self._object(first.value.contains), *(self.expression(argument) for argument in rest))
        return self._call(node.function.call, *node.arguments)


def _called(function: ast.expr, *arguments: ast.expr) -> ast.expr:
    return ast.Call(func=function, args=list(arguments), keywords=[])


def _native(node: tree.Comparison) -> bool:
    """Whether Python's operator means the same for these types."""
    left, right = node.left.type.kind, node.right.type.kind
    if node.operator in ("==", "!=") and Kind.STRING in (left, right):
        return True
    return left is right and left in SCALAR


def _of_strings(type: Type) -> bool:
    return type.kind is Kind.LIST and type.element == STRING


def _method(name: str) -> Callable[[list[ast.expr]], ast.expr]:
    def inline(arguments: list[ast.expr]) -> ast.expr:
        return _called(ast.Attribute(value=arguments[0], attr=name, ctx=LOAD), *arguments[1:])

    return inline


def _contained(arguments: list[ast.expr]) -> ast.expr:
    return ast.Compare(left=arguments[1], ops=[ast.In()], comparators=[arguments[0]])


INLINE: Final[dict[str, Callable[[list[ast.expr]], ast.expr]]] = {
    "startsWith": _method("startswith"),
    "endsWith": _method("endswith"),
    "contains": _contained,
}
