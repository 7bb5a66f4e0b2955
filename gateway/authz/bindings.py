"""Bindings: who gets which role. The only way from a verified identity to roles, beside the direct ones of an API key."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from gateway.authz.cel.condition import Condition
from gateway.authz.cel.errors import FAULTS
from gateway.core.principal import Identity

Given = tuple[str, float | None]
"""A role, and the Unix time from which on its binding gives nothing, None for ever."""


class Binding(Protocol):
    """What gives roles to identities."""

    @property
    def expires(self) -> float | None: ...
    def roles(self, identity: Identity) -> Iterable[str]: ...


@dataclass(frozen=True, slots=True)
class ByClaim:
    """Roles named in a claim of one issuer's tokens, never others than `only`."""

    claim: str
    issuer: str
    only: frozenset[str]
    expires: float | None = None

    def roles(self, identity: Identity) -> Iterable[str]:
        if identity.issuer != self.issuer:
            return ()
        value = identity.claims.get(self.claim)
        named = value if isinstance(value, list | tuple) else (value,)
        return [name for name in named if isinstance(name, str) and name in self.only]


@dataclass(frozen=True, slots=True)
class ByGroup:
    """A role for the members of groups, each of one issuer's: (issuer, group)."""

    role: str
    groups: frozenset[tuple[str, str]]
    expires: float | None = None

    def roles(self, identity: Identity) -> Iterable[str]:
        return (self.role,) if any((identity.issuer, group) in self.groups for group in identity.groups) else ()


@dataclass(frozen=True, slots=True)
class ByCondition:
    """A role for whoever the condition holds for. A condition that cannot be evaluated gives nothing."""

    role: str
    condition: Condition
    expires: float | None = None

    def roles(self, identity: Identity) -> Iterable[str]:
        try:
            return (self.role,) if self.condition.test(identity, None) else ()
        except FAULTS:
            return ()


@dataclass(slots=True)
class Bindings:
    """All bindings, those by name as one table."""

    others: list[Binding] = field(default_factory=list)
    by_subject: dict[tuple[str, str], list[Given]] = field(default_factory=dict)

    def roles(self, identity: Identity, now: float) -> Iterator[Given]:
        """The roles bound to an identity at a time. Whoever asks leaves out anonymous ones, which have none."""
        for role, expires in self.by_subject.get((identity.issuer, identity.id), ()):
            if expires is None or now < expires:
                yield role, expires
        for binding in self.others:
            if binding.expires is None or now < binding.expires:
                for role in binding.roles(identity):
                    yield role, binding.expires
