"""Bindings: who gets which role. The only way from a verified identity to roles, beside the direct ones of an API key."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gateway.authz.cel.condition import Condition
from gateway.authz.cel.errors import FAULTS
from gateway.core.principal import Identity


@dataclass(frozen=True, slots=True)
class ByClaim:
    """Roles named in a claim of one issuer's tokens, never others than `only`."""

    claim: str
    issuer: str
    only: frozenset[str]

    def roles(self, identity: Identity) -> Iterable[str]:
        if identity.issuer != self.issuer:
            return ()
        value = identity.claims.get(self.claim)
        named = value if isinstance(value, list | tuple) else (value,)
        return [name for name in named if isinstance(name, str) and name in self.only]


@dataclass(frozen=True, slots=True)
class ByCondition:
    """A role for whoever the condition holds for. A condition that cannot be evaluated gives nothing."""

    role: str
    condition: Condition

    def roles(self, identity: Identity) -> Iterable[str]:
        try:
            return (self.role,) if self.condition.test(identity, None) else ()
        except FAULTS:
            return ()


@dataclass(slots=True)
class Bindings:
    """All bindings, those by name as one table."""

    by_claim: list[ByClaim] = field(default_factory=list)
    by_condition: list[ByCondition] = field(default_factory=list)
    by_subject: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def roles(self, identity: Identity) -> Iterator[str]:
        """The names of the roles bound to an identity. Whoever asks leaves out anonymous ones, which have none."""
        yield from self.by_subject.get((identity.issuer, identity.id), ())
        for claim in self.by_claim:
            yield from claim.roles(identity)
        for conditional in self.by_condition:
            yield from conditional.roles(identity)
