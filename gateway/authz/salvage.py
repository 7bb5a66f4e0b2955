"""What can still be read of a document that has mistakes, so that its names and expressions are checked in the same pass."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter, ValidationError

from gateway.authz.model import KINDS, Binding, Case, Pattern, Role, Rule

PARTS: Final[dict[str, tuple[str, type[BaseModel]]]] = {
    "Roles": ("bindings", Binding),
    "Policy": ("rules", Rule),
    "PolicyTest": ("cases", Case),
}
ROLE: Final[TypeAdapter[Role | list[str]]] = TypeAdapter(Role | list[Pattern])


def salvaged(kind: str, value: Mapping[str, Any]) -> tuple[BaseModel | None, tuple[int, ...]]:
    """The model of the document without its bad parts, and the numbers its list's items had; None when too much is bad."""
    if kind not in PARTS:
        return None, ()
    name, part = PARTS[kind]
    written = value.get(name)
    items = list(enumerate(written)) if isinstance(written, list) else []
    kept = [(number, item) for number, item in items if _is_valid(part, item)]
    known = {field.alias or key for key, field in KINDS[kind].model_fields.items()}
    reduced = {key: item for key, item in value.items() if key in known}
    reduced[name] = [item for _, item in kept]
    if isinstance(reduced.get("roles"), dict):
        reduced["roles"] = {key: role if _is_role(role) else [] for key, role in reduced["roles"].items()}
    try:
        return KINDS[kind].model_validate(reduced), tuple(number for number, _ in kept)
    except ValidationError:
        return None, ()


def _is_valid(model: type[BaseModel], value: Any) -> bool:
    try:
        model.model_validate(value)
    except ValidationError:
        return False
    return True


def _is_role(value: Any) -> bool:
    try:
        ROLE.validate_python(value)
    except ValidationError:
        return False
    return True
