"""A syntax tree and an environment to a checked tree: every name known, every type fitting, or a load error at its place.

Strict on purpose: what the CEL type checker would accept only to fail on every request is refused too.
"""

from dataclasses import replace
from typing import Final

from gateway.authz.cel import calls, cost, syntax, tree
from gateway.authz.cel.environment import Environment
from gateway.authz.cel.errors import CelError
from gateway.authz.cel.folding import chosen, folded, shortened
from gateway.authz.cel.limits import MAX_COST, MAX_NESTING
from gateway.authz.cel.naming import dotted, known
from gateway.authz.cel.types import BOOL, DYN, INT, STRING, Kind, Type, added, fits, joined, list_of, literal, map_of, orderable

EQUALITY: Final = frozenset({"==", "!="})
ORDER: Final = frozenset({"<", "<=", ">", ">="})


MAX_NODES: Final = 4096
MAX_DEPTH: Final = 64
"""Bounds of an expression after its definitions are put in."""


def check(node: syntax.Node, environment: Environment) -> tree.Tree:
    """The checked tree of a whole expression. Raises CelError."""
    found = Checker(environment).value(node)
    if tree.depth(found) > MAX_DEPTH:
        raise CelError(f"the expression is nested more than {MAX_DEPTH} deep with its definitions", found.span[0])
    if tree.nesting(found) > MAX_NESTING:
        raise CelError(f"macros may stand {MAX_NESTING} deep inside one another, definitions counted", found.span[0])
    if cost.worst(found) > MAX_COST:
        raise CelError("the expression may cost too much: it asks too often about texts or lists of any size", found.span[0])
    return found


