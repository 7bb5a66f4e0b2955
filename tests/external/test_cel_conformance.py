"""The CEL specification's conformance cases: what the subset accepts must give the expected result, the rest is refused at load.

A case runs through both ways of evaluation. The counts are stated, so that a change of the subset shows.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from gateway.authz.cel.checker import check
from gateway.authz.cel.codegen import generate
from gateway.authz.cel.environment import Environment
from gateway.authz.cel.errors import FAULTS, CelError, ConstantError
from gateway.authz.cel.evaluate import evaluate
from gateway.authz.cel.functions import FUNCTIONS, Function, Overload
from gateway.authz.cel.parser import parse
from gateway.authz.cel.tree import Tree, Variable
from gateway.authz.cel.types import BOOL, DOUBLE, DURATION, DYN, INT, NULL, STRING, TIMESTAMP, Type, list_of, map_of
from gateway.authz.cel.values import Duration
from tests.textproto import Message, every, get, read

PRIMITIVES = {"INT64": INT, "DOUBLE": DOUBLE, "STRING": STRING, "BOOL": BOOL}
MOMENTS = {
    "google.protobuf.Duration": DURATION,
    "google.protobuf.Timestamp": TIMESTAMP,
    "DURATION": DURATION,
    "TIMESTAMP": TIMESTAMP,
}
# dyn() forgets a type. It is not part of the language here, but without it most cases of mixed types could not be written.
WITH_DYN = {**FUNCTIONS, "dyn": Function("dyn", (Overload((DYN,), DYN),), lambda value: value, method=False, plain=True)}


class Outside(Exception):
    """The case needs values or types that conditions do not have."""


def type_of(message: Message) -> Type:
    for name, value in message:
        match name:
            case "primitive" if value in PRIMITIVES:
                return PRIMITIVES[value]
            case "dyn":
                return DYN
            case "null":
                return NULL
            case "message_type" | "well_known" if value in MOMENTS:
                return MOMENTS[value]
            case "list_type":
                return list_of(type_of(get(value, "elem_type", [("dyn", [])])))
            case "map_type" if get(get(value, "key_type"), "primitive") == "STRING":
                return map_of(type_of(get(value, "value_type", [("dyn", [])])))
            case _:
                continue
    raise Outside(str(message))


def value_of(message: Message) -> Any:
    name, value = message[0]
    match name:
        case "int64_value":
            return int(value)
        case "double_value":
            return float(str(value).replace("infinity", "inf"))
        case "string_value":
            return value.decode()
        case "bool_value":
            return value == "true"
        case "null_value":
            return None
        case "list_value":
            return [value_of(item) for item in every(value, "values")]
        case "map_value":
            return {value_of(get(entry, "key")): value_of(get(entry, "value")) for entry in every(value, "entries")}
        case "object_value" if value and str(value[0][0]).endswith("google.protobuf.Duration"):
            return Duration(int(get(value[0][1], "seconds", 0)) * 10**9 + int(get(value[0][1], "nanos", 0)))
        case _:
            raise Outside(name)


def cases(folder: Path) -> Iterator[tuple[str, Message]]:
    for file in sorted(folder.glob("*.textproto")):
        for section in every(read(file.read_text(encoding="utf-8")), "section"):
            for test in every(section, "test"):
                yield f"{file.stem}/{get(section, 'name')}/{get(test, 'name')}", test


def environment(test: Message) -> tuple[Environment, dict[str, Any]]:
    if get(test, "container") or get(test, "check_only"):
        raise Outside("container or check_only")
    values = {get(binding, "key").decode(): value_of(get(get(binding, "value"), "value")) for binding in every(test, "bindings")}
    variables: dict[str, Variable] = {}
    for declared in every(test, "type_env"):
        found = get(declared, "ident")
        if found is None:
            raise Outside("a function")
        name = get(declared, "name")
        variables[name] = Variable(type_of(get(found, "type")), 0, (), itemgetter(name))
    return Environment(variables, WITH_DYN), values


def plain(value: Any) -> Any:
    """A value with tuples as lists, and its type kept apart from equal ones: true is not 1, 1 is not 1.0."""
    if isinstance(value, list | tuple):
        return ["list", *map(plain, value)]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return (type(value).__name__, repr(value))


def outcomes(tree: Tree, values: dict[str, Any]) -> list[Any]:
    """What both ways of evaluation give; None in a list stands for an error."""
    ways: list[Callable[[Tree, dict[str, Any]], Any]] = [exact, fast]
    found: list[Any] = []
    for way in ways:
        try:
            found.append([plain(way(tree, values))])
        except FAULTS:
            found.append(None)
    return found


def exact(tree: Tree, values: dict[str, Any]) -> Any:
    return evaluate(tree, (values,))


def fast(tree: Tree, values: dict[str, Any]) -> Any:
    try:
        return generate(tree, 1)(values)
    except FAULTS:
        return evaluate(tree, (values,))


def expected(test: Message) -> Any:
    if get(test, "eval_error") is not None or get(test, "any_eval_errors") is not None:
        return None
    value = get(test, "value")
    if value is None and get(test, "typed_result") is not None:
        value = get(get(test, "typed_result"), "result")
    return [plain(True if value is None else value_of(value))]


def judged(test: Message) -> str:
    """`right`, `refused at load`, `outside`, or what is wrong."""
    try:
        known, values = environment(test)
        tree = check(parse(get(test, "expr")), known)
        wanted = expected(test)
    except ConstantError:
        # A part of constants has no value. Where the case says that too, load is the earlier place to say so.
        return "right" if expected(test) is None else "refused at load"
    except CelError:
        return "refused at load"
    except Outside:
        return "outside"
    found = outcomes(tree, values)
    return "right" if found == [wanted, wanted] else f"expected {wanted}, found {found}"


@pytest.fixture(scope="module")
def verdicts(vectors: Path) -> dict[str, str]:
    return {name: judged(test) for name, test in cases(vectors / "cel")}


def test_every_accepted_case_gives_the_expected_result(verdicts: dict[str, str]) -> None:
    wrong = {name: verdict for name, verdict in verdicts.items() if verdict not in ("right", "refused at load", "outside")}
    assert wrong == {}


def test_the_counts_are_those_of_the_documented_subset(verdicts: dict[str, str]) -> None:
    counts = Counter(verdicts.values())
    assert counts == {"right": 802, "refused at load": 1002, "outside": 648}
