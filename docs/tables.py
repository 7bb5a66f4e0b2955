"""JSON Schema as Markdown tables, for the reference pages."""

import json
from typing import Any


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """A Markdown table; bars in cells are escaped."""
    body = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    return ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *body]]


def objects(schema: dict[str, Any], name: str) -> list[str]:
    """One section per object of a schema: the document itself first, then what it refers to, by name."""
    definitions = schema.get("$defs", {})
    lines = section(name, schema) if name else []
    for key in sorted(definitions):
        if definitions[key].get("type") == "object" or "enum" in definitions[key]:
            lines += section(titled(key), definitions[key])
    return lines[:-1]


def titled(name: str) -> str:
    """An object's name for people: where two rooms have one of that name, the room stands before it, not the module's path."""
    package, _, rest = name.partition("__")
    room, _, inner = rest.partition("__")
    return f"{room.capitalize()}{inner.rpartition('__')[2]}" if inner else package


def section(name: str, schema: dict[str, Any]) -> list[str]:
    lines = [f"## {name}", "", schema.get("description", ""), ""] if "description" in schema else [f"## {name}", ""]
    required = set(schema.get("required", []))
    rows = [
        [f"`{key}`", kind(value), "**required**" if key in required else default(value)]
        for key, value in schema.get("properties", {}).items()
    ]
    return [*lines, *table(["key", "value", "default"], rows), ""] if rows else lines


def kind(schema: dict[str, Any]) -> str:
    """A schema as a short phrase; what has a section of its own becomes a link to it."""
    if "$ref" in schema:
        name = titled(schema["$ref"].rpartition("/")[2])
        return f"[{name}](#{name.lower()})"
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    for combined in ("anyOf", "oneOf"):
        if combined in schema:
            parts = [kind(part) for part in schema[combined] if part.get("type") != "null"]
            return " or ".join(dict.fromkeys(parts))
    return plain(schema)


def plain(schema: dict[str, Any]) -> str:
    """A schema that refers to no other."""
    match schema.get("type"):
        case "array":
            return f"list of {kind(schema.get('items', {}))}"
        case "object":
            values = [*schema.get("patternProperties", {}).values()]
            more = schema.get("additionalProperties")
            values += [more] if isinstance(more, dict) else []
            return "map of name to " + " or ".join(kind(value) for value in values) if values else "map"
        case "string" if schema.get("examples"):
            return "text like " + ", ".join(f"`{example}`" for example in schema["examples"][:3])
        case "string" if schema.get("format") == "path":
            return "path"
        case "string":
            return "text"
        case "boolean":
            return "`true` or `false`"
        case None:
            return "not available yet" if "not" in schema else "any value"
        case other:
            return str(other)


def default(schema: dict[str, Any]) -> str:
    value = schema.get("default")
    if value is None or value in ({}, []):
        return "none"
    if isinstance(value, dict):
        return "as there"
    if isinstance(value, int) and "64KiB" in json.dumps(schema):
        return f"`{size(value)}`"
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value)}`"


def size(count: int) -> str:
    """A number of bytes as a configuration file writes it."""
    for unit, factor in (("MiB", 1024**2), ("KiB", 1024)):
        if count and count % factor == 0:
            return f"{count // factor}{unit}"
    return str(count)
