"""The names and functions that an expression may use, handed to the checker by whoever asks."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.authz.cel.functions import FUNCTIONS, Function
from gateway.authz.cel.tree import Variable


@dataclass(frozen=True, slots=True)
class Environment:
    """The names an expression may use. `variables` are keyed as written, dots included: `subject.id`."""

    variables: Mapping[str, Variable]
    functions: Mapping[str, Function]

    @classmethod
    def of(cls, variables: Mapping[str, Variable]) -> "Environment":
        return cls(variables, FUNCTIONS)

    def fields(self, namespace: str) -> list[str]:
        """What follows `namespace.` in the names of variables."""
        start = f"{namespace}."
        return sorted(name.removeprefix(start) for name in self.variables if name.startswith(start))

    def roots(self) -> list[str]:
        """What a name may begin with."""
        return sorted({name.partition(".")[0] for name in self.variables})
