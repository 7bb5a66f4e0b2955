"""A checked tree to a Python function, built from `ast` nodes: no text of a policy ever becomes Python source or a name.

Names in the code are `a0`, `a1` … for arguments, `k0`, `k1` … for objects, `v0`, `v1` for what macros are at and `b` for what
they may still spend; `__builtins__` is empty. Known types choose
Python's own operators where these mean the same as CEL's, else the functions of `operations`.
"""

import ast
import marshal
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any, Final, cast

from gateway.authz.cel import arithmetic, cost, limits, operations, tree
from gateway.authz.cel.functions import search
from gateway.authz.cel.networks import AddressSet, Network
from gateway.authz.cel.types import BOOL, DOUBLE, DYN, INT, STRING, Kind, Type
from gateway.config.packing import taken

LOAD: Final = ast.Load()
OPERATORS: Final[dict[str, ast.cmpop]] = {
    "==": ast.Eq(),
    "!=": ast.NotEq(),
    "<": ast.Lt(),
    "<=": ast.LtE(),
    ">": ast.Gt(),
    ">=": ast.GtE(),
}
DOUBLES: Final[dict[str, ast.operator]] = {"+": ast.Add(), "-": ast.Sub(), "*": ast.Mult()}
SCALAR: Final = frozenset({Kind.INT, Kind.DOUBLE, Kind.STRING, Kind.BOOL, Kind.TIMESTAMP, Kind.DURATION})
PURSE: Final = "b"


