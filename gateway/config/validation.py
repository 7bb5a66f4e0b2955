"""Data against a model: every finding at once, each with its place in the file and words an operator understands."""

from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any, Final, Protocol, TypeVar, cast

from annotated_types import MinLen
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gateway.config import shape
from gateway.config.node import Steps
from gateway.config.values import FIELD_NAME, NAME, VARIABLE
from gateway.core.errors import Problem

M = TypeVar("M", bound=BaseModel)
Say = Callable[[dict[str, Any]], str]

FILE_REFERENCE: Final = "a private key is a reference: {file: PATH}"
KNOWN_AT_MOST: Final = 12
LONG: Final = 100

PATTERNS: Final[dict[str, str]] = {
    NAME: "a name has letters, digits, '.', '_' and '-', begins with a letter or digit and is at most 63 long",
    FIELD_NAME: "a header or cookie name has letters, digits and !#$%&'*+.^_`|~- only",
    VARIABLE: "a variable's name has letters, digits and '_' and does not begin with a digit",
}
MESSAGES: Final[dict[str, str | Say]] = {
    "string_type": "expected text",
    "string_sub_type": "expected text",
    "int_type": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "bool_type": "expected true or false",
    "list_type": "expected a list",
    "dict_type": "expected a mapping",
    "model_type": "expected a mapping",
    "path_type": "expected a path",
    "is_instance_of": "expected a path",
    "literal_error": lambda ctx: f"expected {ctx['expected']}",
    "value_error": lambda ctx: str(ctx["error"]),
    "greater_than_equal": lambda ctx: f"must be at least {ctx['ge']}",
    "greater_than": lambda ctx: f"must be more than {ctx['gt']}",
    "less_than_equal": lambda ctx: f"must be at most {ctx['le']}",
    "less_than": lambda ctx: f"must be less than {ctx['lt']}",
    "too_short": lambda ctx: "must not be empty" if ctx["min_length"] == 1 else f"needs at least {ctx['min_length']} items",
    "too_long": lambda ctx: f"at most {ctx['max_length']} items are allowed",
    "string_too_short": "must not be empty",
    "string_too_long": lambda ctx: f"at most {ctx['max_length']} characters are allowed",
    "union_tag_not_found": lambda ctx: f"{ctx['discriminator']} is required",
    "union_tag_invalid": lambda ctx: f"{ctx['discriminator']}: expected one of {ctx['expected_tags']}",
    "string_pattern_mismatch": lambda ctx: PATTERNS.get(ctx["pattern"], f"does not match {ctx['pattern']}"),
}


class Source(Protocol):
    """Data that knows where it came from: one document, or several laid over one another."""

    @property
    def value(self) -> Any: ...

    @property
    def problems(self) -> list[Problem]: ...

    def problem(self, path: Steps, message: str, hint: str = "", *, key: bool = False, severity: str = "error") -> Problem: ...


def validate(model: type[M], source: Source, at: Steps = ()) -> tuple[M | None, list[Problem]]:
    """The model, or None and everything that is wrong. `at` is the place in the source that the model describes."""
    value = source.value
    for step in at:
        value = shape.item(value, step)
    if value is None:
        return None, [] if source.problems else [source.problem(at, "is empty")]
    try:
        return _validated(model, value), []
    except ValidationError as error:
        found = _problems(model, value, source, at, error.errors(include_url=False))
        return None, sorted(found, key=lambda problem: (problem.file, problem.line, problem.column))


def suggest(word: Any, known: Sequence[str]) -> str:
    """`did you mean 'x'?`, or the few words that are known, or nothing."""
    if isinstance(word, str) and (close := get_close_matches(word, known, 1)):
        return f"did you mean '{close[0]}'?"
    return f"known: {', '.join(known)}" if 0 < len(known) <= KNOWN_AT_MOST else ""


def _validated(model: type[M], value: Any) -> M:
    """The model; items of long lists one by one, since one long call would hold up every other thread. Raises ValidationError."""
    long = {key: kind for key, kind in _item_models(model).items() if isinstance(value, dict) and _is_long(value.get(key))}
    if not long:
        return model.model_validate(value)
    try:
        found = model.model_validate({**value, **{key: value[key][:1] for key in long}})
        items = {key: [kind.model_validate(child) for child in value[key]] for key, kind in long.items()}
    except ValidationError:
        # Once more and whole, for problems with their full paths.
        return model.model_validate(value)
    return found.model_copy(update={name: items[key] for key, name in _names(model).items() if key in items})


def _is_long(value: Any) -> bool:
    return isinstance(value, list) and len(value) > LONG


def _names(model: type[BaseModel]) -> dict[str, str]:
    return {shape.key_of(name, field): name for name, field in model.model_fields.items()}


