"""A syntax tree and an environment to a checked tree: every name known, every type fitting, or a load error at its place.

Strict on purpose: what the CEL type checker would accept only to fail on every request is refused too.
"""

from typing import Final

from gateway.authz.cel import syntax, tree
from gateway.authz.cel.environment import Environment
from gateway.authz.cel.errors import CelError
from gateway.authz.cel.functions import IN_SET, LATER, Function
from gateway.authz.cel.naming import dotted, known
from gateway.authz.cel.types import BOOL, DYN, INT, SET, STRING, Kind, Type, fits, joined, list_of, literal, map_of, orderable

EQUALITY: Final = frozenset({"==", "!="})
ORDER: Final = frozenset({"<", "<=", ">", ">="})


MAX_NODES: Final = 4096
MAX_DEPTH: Final = 64
"""Bounds of an expression after its definitions are put in."""


def check(node: syntax.Node, environment: Environment) -> tree.Tree:
    """The checked tree of a whole expression. Raises CelError."""
    found = _Checker(environment).value(node)
    if tree.depth(found) > MAX_DEPTH:
        raise CelError(f"the expression is nested more than {MAX_DEPTH} deep with its definitions", found.span[0])
    return found


class _Checker:
    """One pass over the tree, from the leaves up."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._added = 0

    def value(self, node: syntax.Node) -> tree.Tree:
        """A node that stands for a value of its own, which all headers together do not."""
        found = self._check(node)
        if found.type.kind is Kind.NAMED:
            raise CelError("headers are asked by name only", node.span[0], "for instance request.headers['x-api-version']")
        return found

    def _check(self, node: syntax.Node) -> tree.Tree:
        match node:
            case syntax.Literal():
                return tree.Constant(node.span, literal(node.value), node.value)
            case syntax.Name():
                return self._name(node)
            case syntax.Select():
                return self._select(node)
            case syntax.Index():
                return self._index(node)
            case syntax.Not():
                return tree.Negation(node.span, BOOL, self._bool(node.operand, "'!'"))
            case syntax.Logic():
                items = tuple(self._bool(item, f"{node.operator!r}") for item in node.items)
                return tree.Junction(node.span, BOOL, node.operator == "&&", items)
            case syntax.Binary():
                return self._binary(node)
            case syntax.Conditional():
                return self._conditional(node)
            case syntax.Items():
                return self._items(node)
            case syntax.Entries():
                return self._entries(node)
            case syntax.Call():
                return self._call(node)

    def _bool(self, node: syntax.Node, what: str) -> tree.Tree:
        found = self.value(node)
        if not fits(found.type, BOOL):
            raise CelError(f"{what} needs a bool, found {found.type}", node.span[0])
        return found

    # Names and fields

    def _name(self, node: syntax.Name) -> tree.Tree:
        environment = self._environment
        if node.name in environment.definitions:
            return self._defined(node, environment.definitions[node.name])
        if node.name in environment.variables:
            variable = environment.variables[node.name]
            return tree.Read(node.span, variable.type, node.name, variable)
        if fields := environment.fields(node.name):
            raise CelError(f"{node.name!r} is not a value", node.span[0], f"ask for one of its fields: {', '.join(fields)}")
        raise CelError(f"unknown name {node.name!r}", node.span[0], known(node.name, environment.roots()))

    def _defined(self, node: syntax.Name, definition: tree.Definition) -> tree.Tree:
        """A definition, put in. Counted before it is copied, so that no policy can make a large tree."""
        self._added += definition.size
        if self._added > MAX_NODES:
            raise CelError(f"with its definitions the expression has more than {MAX_NODES} parts", node.span[0])
        return tree.placed(definition.tree, node.span)

    def _select(self, node: syntax.Select) -> tree.Tree:
        declared = self._declared(node)
        if declared is not None:
            return declared
        return self._field(node.span, self._check(node.operand), node.field, node.place)

    def _declared(self, node: syntax.Select) -> tree.Read | None:
        """`subject.id` as the variable of that name; None when the left side is a value of its own."""
        name = dotted(node)
        if name in self._environment.variables:
            variable = self._environment.variables[name]
            return tree.Read(node.span, variable.type, name, variable)
        if isinstance(node.operand, syntax.Name) and (fields := self._environment.fields(node.operand.name)):
            raise CelError(f"{node.field!r} is not a field of {node.operand.name}", node.place, known(node.field, fields))
        return None

    def _field(self, span: syntax.Span, operand: tree.Tree, name: str, place: int) -> tree.Tree:
        return tree.Field(span, self._content(operand, name, place), operand, name)

    def _content(self, operand: tree.Tree, name: str, place: int) -> Type:
        """The type of a map's value under `name`."""
        match operand.type.kind:
            case Kind.DYN:
                return DYN
            case Kind.MAP:
                return operand.type.element or DYN
            case Kind.NAMED:
                if name != name.lower():
                    raise CelError(f"header names are lower-case here, found {name!r}", place, f"write {name.lower()!r}")
                return STRING
            case _:
                raise CelError(f"{operand.type} has no fields", place)

    def _index(self, node: syntax.Index) -> tree.Tree:
        operand, key = self._check(node.operand), self.value(node.key)
        place = node.key.span[0]
        if isinstance(key, tree.Constant) and isinstance(key.value, str):
            return self._field(node.span, operand, key.value, place)
        match operand.type.kind:
            case Kind.DYN:
                return tree.Item(node.span, DYN, operand, key)
            case Kind.MAP if fits(key.type, STRING):
                return tree.Item(node.span, operand.type.element or DYN, operand, key)
            case Kind.LIST if fits(key.type, INT):
                return tree.Item(node.span, operand.type.element or DYN, operand, key)
            case Kind.MAP | Kind.LIST:
                raise CelError(f"{operand.type} has no key of type {key.type}", place)
            case Kind.NAMED:
                raise CelError("a header's name must be written out", place)
            case _:
                raise CelError(f"cannot index {operand.type}", node.span[0])

    # Operators

    def _binary(self, node: syntax.Binary) -> tree.Tree:
        if node.operator == "in":
            return self._membership(node)
        left, right = self.value(node.left), self.value(node.right)
        if node.operator in EQUALITY:
            if not fits(left.type, right.type):
                raise CelError(f"cannot compare {left.type} with {right.type}", node.place)
        elif node.operator in ORDER:
            if not orderable(left.type, right.type):
                raise CelError(f"cannot order {left.type} and {right.type}", node.place)
        else:
            raise CelError(f"arithmetic ({node.operator!r}) is not available", node.place)
        return tree.Comparison(node.span, BOOL, node.operator, left, right)

    def _membership(self, node: syntax.Binary) -> tree.Tree:
        value, container = self.value(node.left), self._check(node.right)
        kind = container.type.kind
        if kind is Kind.NAMED:
            if not (isinstance(value, tree.Constant) and isinstance(value.value, str)):
                raise CelError("a header's name must be written out", node.left.span[0])
            self._content(container, value.value, node.left.span[0])
            return tree.Has(node.span, BOOL, container, value.value)
        if kind not in (Kind.LIST, Kind.MAP, Kind.DYN):
            hint = "use contains() to search in a string" if kind is Kind.STRING else ""
            raise CelError(f"'in' needs a list or a map, found {container.type}", node.right.span[0], hint)
        element = STRING if kind is Kind.MAP else container.type.element
        if element is not None and not fits(value.type, element):
            raise CelError(f"{value.type} can never be in {container.type}", node.place)
        return tree.Membership(node.span, BOOL, value, container)

    def _conditional(self, node: syntax.Conditional) -> tree.Tree:
        test = self._bool(node.test, "'?'")
        then, other = self.value(node.then), self.value(node.other)
        if not fits(then.type, other.type):
            raise CelError(f"both sides of ':' must be of one type, found {then.type} and {other.type}", node.other.span[0])
        return tree.Choice(node.span, joined([then.type, other.type]), test, then, other)

    # Lists, maps, functions

    def _items(self, node: syntax.Items) -> tree.Tree:
        items = tuple(self.value(item) for item in node.items)
        type = list_of(joined([item.type for item in items]))
        if all(isinstance(item, tree.Constant) for item in items):
            return tree.Constant(node.span, type, tuple(item.value for item in items if isinstance(item, tree.Constant)))
        return tree.Sequence(node.span, type, items)

    def _entries(self, node: syntax.Entries) -> tree.Tree:
        keys: list[str] = []
        for key, _ in node.entries:
            if not (isinstance(key, syntax.Literal) and isinstance(key.value, str)):
                raise CelError("a map's keys are string literals here", key.span[0])
            if key.value in keys:
                raise CelError(f"the key {key.value!r} stands twice", key.span[0])
            keys.append(key.value)
        items = tuple(self.value(value) for _, value in node.entries)
        type = map_of(joined([item.type for item in items]))
        if all(isinstance(item, tree.Constant) for item in items):
            values = (item.value for item in items if isinstance(item, tree.Constant))
            return tree.Constant(node.span, type, dict(zip(keys, values, strict=True)))
        return tree.Table(node.span, type, tuple(keys), items)

    def _call(self, node: syntax.Call) -> tree.Tree:
        if node.name == "has" and node.target is None:
            return self._has(node)
        if node.name == "inSet" and node.target is None:
            return self._in_set(node)
        function = self._function(node)
        written = node.arguments if node.target is None else (node.target, *node.arguments)
        arguments = tuple(self.value(argument) for argument in written)
        if len(arguments) != len(function.parameters):
            expected = len(function.parameters) - (node.target is not None)
            raise CelError(f"{node.name}() takes {_counted(expected)}, found {len(node.arguments)}", node.place)
        for argument, kinds in zip(arguments, function.parameters, strict=True):
            if argument.type.kind not in (*kinds, Kind.DYN):
                wanted = " or ".join(sorted(kinds))
                raise CelError(f"{node.name}() needs {wanted}, found {argument.type}", argument.span[0])
        return _invocation(node, function, arguments)

    def _function(self, node: syntax.Call) -> Function:
        function = self._environment.functions.get(node.name)
        if function is not None and (function.plain if node.target is None else function.method):
            return function
        if function is not None:
            form = f"{node.name}(…)" if function.plain else f"x.{node.name}(…)"
            raise CelError(f"{node.name}() is not called this way", node.place, f"write {form}")
        if node.name in LATER:
            raise CelError(f"{node.name}() is not available yet", node.place)
        raise CelError(
            f"unknown function {node.name!r}", node.place, known(node.name, ["has", *sorted(self._environment.functions)])
        )

    def _in_set(self, node: syntax.Call) -> tree.Tree:
        """`inSet(address, 'name')`, the name a literal, so that it is known at load."""
        if len(node.arguments) != 2:
            raise CelError(f"inSet() takes 2 arguments, found {len(node.arguments)}", node.place)
        address, name = self.value(node.arguments[0]), node.arguments[1]
        if not fits(address.type, STRING):
            raise CelError(f"inSet() needs string, found {address.type}", address.span[0])
        if not (isinstance(name, syntax.Literal) and isinstance(name.value, str)):
            raise CelError("inSet() needs the name of a set as a literal", name.span[0])
        sets = self._environment.sets
        if name.value not in sets:
            raise CelError(
                f"unknown set {name.value!r}", name.span[0], known(name.value, sorted(sets)) if sets else "none is defined"
            )
        return tree.Invocation(node.span, BOOL, IN_SET, (tree.Constant(name.span, SET, sets[name.value]), address))

    def _has(self, node: syntax.Call) -> tree.Tree:
        if len(node.arguments) != 1:
            raise CelError(f"has() takes 1 argument, found {len(node.arguments)}", node.place)
        argument = node.arguments[0]
        named = (
            isinstance(argument, syntax.Index) and isinstance(argument.key, syntax.Literal) and isinstance(argument.key.value, str)
        )
        if not isinstance(argument, syntax.Select) and not named:
            raise CelError("has() needs a field", argument.span[0], "for instance has(subject.claims.org_id)")
        found = self._check(argument)
        if not isinstance(found, tree.Field):
            raise CelError("has() asks for a field that is always there", argument.span[0])
        return tree.Has(node.span, BOOL, found.operand, found.name)


def _invocation(node: syntax.Call, function: Function, arguments: tuple[tree.Tree, ...]) -> tree.Tree:
    """The call, or its result where the arguments are constants: bad networks and times are found at load."""
    constants = [argument for argument in arguments if isinstance(argument, tree.Constant)]
    if len(constants) == len(arguments) and not function.method:
        try:
            result = function.call(*(constant.value for constant in constants))
        except ValueError as error:
            raise CelError(f"{function.name}(): {error}", arguments[0].span[0]) from error
        return tree.Constant(node.span, function.result, result)
    if function.literal:
        raise CelError(f"{function.name}() needs a literal", arguments[0].span[0])
    return tree.Invocation(node.span, function.result, function, arguments)


def _counted(count: int) -> str:
    return f"{count} argument" if count == 1 else f"{count} arguments"
