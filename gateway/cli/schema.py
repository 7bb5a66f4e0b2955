"""JSON Schema 2020-12 of configuration and policy files, for editors and pipelines."""

from typing import Any, Final

from pydantic import BaseModel, TypeAdapter

from gateway.authz.model import KINDS
from gateway.config.values import DURATION, write_duration
from gateway.settings import Settings

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def config_schema() -> dict[str, Any]:
    """Of config.yaml."""
    return _finished(Settings.model_json_schema(by_alias=True), "The configuration of the gateway")


def policy_schema() -> dict[str, Any]:
    """Of policy files: one of the kinds."""
    kinds: list[type[BaseModel]] = list(KINDS.values())
    schemas, common = TypeAdapter.json_schemas([(kind.__name__, "validation", TypeAdapter(kind)) for kind in kinds])
    one_of = [schemas[kind.__name__, "validation"] for kind in kinds]
    return _finished({"oneOf": one_of, **common}, "A policy file of the gateway")


def _finished(schema: dict[str, Any], title: str) -> dict[str, Any]:
    _write_durations(schema)
    return {"$schema": DIALECT, **schema, "title": title}


def _write_durations(node: Any) -> None:
    """Defaults of durations are seconds in the models and text in a file."""
    if isinstance(node, list):
        for child in node:
            _write_durations(child)
    if not isinstance(node, dict):
        return
    if isinstance(node.get("default"), float) and any(_is_duration(each) for each in [node, *node.get("anyOf", [])]):
        node["default"] = write_duration(node["default"])
    for child in node.values():
        _write_durations(child)


def _is_duration(node: dict[str, Any]) -> bool:
    return node.get("pattern") == f"^{DURATION.pattern}$"