def generate(node: tree.Tree, arguments: int) -> Callable[..., Any]:
    """A function of `arguments` positional arguments that gives the node's value or raises one of FAULTS.

    It gives exactly what `evaluate` gives, except that it does not absorb errors: where it raises, `evaluate` decides.
    """
    generator = _Generator()
    body = generator.expression(node)
    if any(isinstance(part, tree.Loop) for part in tree.walk(node)):
        body = generator.with_purse(body, arguments)
    parameters = [ast.arg(arg=f"a{number}") for number in range(arguments)]
    signature = ast.arguments(posonlyargs=parameters, args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
    module = ast.Expression(body=ast.Lambda(args=signature, body=body))
    code = compile(located(module), "<condition>", "eval")
    function = next(constant for constant in code.co_consts if isinstance(constant, CodeType))
    return _function(function, generator.objects)


def parts_of(function: Callable[..., Any]) -> tuple[bytes, dict[str, Any]]:
    """The code of a generated function and the objects it refers to, for another process of this gateway."""
    found = cast("FunctionType", function)
    objects = {name: value for name, value in found.__globals__.items() if name != "__builtins__"}
    return marshal.dumps(found.__code__), objects


def function_of(code: bytes, objects: dict[str, Any]) -> Callable[..., Any]:
    """A generated function of what `parts_of` gave."""
    return _function(taken(code), objects)


def _function(code: CodeType, objects: dict[str, Any]) -> Callable[..., Any]:
    return FunctionType(code, {"__builtins__": {}, **objects}, "condition")


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
        self._inside = 0

    def with_purse(self, body: ast.expr, arguments: int) -> ast.expr:
        """The expression with the purse for its macros; a list that is not empty is true."""
        asked = ast.Name(id=f"a{limits.ASKED}", ctx=LOAD) if arguments > limits.ASKED else ast.Constant(value=None)
        purse = _called(self._object(limits.purse_of), asked)
        filled = ast.NamedExpr(target=ast.Name(id=PURSE, ctx=ast.Store()), value=purse)
        return ast.IfExp(test=filled, body=body, orelse=ast.Constant(value=None))

    def expression(self, node: tree.Tree) -> ast.expr:
        match node:
            case tree.Negation():
                return ast.UnaryOp(op=ast.Not(), operand=self._bool(node.operand))
            case tree.Junction():
                return self._junction(node)
            case tree.Choice():
                then, other = self.expression(node.then), self.expression(node.other)
                return ast.IfExp(test=self._bool(node.test), body=then, orelse=other)
            case tree.Minus():
                return self._minus(node)
            case tree.Arithmetic():
                return self._arithmetic(node)
            case tree.Comparison():
                return self._comparison(node)
            case tree.Membership():
                return self._membership(node)
            case tree.Invocation():
                return self._invocation(node)
            case tree.Loop():
                return self._loop(node)
            case _:
                return self._datum(node)

    def _datum(self, node: tree.Datum) -> ast.expr:
        match node:
            case tree.Constant():
                return self._constant(node.value)
            case tree.Read():
                return self._read(node.variable)
            case tree.Bound():
                return ast.Name(id=f"v{node.slot}", ctx=LOAD)
            case tree.Field():
                return self._field(node)
            case tree.Has():
                return self._has(node)
            case tree.Item():
                return self._call(node, operations.item, node.operand, node.key)
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

    def _call(self, node: tree.Tree, function: Callable[..., Any], *arguments: tree.Tree) -> ast.expr:
        """A function of values; inside a macro it spends by their sizes."""
        values = [self.expression(argument) for argument in arguments]
        if self._inside and (scale := cost.scale(node)):
            purse = ast.Name(id=PURSE, ctx=LOAD)
            return _called(self._object(limits.charged), purse, ast.Constant(value=scale), self._object(function), *values)
        return _called(self._object(function), *values)

    def _minus(self, node: tree.Minus) -> ast.expr:
        if node.operand.type == DOUBLE:
            return ast.UnaryOp(op=ast.USub(), operand=self.expression(node.operand))
        known = node.operand.type == INT
        return self._call(node, arithmetic.negate_int if known else arithmetic.negate, node.operand)

    def _arithmetic(self, node: tree.Arithmetic) -> ast.expr:
        kinds = {node.left.type, node.right.type}
        if kinds == {DOUBLE} and node.operator in DOUBLES:
            return ast.BinOp(left=self.expression(node.left), op=DOUBLES[node.operator], right=self.expression(node.right))
        operate = arithmetic.INTS if kinds == {INT} else arithmetic.OPERATE
        return self._call(node, operate[node.operator], node.left, node.right)

    def _comparison(self, node: tree.Comparison) -> ast.expr:
        if not _native(node):
            return self._call(node, operations.COMPARE[node.operator], node.left, node.right)
        left, right = self._compared(node.left), self._compared(node.right)
        return ast.Compare(left=left, ops=[OPERATORS[node.operator]], comparators=[right])

    def _compared(self, node: tree.Tree) -> ast.expr:
        """One side of a comparison: of a moment or span its nanoseconds, which Python compares sooner."""
        if node.type.kind not in (Kind.TIMESTAMP, Kind.DURATION):
            return self.expression(node)
        if isinstance(node, tree.Constant):
            return ast.Constant(value=node.value.nanoseconds)
        return ast.Attribute(value=self.expression(node), attr="nanoseconds", ctx=LOAD)

    def _membership(self, node: tree.Membership) -> ast.expr:
        # Only strings equal strings, so Python's `in` is CEL's where one side is known to be strings alone.
        container = node.container
        strings = _of_strings(container.type) and node.value.type in (STRING, DYN)
        if not strings or (self._inside and cost.scale(node)):
            return self._call(node, operations.member, node.value, container)
        if isinstance(container, tree.Constant) and node.value.type == STRING:
            among = self._object(frozenset(container.value))
        else:
            among = self.expression(container)
        return ast.Compare(left=self.expression(node.value), ops=[ast.In()], comparators=[among])

    def _invocation(self, node: tree.Invocation) -> ast.expr:
        first, *rest = node.arguments
        inline = INLINE.get(node.function.name)
        known = all(argument.type == STRING for argument in node.arguments)
        if inline is not None and known and not (self._inside and cost.scale(node)):
            return inline([self.expression(argument) for argument in node.arguments])
        if isinstance(first, tree.Constant) and isinstance(first.value, Network | AddressSet) and _all_text(rest):
            return _called(self._object(first.value.contains), *(self.expression(argument) for argument in rest))
        if node.function.call is search and not self._inside and isinstance(rest[0], tree.Constant):
            return _called(self._object(rest[0].value.test), self.expression(first))
        return self._call(node, node.function.call, *node.arguments)

    def _loop(self, node: tree.Loop) -> ast.expr:
        over = _called(
            self._object(limits.items), ast.Name(id=PURSE, ctx=LOAD), self.expression(node.range), ast.Constant(value=node.weight)
        )
        self._inside += 1
        test, result = self._bool(node.test), self.expression(node.result)
        self._inside -= 1
        turns = ast.comprehension(target=ast.Name(id=f"v{node.slot}", ctx=ast.Store()), iter=over, ifs=[], is_async=0)
        if node.macro in QUANTIFIERS:
            return _called(self._object(QUANTIFIERS[node.macro]), ast.GeneratorExp(elt=test, generators=[turns]))
        turns.ifs = [] if isinstance(node.test, tree.Constant) and node.test.value is True else [test]
        found = ast.ListComp(elt=result, generators=[turns])
        return found if node.macro != "exists_one" else _called(self._object(limits.single), found)


def _called(function: ast.expr, *arguments: ast.expr) -> ast.expr:
    return ast.Call(func=function, args=list(arguments), keywords=[])


def _all_text(arguments: list[tree.Tree]) -> bool:
    return all(argument.type in (STRING, DYN) for argument in arguments)


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


QUANTIFIERS: Final[dict[str, Callable[..., bool]]] = {"all": all, "exists": any}

INLINE: Final[dict[str, Callable[[list[ast.expr]], ast.expr]]] = {
    "startsWith": _method("startswith"),
    "endsWith": _method("endswith"),
    "contains": _contained,
}
