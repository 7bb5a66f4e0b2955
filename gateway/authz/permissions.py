"""Permissions as bits. A permission is `resource:action`; patterns may have `*` for either, and are expanded here, once."""

import re
from collections.abc import Iterable
from itertools import product
from typing import Final

SEGMENT: Final = r"[A-Za-z0-9][A-Za-z0-9._/-]*"
PERMISSION: Final = re.compile(rf"{SEGMENT}:{SEGMENT}", re.ASCII)
PATTERN: Final = re.compile(rf"(?:{SEGMENT}|\*):(?:{SEGMENT}|\*)", re.ASCII)


class Numbering:
    """One bit for every permission that some rule asks for; what no rule asks for needs no bit."""

    __slots__ = ("_actions", "_all", "_bits", "_resources")

    def __init__(self, permissions: Iterable[str]) -> None:
        self._bits: dict[str, int] = {}
        self._resources: dict[str, int] = {}
        self._actions: dict[str, int] = {}
        for number, permission in enumerate(sorted(set(permissions))):
            bit = 1 << number
            resource, _, action = permission.partition(":")
            self._bits[permission] = bit
            self._resources[resource] = self._resources.get(resource, 0) | bit
            self._actions[action] = self._actions.get(action, 0) | bit
        self._all = (1 << len(self._bits)) - 1

    def bit(self, permission: str) -> int:
        """The bit of a permission that a rule asks for."""
        return self._bits[permission]

    def mask(self, patterns: Iterable[str]) -> int:
        """The bits of all permissions that the patterns cover; text that is no permission covers none."""
        mask = 0
        for pattern in patterns:
            resource, _, action = pattern.partition(":")
            if resource == "*":
                mask |= self._all if action == "*" else self._actions.get(action, 0)
            elif action == "*":
                mask |= self._resources.get(resource, 0)
            else:
                mask |= self._bits.get(pattern, 0)
        return mask


def covers(pattern: str, permission: str) -> bool:
    """Whether a pattern grants a permission."""
    return _common(pattern, permission) == permission


def narrowed(left: Iterable[str], right: Iterable[str]) -> tuple[str, ...]:
    """The patterns that grant exactly what both sides grant, sorted. Text that is no permission, as scopes may be, is left out."""
    written = [[pattern for pattern in side if PATTERN.fullmatch(pattern)] for side in (left, right)]
    common = (_common(one, other) for one, other in product(*written))
    return tuple(sorted({pattern for pattern in common if pattern is not None}))


def _common(left: str, right: str) -> str | None:
    """What two patterns both cover: `messages:*` and `*:read` give `messages:read`. None when nothing is."""
    parts = [_segment(one, other) for one, other in zip(_split(left), _split(right), strict=True)]
    return None if None in parts else f"{parts[0]}:{parts[1]}"


def _split(pattern: str) -> tuple[str, str]:
    resource, _, action = pattern.partition(":")
    return resource, action


def _segment(one: str, other: str) -> str | None:
    if one == other or other == "*":
        return one
    return other if one == "*" else None
