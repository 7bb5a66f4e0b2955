"""What is kept across reloads while its configuration is the same."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Generic, Protocol, TypeVar

from pydantic import BaseModel

from gateway.config.values import Reference
from gateway.core.ports import SecretSource


class Closable(Protocol):
    """Something with connections or tasks of its own."""

    def close(self) -> Awaitable[None]: ...


T = TypeVar("T", bound=Closable)


class Kept(Generic[T]):
    """Resources of one kind by name. `take` gives the live one while its key is equal, else makes one; nothing of the live
    ones changes until `commit`, so a build that fails leaves them as they were."""

    def __init__(self) -> None:
        self._live: dict[str, tuple[object, T]] = {}
        self._next: dict[str, tuple[object, T]] = {}

    def take(self, name: str, key: object, make: Callable[[], T]) -> T:
        known = self._next.get(name) or self._live.get(name)
        if known is None or known[0] != key:
            known = (key, make())
        self._next[name] = known
        return known[1]

    @property
    def named(self) -> bool:
        """Whether what is being built has any."""
        return bool(self._next)

    def commit(self) -> list[T]:
        """The built ones go live; returns those that nobody names any more."""
        retired = [resource for name, (_, resource) in self._live.items() if not self._is_next(name, resource)]
        self._live, self._next = self._next, {}
        return retired

    def abandon(self) -> list[T]:
        """Forget what was built; returns what was newly made."""
        made = [resource for name, (_, resource) in self._next.items() if self._live.get(name, (None, None))[1] is not resource]
        self._next = {}
        return made

    def _is_next(self, name: str, resource: T) -> bool:
        return name in self._next and self._next[name][1] is resource

    def coming(self) -> list[T]:
        """What is being built."""
        return [resource for _, resource in self._next.values()]

    def __iter__(self) -> Iterator[tuple[str, T]]:
        return ((name, resource) for name, (_, resource) in self._live.items())


def secret_sources(model: object, secrets: Callable[[Reference], SecretSource]) -> tuple[int, ...]:
    """The identity of every secret a model refers to: it changes when an environment secret has another value."""
    return tuple(id(secrets(reference)) for reference in references(model))


def references(value: object) -> Iterator[Reference]:
    """Every secret reference within a model."""
    if isinstance(value, Reference):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from references(getattr(value, name))
    elif isinstance(value, dict | list | tuple):
        for each in value.values() if isinstance(value, dict) else value:
            yield from references(each)
