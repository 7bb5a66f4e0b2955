"""A configuration being judged: the raw data, and those of its parts that are sound by themselves.

Rules read this instead of Settings, so that a mistake in one section hides none in another.
"""

from collections.abc import Iterator
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from gateway.config.document import Steps
from gateway.config.layers import Layers
from gateway.config.shape import item
from gateway.core.errors import Problem

M = TypeVar("M", bound=BaseModel)


class Draft:
    """Tolerant access: what is absent or of another kind is empty."""

    def __init__(self, source: Layers) -> None:
        self.source = source

    def value(self, *path: str | int) -> Any:
        found = self.source.value
        for step in path:
            found = item(found, step)
        return found

    def names(self, *path: str | int) -> list[str]:
        """The keys of a mapping."""
        found = self.value(*path)
        return list(found) if isinstance(found, dict) else []

    def items(self, *path: str | int) -> list[Any]:
        """The items of a list; a single string counts as a list of one."""
        found = self.value(*path)
        return found if isinstance(found, list) else [found] if isinstance(found, str) else []

    def part(self, model: type[M], path: Steps) -> M | None:
        """One part of the configuration, None when it is not sound."""
        try:
            return model.model_validate(self.value(*path))
        except ValidationError:
            return None

    def parts(self, model: type[M], *path: str | int) -> Iterator[tuple[Steps, M]]:
        """The sound ones of a mapping's parts, each with its place."""
        for name in self.names(*path):
            found = self.part(model, (*path, name))
            if found is not None:
                yield (*path, name), found

    def routes(self) -> Iterator[tuple[Steps, dict[str, Any]]]:
        """Every route that is a mapping, sound or not."""
        found = self.value("routes")
        for number, route in enumerate(found if isinstance(found, list) else []):
            if isinstance(route, dict):
                yield ("routes", number), route

    def error(self, path: Steps, message: str, hint: str = "", *, key: bool = False) -> Problem:
        return self.source.problem(path, message, hint, key=key)

    def warning(self, path: Steps, message: str, hint: str = "", *, key: bool = False) -> Problem:
        return self.source.problem(path, message, hint, key=key, severity="warning")
