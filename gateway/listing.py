"""Routes -> what the catalogue tells of them. Schemas are told as they are enforced, without their authors' comments."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from gateway.authn.gate import Gate
from gateway.authn.model import issuer_of
from gateway.authn.own.verifier import SCHEME as TOKENS
from gateway.catalogue import Catalogue, Tool, questions, written
from gateway.core.ports import Limits
from gateway.doors import Rows
from gateway.edge.keywords import subschemas
from gateway.edge.openapi.description import Description
from gateway.edge.openapi.told import MOST, Told, meets
from gateway.edge.schema import load
from gateway.edge.validation import read
from gateway.routing import DEFAULT_PARAMETER, Entry
from gateway.settings import RouteModel
from gateway.settings.model import Tool as Shown
from gateway.snapshot import Route

MOST_SCHEMA: Final = MOST
"""Bytes of a schema's file that is told; of a larger one only that there is one. So with all operations of a description."""


def listing(rows: Rows, gate: Gate, limits: Limits, *, schemas: bool) -> Callable[[Sequence[str]], Catalogue]:
    """What makes the catalogue of a door from the names of its routes. Raises ValueError for two tools of one name."""
    tools = {row[1].name: made for row in rows if (made := _tool(*row, schemas=schemas)) is not None}
    names = [tool.name for tool in tools.values()]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"two tools have the name '{twice}': give one of them another, `tool: {{name: …}}`")
    return partial(_of, tools, gate, limits)


def _of(tools: dict[str, Tool], gate: Gate, limits: Limits, names: Sequence[str]) -> Catalogue:
    return Catalogue([tools[name] for name in names if name in tools], gate, limits)


def _tool(entry: Entry[Route], model: RouteModel, *, schemas: bool) -> Tool | None:
    service = entry.route.service
    if model.tool is False or service is None:
        return None
    shown = model.tool if isinstance(model.tool, Shown) else Shown()
    name = shown.name or model.name
    told, operations = _told(entry, model, shown), None
    described = service.validation.described
    parts = _schemas(model) if schemas else None
    if parts is not None and described is not None:
        met = _met(entry, model, described.description)
        if len(met) == 1:
            told["description"] = shown.description or met[0].summary
        operations = _operations(met)
        parts["operations"] = None
    return Tool(
        name=name,
        accepted=frozenset(issuer_of(accepted) for accepted in model.authenticate or ()),
        exchanged=TOKENS in (model.authenticate or ()),
        policy=service.policy,
        questions=questions(entry.methods),
        route=model.name,
        upstream=model.upstream,
        told=_written({"name": name, **told}),
        schemas=None if parts is None else _written(parts),
        operations=None if operations is None else _written(operations),
    )


def _written(members: Mapping[str, Any]) -> dict[str, bytes]:
    return {name: written(value) for name, value in members.items()}


def _met(entry: Entry[Route], model: RouteModel, description: Description) -> list[Told]:
    """The operations that requests of a route can be about, with paths as clients ask for them."""
    front = "".join([(model.rewrite.strip_prefix or "").rstrip("/"), *(f"/{segment}" for segment in description.base)])
    asked = [each._replace(path=front + each.path) for each in description.told]
    methods = entry.methods
    return [
        each
        for each in asked
        if (methods is None or each.method in methods) and meets(entry.pattern.segments, each.path, rest=each.rest)
    ]


def _operations(met: Sequence[Told]) -> dict[str, list[dict[str, Any]]] | None:
    """By method; None where all together are too large to be told."""
    if sum(MOST_SCHEMA + 1 if each.document is None else len(each.document) for each in met) > MOST_SCHEMA:
        return None
    found: dict[str, list[dict[str, Any]]] = {}
    for each in met:
        said = {"path": each.path, **({"summary": each.summary} if each.summary else {}), **json.loads(each.document or b"{}")}
        found.setdefault(each.method, []).append(said)
    return found


def _told(entry: Entry[Route], model: RouteModel, shown: Shown) -> dict[str, Any]:
    told: dict[str, Any] = {"description": shown.description, "path": model.match.path}
    told["parameters"] = {name: model.params.get(name, DEFAULT_PARAMETER) for name in entry.pattern.parameters}
    if model.match.host is not None:
        told["host"] = model.match.host
    if model.validate_.content_types is not None:
        told["content_types"] = model.validate_.content_types
    if model.websocket:
        told["websocket"] = True
    return told


def _schemas(model: RouteModel) -> dict[str, Any]:
    """The schemas by the part of the request that they are about; None for one that is too large to be told."""
    texts = read(model.validate_)
    return {part: plain(load(text)) if len(text) <= MOST_SCHEMA else None for part, text in texts.items()}


def plain(schema: Any) -> Any:
    """A schema without its authors' comments, and without the address it is kept at where nothing refers to that."""
    found = list(subschemas(schema))
    refers = any(not str(here.get("$ref", "#")).startswith("#") for _, here in found)
    for steps, here in found:
        here.pop("$comment", None)
        if not steps and not refers:
            here.pop("$id", None)
    return schema
