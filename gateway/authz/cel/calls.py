"""Functions, `has()`, `inSet()` and macros: the checked tree of a call."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from gateway.authz.cel import cost, syntax, tree
from gateway.authz.cel.environment import Environment
from gateway.authz.cel.errors import CelError, ConstantError
from gateway.authz.cel.folding import folded
from gateway.authz.cel.functions import EXACT, IN_SET, OUTSIDE, Function, Overload
from gateway.authz.cel.naming import collides, dotted, known
from gateway.authz.cel.types import BOOL, DYN, SET, STRING, Kind, Type, fits, joined, list_of

MACROS: Final[Mapping[str, tuple[str, tuple[int, ...]]]] = {
    "all": ("all", (2,)),
    "exists": ("exists", (2,)),
    "exists_one": ("exists_one", (2,)),
    "existsOne": ("exists_one", (2,)),
    "filter": ("filter", (2,)),
    "map": ("map", (2, 3)),
}
"""The macros, by the names they are written with, and how many arguments they take."""


class Checking(Protocol):
    """What the checker gives: the environment, what macros are at, and the trees of parts."""

    environment: Environment
    bound: dict[str, tree.Bound]

    def anything(self, node: syntax.Node) -> tree.Tree: ...
    def value(self, node: syntax.Node) -> tree.Tree: ...
    def boolean(self, node: syntax.Node, what: str) -> tree.Tree: ...


def checked(node: syntax.Call, checker: Checking) -> tree.Tree:
    """The tree of a call. Raises CelError."""
    if node.name in MACROS:
        return _macro(node, checker)
    if node.target is None and node.name == "has":
        return _has(node, checker)
    if node.target is None and node.name == "inSet":
        return _in_set(node, checker)
    written = node.arguments if node.target is None else (node.target, *node.arguments)
    start = dotted(node.target) if node.target is not None else ""
    if start and (named := f"{start}.{node.name}") in checker.environment.functions:
        return _invocation(node, checker.environment.functions[named], node.arguments, checker)
    return _invocation(node, _function(node, checker.environment), written, checker)


def _function(node: syntax.Call, environment: Environment) -> Function:
    namesake = environment.functions.get(f".{node.name}") if node.target is not None else None
    function = namesake or environment.functions.get(node.name)
    if function is not None and (function.plain if node.target is None else function.method):
        return function
    if function is not None:
        form = f"{node.name}(…)" if function.plain else f"x.{node.name}(…)"
        raise CelError(f"{node.name}() is not called this way", node.place, f"write {form}")
    if node.name in OUTSIDE:
        raise CelError(f"{node.name}() is outside the subset of CEL that conditions are written in", node.place)
    names = ["has", "inSet", *MACROS, *environment.functions]
    raise CelError(
        f"unknown function {node.name!r}", node.place, known(node.name, sorted(name for name in names if not name.startswith(".")))
    )


def _invocation(node: syntax.Call, function: Function, written: tuple[syntax.Node, ...], checker: Checking) -> tree.Tree:
    arguments = tuple(checker.value(argument) for argument in written)
    result = _result(node, function, arguments)
    prepared = tuple(_prepared(node, function, number, argument) for number, argument in enumerate(arguments))
    place = arguments[0].span[0] if arguments else node.place
    found = folded(tree.Invocation(node.span, result, function, prepared), place, f"{node.name}()")
    if function.name in EXACT and isinstance(arguments[0], tree.Constant):
        _made(node, EXACT[function.name], arguments[0], CelError)
    return found


def _result(node: syntax.Call, function: Function, arguments: tuple[tree.Tree, ...]) -> Type:
    """The type that the call gives, of all ways to call the function that fit."""
    counted = [overload for overload in function.overloads if len(overload.parameters) == len(arguments)]
    if not counted:
        written, target = len(node.arguments), len(arguments) - len(node.arguments)
        counts = sorted({len(overload.parameters) - target for overload in function.overloads})
        raise CelError(f"{node.name}() takes {_counted(counts)}, found {written}", node.place)
    fitting = [overload for overload in counted if _fits(overload, arguments)]
    if not fitting:
        raise _misfit(node, counted, arguments)
    return joined([overload.result for overload in fitting])


def _fits(overload: Overload, arguments: tuple[tree.Tree, ...]) -> bool:
    return all(fits(argument.type, wanted) for argument, wanted in zip(arguments, overload.parameters, strict=True))


def _misfit(node: syntax.Call, counted: list[Overload], arguments: tuple[tree.Tree, ...]) -> CelError:
    """At the first argument that fits no way of calling the function, else at the last."""
    for number, argument in enumerate(arguments):
        wanted = [overload.parameters[number] for overload in counted]
        if not any(fits(argument.type, type) for type in wanted) or number == len(arguments) - 1:
            names = " or ".join(sorted({type.kind.value for type in wanted}))
            return CelError(f"{node.name}() needs {names}, found {argument.type}", argument.span[0])
    return CelError(f"{node.name}() does not fit", node.place)


def _prepared(node: syntax.Call, function: Function, number: int, argument: tree.Tree) -> tree.Tree:
    """A literal argument as what it stands for: a pattern, a zone, a network."""
    if number not in function.prepared:
        return argument
    if not (isinstance(argument, tree.Constant) and isinstance(argument.value, str)):
        raise CelError(f"{node.name}() needs a literal here, to be read at load", argument.span[0])
    return tree.Constant(argument.span, argument.type, _made(node, function.prepared[number], argument))


def _made(node: syntax.Call, make: Callable[[Any], Any], argument: tree.Constant, error: type[CelError] = ConstantError) -> Any:
    try:
        return make(argument.value)
    except ValueError as problem:
        raise error(f"{node.name}(): {problem}", argument.span[0]) from problem


def _has(node: syntax.Call, checker: Checking) -> tree.Tree:
    if len(node.arguments) != 1:
        raise CelError(f"has() takes 1 argument, found {len(node.arguments)}", node.place)
    argument = node.arguments[0]
    named = isinstance(argument, syntax.Index) and isinstance(argument.key, syntax.Literal) and isinstance(argument.key.value, str)
    if not isinstance(argument, syntax.Select) and not named:
        raise CelError("has() needs a field", argument.span[0], "for instance has(subject.claims.org_id)")
    found = checker.anything(argument)
    if not isinstance(found, tree.Field):
        raise CelError("has() asks for a field that is always there", argument.span[0])
    return tree.Has(node.span, BOOL, found.operand, found.name)


def _in_set(node: syntax.Call, checker: Checking) -> tree.Tree:
    """`inSet(address, 'name')`, the name a literal, so that it is known at load."""
    if len(node.arguments) != 2:
        raise CelError(f"inSet() takes 2 arguments, found {len(node.arguments)}", node.place)
    address, name = checker.value(node.arguments[0]), node.arguments[1]
    if address.type.kind not in (Kind.STRING, Kind.ADDRESS, Kind.DYN):
        raise CelError(f"inSet() needs string or ip, found {address.type}", address.span[0])
    if not (isinstance(name, syntax.Literal) and isinstance(name.value, str)):
        raise CelError("inSet() needs the name of a set as a literal", name.span[0])
    sets = checker.environment.sets
    if name.value not in sets:
        hint = known(name.value, sorted(sets)) if sets else "none is defined"
        raise CelError(f"unknown set {name.value!r}", name.span[0], hint)
    return tree.Invocation(node.span, BOOL, IN_SET, (tree.Constant(name.span, SET, sets[name.value]), address))


def _macro(node: syntax.Call, checker: Checking) -> tree.Tree:
    macro, counts = MACROS[node.name]
    if node.target is None:
        raise CelError(f"{node.name}() is not called this way", node.place, f"write list.{node.name}(x, …)")
    if len(node.arguments) not in counts:
        raise CelError(f"{node.name}() takes {_counted(list(counts))}, found {len(node.arguments)}", node.place)
    over = checker.value(node.target)
    variable, *body = node.arguments
    name = _variable(variable, checker)
    checker.bound[name] = tree.Bound(variable.span, _element(over, node), name, len(checker.bound))
    try:
        return _loop(node, macro, over, body, checker)
    finally:
        del checker.bound[name]


def _loop(node: syntax.Call, macro: str, over: tree.Tree, body: list[syntax.Node], checker: Checking) -> tree.Tree:
    item = next(reversed(checker.bound.values()))
    tests = body if macro != "map" else body[:-1]
    test = checker.boolean(tests[0], f"{node.name}()") if tests else tree.Constant(node.span, BOOL, value=True)
    result = checker.value(body[-1]) if macro == "map" else item
    type = list_of(result.type) if macro in ("map", "filter") else BOOL
    weight = 1 + cost.weight(test) + cost.weight(result)
    return tree.Loop(node.span, type, macro, item.slot, over, test, result, weight)


def _element(over: tree.Tree, node: syntax.Call) -> Type:
    match over.type.kind:
        case Kind.LIST:
            return over.type.element or DYN
        case Kind.MAP:
            return STRING
        case Kind.DYN:
            return DYN
        case _:
            raise CelError(f"{node.name}() goes through a list or the keys of a map, found {over.type}", over.span[0])


def _variable(node: syntax.Node, checker: Checking) -> str:
    """The name a macro gives to each item: one that means nothing else here, so that no reader is misled."""
    if not isinstance(node, syntax.Name):
        raise CelError("a macro needs a plain name for its items", node.span[0])
    if problem := collides(node.name, checker.environment):
        raise CelError(problem, node.span[0])
    if node.name in checker.environment.definitions or node.name in checker.bound:
        raise CelError(f"{node.name!r} means something else here already", node.span[0])
    return node.name


def _counted(counts: list[int]) -> str:
    words = " or ".join(map(str, counts))
    return f"{words} argument" if counts == [1] else f"{words} arguments"
