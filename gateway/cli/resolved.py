"""What a configuration comes to: every key with its value and the place that value was given, or `default`."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from gateway.config import shape
from gateway.config.document import Steps, dotted
from gateway.config.scalar import Scalar
from gateway.config.scalar import resolve as scalar
from gateway.config.values import REFERENCES, is_duration, is_size, write_duration, write_size
from gateway.settings import Loaded, Settings
from gateway.settings.rules.upstreams import TELLING

MASK: Final = "***"
DEFAULT: Final = "default"
PLAIN: Final = re.compile(r"[A-Za-z0-9_/~.][A-Za-z0-9_/~.@%+=,:-]*(?<!:)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Value:
    """One leaf: a scalar or an empty collection, and where it comes from."""

    value: Any
    origin: str


Node = Value | dict[str, Any] | list[Any]


def resolve(loaded: Loaded) -> dict[str, Any]:
    """The whole configuration as a tree with Values as leaves."""
    return _Walk(loaded).model(Settings, loaded.source.value, ())


class _Walk:
    """Models and data side by side."""

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded

    def model(self, model: type[BaseModel], value: dict[str, Any], path: Steps) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, field in shape.fields_of(model).items():
            if key in value:
                found[key] = self.given(field.annotation, value[key], (*path, key))
            elif not field.is_required():
                found[key] = default(field)
        return found

    def given(self, annotation: Any, value: Any, path: Steps) -> Node:
        if isinstance(value, dict):
            if set(REFERENCES.values()) & set(shape.members(annotation)):
                return Value(MASK, f"{self.origin(path)}, {_reference(value)}")
            if fitting := shape.models(annotation, value):
                return self.model(fitting[0], value, path)
        if isinstance(value, dict) and value:
            return {key: self.item(annotation, value, key, path) for key in value}
        if isinstance(value, list) and value:
            return [self.item(annotation, value, number, path) for number in range(len(value))]
        return Value(MASK if _telling(path) or path[0] == "sealed" else value, self.origin(path))

    def item(self, annotation: Any, value: Any, step: str | int, path: Steps) -> Node:
        kinds = list(shape.children(annotation, value, step))
        return self.given(kinds[0] if kinds else Any, shape.item(value, step), (*path, step))

    def origin(self, path: Steps) -> str:
        file, line, _ = self.loaded.place(path)
        return f"{file}:{line}"


def default(field: FieldInfo) -> Node:
    """A default as it would be written in a file."""
    value = field.get_default(call_default_factory=True)
    return Value(None, DEFAULT) if value is PydanticUndefined else as_written(field, value)


def as_written(field: FieldInfo, value: Any) -> Node:
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        return {shape.key_of(name, inner): as_written(inner, getattr(value, name)) for name, inner in fields.items()}
    if isinstance(value, list) and value and isinstance(value[0], BaseModel):
        return [as_written(field, each) for each in value]
    if is_duration(field):
        value = write_duration(value)
    elif is_size(field):
        value = write_size(value)
    return Value(value, DEFAULT)


def _reference(value: dict[str, Any]) -> str:
    return ", ".join(f"{kind}:{name}" for kind, name in value.items())


def _telling(path: Steps) -> bool:
    """A credential smuggled into a fixed header is masked as well."""
    return path[-3:-1] == ("headers", "set") and bool(TELLING.search(str(path[-1])))


def write_json(resolved: dict[str, Any]) -> str:
    """`{"configuration": …, "origins": {path: place}}`."""
    origins = {dotted(path): leaf.origin for path, leaf in _leaves(resolved, ())}
    return orjson.dumps({"configuration": _bare(resolved), "origins": origins}, option=orjson.OPT_INDENT_2).decode()


def _leaves(node: Node, path: Steps) -> Iterator[tuple[Steps, Value]]:
    if isinstance(node, Value):
        yield path, node
        return
    steps: Any = node.items() if isinstance(node, dict) else enumerate(node)
    for step, child in steps:
        yield from _leaves(child, (*path, step))


def _bare(node: Node) -> Any:
    if isinstance(node, Value):
        return node.value
    if isinstance(node, dict):
        return {key: _bare(child) for key, child in node.items()}
    return [_bare(child) for child in node]


def write_yaml(resolved: dict[str, Any]) -> str:
    """Valid YAML, each value followed by its origin as a comment."""
    return "\n".join(_lines(resolved, 0))


def _lines(node: dict[str, Any] | list[Any], depth: int) -> Iterator[str]:
    indent = "  " * depth
    pairs: Any = node.items() if isinstance(node, dict) else ((None, child) for child in node)
    for key, child in pairs:
        lead = f"{indent}-" if key is None else f"{indent}{_text(key)}:"
        if isinstance(child, Value):
            yield f"{lead} {_text(child.value)}  # {child.origin}"
        else:
            yield lead
            yield from _lines(child, depth + 1)


def _text(value: Any) -> str:
    """A scalar or an empty collection; quoted unless it would be read as the same string without."""
    if isinstance(value, str) and PLAIN.fullmatch(value) and _is_text(value):
        return value
    return json.dumps(value, ensure_ascii=True)


def _is_text(value: str) -> bool:
    try:
        found: Scalar = scalar(value)
    except ValueError:
        return False
    return isinstance(found, str)