def _item_models(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """Keys that hold a list of one model, without a bound that only the whole list can keep."""
    found = {}
    for key, field in shape.fields_of(model).items():
        items, _ = shape.inside(field.annotation, [])
        bounds = [mark for mark in field.metadata if not isinstance(mark, MinLen)]
        if len(items) == 1 and shape.is_model(items[0]) and not bounds:
            found[key] = items[0]
    return found


def _problems(model: type[BaseModel], value: Any, source: Source, at: Steps, errors: Sequence[ErrorDetails]) -> Iterator[Problem]:
    broken = {(problem.file, problem.line, problem.column) for problem in source.problems}
    for error in _condensed(value, errors):
        path = _path(value, error["loc"])
        message, hint = _words(model, value, path, error)
        # What is missing stands nowhere: the mapping that lacks it is named.
        place = path[:-1] if error["type"] == "missing" else path
        key = error["type"] in {"missing", "extra_forbidden"} or error["loc"][-1:] == ("[key]",)
        problem = source.problem((*at, *place), message, hint, key=key)
        if (problem.file, problem.line, problem.column) not in broken:
            yield problem


def _path(value: Any, loc: Steps) -> Steps:
    """Pydantic's location without the names of union branches, which stand in no file."""
    path: list[str | int] = []
    for number, step in enumerate(loc):
        inside = (isinstance(value, dict) and step in value) or (isinstance(value, list) and isinstance(step, int))
        last = number == len(loc) - 1
        if inside or (last and isinstance(value, dict) and step != "[key]"):
            path.append(step)
            value = shape.item(value, step)
    return tuple(path)


def _condensed(value: Any, errors: Sequence[ErrorDetails]) -> Iterator[ErrorDetails]:
    """One finding where every branch of a union complains: that of the branch the value comes closest to."""
    groups: dict[Steps, dict[str | int, list[ErrorDetails]]] = {}
    for error in errors:
        union, branch = _branch(value, error)
        groups.setdefault(union, {}).setdefault(branch, []).append(error)
    for union, branches in groups.items():
        if len(branches) == 1 or not union:
            yield from (error for found in branches.values() for error in found)
        else:
            yield from _closest(union, branches)


def _branch(value: Any, error: ErrorDetails) -> tuple[Steps, str | int]:
    """Where the union is and which branch of it complains; `(), ""` for an error in no union."""
    loc = error["loc"]
    for number, step in enumerate(loc):
        inside = (isinstance(value, dict) and step in value) or (isinstance(value, list) and isinstance(step, int))
        if inside:
            value = shape.item(value, step)
            continue
        if step == "[key]" or (number == len(loc) - 1 and error["type"] in {"missing", "extra_forbidden"}):
            break
        return loc[:number], step
    return (), ""


def _closest(union: Steps, branches: dict[str | int, list[ErrorDetails]]) -> Iterator[ErrorDetails]:
    inside = [found for found in branches.values() if not any(_is_root(union, error) for error in found)]
    if inside:
        yield from min(inside, key=len)
        return
    literal = [error for found in branches.values() for error in found if error["type"] == "literal_error"]
    first = next(iter(branches.values()))[0]
    kinds = [_plain(error) for found in branches.values() for error in found if _is_root(union, error)]
    parts = [kind.removeprefix("expected ") for kind in dict.fromkeys(kinds)]
    error = dict(literal[0] if literal else first)
    error["loc"] = union
    error["msg"] = "expected " + " or ".join(parts) if all(kind.startswith("expected ") for kind in kinds) else parts[-1]
    error["type"] = "union"
    yield cast("ErrorDetails", error)


def _is_root(union: Steps, error: ErrorDetails) -> bool:
    return len(error["loc"]) == len(union) + 1 and error["type"] not in {"missing", "extra_forbidden"}


def _plain(error: ErrorDetails) -> str:
    text = MESSAGES.get(error["type"])
    if text is None:
        return error["msg"][:1].lower() + error["msg"][1:]
    return text if isinstance(text, str) else text(error.get("ctx", {}))


def _words(model: type[BaseModel], value: Any, path: Steps, error: ErrorDetails) -> tuple[str, str]:
    """Message and hint. Never the value: it may be a secret in the wrong place."""
    kind = error["type"]
    given = error.get("input")
    if kind == "extra_forbidden":
        return f"unknown key '{path[-1]}'", suggest(path[-1], shape.keys(model, value, path[:-1]))
    if kind == "missing":
        return f"'{path[-1]}' is required", ""
    if kind == "model_type" and error.get("ctx", {}).get("class_name") == "FileSecret":
        return FILE_REFERENCE, "keys and passwords are never written into a configuration file"
    if kind == "literal_error" and isinstance(given, str):
        close = get_close_matches(given, error["ctx"]["expected"].replace(" or ", ", ").replace("'", "").split(", "), 1)
        return _plain(error), f"did you mean '{close[0]}'?" if close else ""
    if kind == "string_type" and isinstance(given, (int, float)):
        return _plain(error), "quote it"
    return _plain(error), ""
