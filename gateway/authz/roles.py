"""Roles: which permissions each gives, its own and those of the roles it extends."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.authz.document import Loaded
from gateway.authz.model import Role, Roles
from gateway.config.validation import suggest
from gateway.core.errors import Problem

MAX_DEPTH: Final = 8
TOO_DEEP: Final = f"roles extend one another more than {MAX_DEPTH} deep"


@dataclass(frozen=True, slots=True)
class Resolved:
    """A role with everything it extends: `names` are the roles it stands for, itself among them; `break_glass` if one is."""

    names: frozenset[str]
    permissions: frozenset[str]
    depth: int = 1
    break_glass: bool = False


def resolve(documents: list[Loaded[Roles]]) -> tuple[dict[str, Resolved], list[Problem]]:
    """All roles by name, and what is wrong with them: repeated, unknown, in a circle, too deep."""
    problems: list[Problem] = []
    written: dict[str, Role] = {}
    for loaded in documents:
        for name, value in loaded.model.roles.items():
            if name in written:
                problems.append(loaded.problem(("roles", name), f"the role {name!r} is defined twice", key=True))
            written.setdefault(name, value if isinstance(value, Role) else Role(permissions=value))
    problems.extend(_unknown(documents, written))
    resolved: dict[str, Resolved] = {}
    for loaded in documents:
        for name in loaded.model.roles:
            try:
                _resolve(name, written, resolved, ())
            except ValueError as error:
                problems.append(loaded.problem(("roles", name), str(error), key=True))
    return resolved, problems


def _unknown(documents: list[Loaded[Roles]], written: Mapping[str, Role]) -> Iterator[Problem]:
    for loaded in documents:
        for name, value in loaded.model.roles.items():
            extends = value.extends if isinstance(value, Role) else []
            for number, parent in enumerate(extends):
                if parent not in written:
                    path = ("roles", name, "extends", number)
                    yield loaded.problem(path, f"unknown role {parent!r}", suggest(parent, sorted(written)))


def _resolve(name: str, written: Mapping[str, Role], resolved: dict[str, Resolved], above: tuple[str, ...]) -> Resolved:
    """Raises ValueError for a circle or a chain that is too long; such a role stays unresolved and grants nothing."""
    if name in above:
        raise ValueError(f"the role extends itself: {' -> '.join((*above[above.index(name) :], name))}")
    if name in resolved:
        return resolved[name]
    if len(above) >= MAX_DEPTH:
        raise ValueError(TOO_DEEP)
    role = written[name]
    below = [_resolve(parent, written, resolved, (*above, name)) for parent in role.extends if parent in written]
    depth = 1 + max((parent.depth for parent in below), default=0)
    if depth > MAX_DEPTH:
        raise ValueError(TOO_DEEP)
    names = frozenset({name}).union(*(parent.names for parent in below))
    permissions = frozenset(role.permissions).union(*(parent.permissions for parent in below))
    resolved[name] = Resolved(names, permissions, depth, role.break_glass or any(parent.break_glass for parent in below))
    return resolved[name]
