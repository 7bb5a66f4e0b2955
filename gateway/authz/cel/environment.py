"""The names and functions that an expression may use, handed to the checker by whoever asks."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gateway.authz.cel.functions import FUNCTIONS, Function
from gateway.authz.cel.networks import AddressSet
from gateway.authz.cel.tree import Definition, Variable


@dataclass(frozen=True, slots=True)
class Environment:
    """The names an expression may use.

    `variables` are keyed as written, dots included: `subject.id`. `sets` are what `inSet()` may name, `definitions` the names
    of a `let`, see `definitions.define`.
    """

    variables: Mapping[str, Variable]
    functions: Mapping[str, Function]
    sets: Mapping[str, AddressSet] = field(default_factory=dict)
    definitions: Mapping[str, Definition] = field(default_factory=dict)

    @classmethod
    def of(cls, variables: Mapping[str, Variable]) -> "Environment":
        return cls(variables, FUNCTIONS)

    def with_sets(self, sets: Mapping[str, AddressSet]) -> "Environment":
        """The same with named sets of addresses."""
        return replace(self, sets=sets)

    def fields(self, namespace: str) -> list[str]:
        """What follows `namespace.` in the names of variables."""
        start = f"{namespace}."
        return sorted(name.removeprefix(start) for name in self.variables if name.startswith(start))

    def roots(self) -> list[str]:
        """What a name may begin with."""
        return sorted({name.partition(".")[0] for name in self.variables} | set(self.definitions))
