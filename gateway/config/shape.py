"""What the models say about one place of a document: which keys it may have, which values are paths."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gateway.config.node import Steps


def key_of(name: str, field: FieldInfo) -> str:
    """The key as written in a file."""
    return field.alias or name


@cache
def fields_of(model: type[BaseModel]) -> Mapping[str, FieldInfo]:
    """Key as written -> field."""
    return {key_of(name, field): field for name, field in model.model_fields.items()}


def members(annotation: Any) -> Iterator[Any]:
    """The plain types of an annotation: unions, `Annotated` and optionals opened, None left out."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from members(get_args(annotation)[0])
    elif origin in {Union, UnionType}:
        for member in get_args(annotation):
            yield from members(member)
    elif annotation is not NoneType:
        yield annotation


def is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def models(annotation: Any, value: Any) -> list[type[BaseModel]]:
    """The models a mapping here may be: those whose literal fields it fits, of these the ones it is complete for."""
    found = [kind for kind in members(annotation) if is_model(kind)]
    fitting = [model for model in found if _fits(model, value)] or found
    return [model for model in fitting if _is_complete(model, value)] or fitting


def _fits(model: type[BaseModel], value: Any) -> bool:
    """Whether the fields that tell models apart, required literals, have one of their values."""
    told = {
        key: field for key, field in fields_of(model).items() if get_origin(field.annotation) is Literal and field.is_required()
    }
    return not isinstance(value, dict) or all(value.get(key) in get_args(field.annotation) for key, field in told.items())


def _is_complete(model: type[BaseModel], value: Any) -> bool:
    required = {key for key, field in fields_of(model).items() if field.is_required()}
    return not isinstance(value, dict) or required <= value.keys()


def children(annotation: Any, value: Any, step: str | int) -> Iterator[Any]:
    """The annotations of one item of `value`: a model's field, a dict's value, a list's item."""
    items, tables = inside(annotation, value)
    yield from items
    yield from (table[step].annotation for table in tables if step in table)


def inside(annotation: Any, value: Any) -> tuple[list[Any], list[Mapping[Any, FieldInfo]]]:
    """What every item of `value` is annotated with, and the fields of the models it may be."""
    items = []
    for kind in members(annotation):
        origin = get_origin(kind)
        if origin is dict and isinstance(value, dict):
            items.append(get_args(kind)[1])
        elif origin is list and isinstance(value, list):
            items.append(get_args(kind)[0])
    return items, [fields_of(model) for model in models(annotation, value)] if isinstance(value, dict) else []


def below(annotation: Any, value: Any) -> Iterator[tuple[str | int, Any, Any]]:
    """Every item of a collection with what it is annotated with: (step, annotation, item)."""
    if not isinstance(value, (dict, list)):
        return
    items, tables = inside(annotation, value)
    steps: Any = value.items() if isinstance(value, dict) else enumerate(value)
    for step, child in steps:
        for kind in items:
            yield step, kind, child
        for table in tables:
            if step in table:
                yield step, table[step].annotation, child


def at(annotation: Any, value: Any, path: Steps) -> list[tuple[Any, Any]]:
    """Annotation and value of every way to read `path`."""
    found = [(annotation, value)]
    for step in path:
        found = [(child, item(value, step)) for annotation, value in found for child in children(annotation, value, step)]
    return found


def item(value: Any, step: str | int) -> Any:
    """`value[step]`, None when there is no such item."""
    if isinstance(value, dict):
        return value.get(step)
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        return value[step]
    return None


def keys(annotation: Any, value: Any, path: Steps) -> list[str]:
    """The keys allowed in the mapping at `path`."""
    found = [model for kind, here in at(annotation, value, path) for model in models(kind, here)]
    return list(dict.fromkeys(key for model in found for key in fields_of(model)))


def paths(annotation: Any, value: Any, at: Steps = ()) -> Iterator[Steps]:
    """Where `value` holds file paths."""
    if isinstance(value, str):
        kinds = list(members(annotation))
        words = [word for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]
        if Path in kinds and value and value not in words:
            yield at
    for step, kind, child in below(annotation, value):
        if isinstance(child, (str, dict, list)):
            yield from paths(kind, child, (*at, step))


def mappings(annotation: Any, value: Any, wanted: set[type[BaseModel]], at: Steps = ()) -> Iterator[tuple[Steps, dict[str, Any]]]:
    """Where `value` holds mappings of the wanted models, and those mappings."""
    if isinstance(value, dict) and wanted & set(members(annotation)):
        yield at, value
        return
    for step, kind, child in below(annotation, value):
        if isinstance(child, (dict, list)):
            yield from mappings(kind, child, wanted, (*at, step))


def is_one_of(annotation: Any, value: Any, path: Steps, wanted: set[type[BaseModel]]) -> bool:
    """Whether the mapping at `path` is one of the wanted models."""
    return any(wanted & set(members(kind)) for kind, _ in at(annotation, value, path))