class Checker:
    """One pass over the tree, from the leaves up."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.bound: dict[str, tree.Bound] = {}
        self._added = 0

    def value(self, node: syntax.Node) -> tree.Tree:
        """A node that stands for a value of its own, which all headers together do not."""
        found = self.anything(node)
        if found.type.kind is Kind.NAMED:
            raise CelError("headers are asked by name only", node.span[0], "for instance request.headers['x-api-version']")
        return found

    def anything(self, node: syntax.Node) -> tree.Tree:
        match node:
            case syntax.Literal():
                return tree.Constant(node.span, literal(node.value), node.value)
            case syntax.Name():
                return self._name(node)
            case syntax.Select():
                return self._select(node)
            case syntax.Index():
                return self._index(node)
            case syntax.Not() | syntax.Negative():
                return self._unary(node)
            case syntax.Logic():
                items = tuple(self.boolean(item, f"{node.operator!r}") for item in node.items)
                return shortened(tree.Junction(node.span, BOOL, node.operator == "&&", items))
            case syntax.Binary():
                return self._binary(node)
            case syntax.Conditional():
                return self._conditional(node)
            case syntax.Items():
                return self._items(node)
            case syntax.Entries():
                return self._entries(node)
            case syntax.Call():
                return calls.checked(node, self)

    def boolean(self, node: syntax.Node, what: str) -> tree.Tree:
        found = self.value(node)
        if not fits(found.type, BOOL):
            raise CelError(f"{what} needs a bool, found {found.type}", node.span[0])
        return found

    # Names and fields

    def _name(self, node: syntax.Name) -> tree.Tree:
        environment = self.environment
        if node.name in self.bound:
            return replace(self.bound[node.name], span=node.span)
        if node.name in environment.definitions:
            return self._defined(node, environment.definitions[node.name])
        if node.name in environment.variables:
            variable = environment.variables[node.name]
            return tree.Read(node.span, variable.type, node.name, variable)
        if fields := environment.fields(node.name):
            raise CelError(f"{node.name!r} is not a value", node.span[0], f"ask for one of its fields: {', '.join(fields)}")
        raise CelError(f"unknown name {node.name!r}", node.span[0], known(node.name, sorted([*self.bound, *environment.roots()])))

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
        return self._field(node.span, self.anything(node.operand), node.field, node.place)

    def _declared(self, node: syntax.Select) -> tree.Read | None:
        """`subject.id` as the variable of that name; None when the left side is a value of its own."""
        name = dotted(node)
        if name in self.environment.variables:
            variable = self.environment.variables[name]
            return tree.Read(node.span, variable.type, name, variable)
        if isinstance(node.operand, syntax.Name) and (fields := self.environment.fields(node.operand.name)):
            raise CelError(f"{node.field!r} is not a field of {node.operand.name}", node.place, known(node.field, fields))
        return None

    def _field(self, span: syntax.Span, operand: tree.Tree, name: str, place: int) -> tree.Tree:
        return folded(tree.Field(span, self._content(operand, name, place), operand, name), place)

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
        operand, key = self.anything(node.operand), self.value(node.key)
        place = node.key.span[0]
        if isinstance(key, tree.Constant) and isinstance(key.value, str):
            return self._field(node.span, operand, key.value, place)
        match operand.type.kind:
            case Kind.DYN:
                return folded(tree.Item(node.span, DYN, operand, key), place)
            case Kind.MAP if fits(key.type, STRING):
                return folded(tree.Item(node.span, operand.type.element or DYN, operand, key), place)
            case Kind.LIST if fits(key.type, INT):
                return folded(tree.Item(node.span, operand.type.element or DYN, operand, key), place)
            case Kind.MAP | Kind.LIST:
                raise CelError(f"{operand.type} has no key of type {key.type}", place)
            case Kind.NAMED:
                raise CelError("a header's name must be written out", place)
            case _:
                raise CelError(f"cannot index {operand.type}", node.span[0])

    # Operators

    def _unary(self, node: syntax.Not | syntax.Negative) -> tree.Tree:
        if isinstance(node, syntax.Not):
            return folded(tree.Negation(node.span, BOOL, self.boolean(node.operand, "'!'")), node.span[0])
        operand = self.value(node.operand)
        if operand.type.kind not in (Kind.INT, Kind.DOUBLE, Kind.DYN):
            raise CelError(f"'-' needs a number, found {operand.type}", node.span[0])
        return folded(tree.Minus(node.span, operand.type, operand), node.span[0])

    def _binary(self, node: syntax.Binary) -> tree.Tree:
        if node.operator == "in":
            return self._membership(node)
        left, right = self.value(node.left), self.value(node.right)
        if node.operator in EQUALITY | ORDER:
            return self._comparison(node, left, right)
        result = added(node.operator, left.type, right.type)
        if result is None:
            hint = "int() and double() convert" if {left.type.kind, right.type.kind} == {Kind.INT, Kind.DOUBLE} else ""
            raise CelError(f"{node.operator!r} is not there for {left.type} and {right.type}", node.place, hint)
        return folded(tree.Arithmetic(node.span, result, node.operator, left, right), node.place)

    def _comparison(self, node: syntax.Binary, left: tree.Tree, right: tree.Tree) -> tree.Tree:
        if node.operator in EQUALITY and not fits(left.type, right.type):
            raise CelError(f"cannot compare {left.type} with {right.type}", node.place)
        if node.operator in ORDER and not orderable(left.type, right.type):
            raise CelError(f"cannot order {left.type} and {right.type}", node.place)
        return folded(tree.Comparison(node.span, BOOL, node.operator, left, right), node.place)

    def _membership(self, node: syntax.Binary) -> tree.Tree:
        value, container = self.value(node.left), self.anything(node.right)
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
        return folded(tree.Membership(node.span, BOOL, value, container), node.place)

    def _conditional(self, node: syntax.Conditional) -> tree.Tree:
        test = self.boolean(node.test, "'?'")
        then, other = self.value(node.then), self.value(node.other)
        if not fits(then.type, other.type):
            raise CelError(f"both sides of ':' must be of one type, found {then.type} and {other.type}", node.other.span[0])
        return chosen(tree.Choice(node.span, joined([then.type, other.type]), test, then, other))

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
