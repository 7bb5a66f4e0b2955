"""The names that the expressions of one document may use: attributes, named sets of addresses, and its own `let`."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from gateway.authz.attributes import BINDINGS, POLICIES, RESPONSE
from gateway.authz.cel.definitions import define
from gateway.authz.cel.environment import Environment
from gateway.authz.cel.networks import AddressSet, Network
from gateway.authz.document import Loaded
from gateway.authz.lint import located
from gateway.authz.model import IpSets, Policy
from gateway.core.errors import Problem


@dataclass(frozen=True, slots=True)
class Scopes:
    """Makes environments. `rules` is that of policies without a `let`: one object, so that equal conditions are known by it."""

    bindings: Environment
    rules: Environment

    def of(self, loaded: Loaded[Policy]) -> tuple[Environment, list[Problem]]:
        """What the rules of one policy may use, and what is wrong with its definitions."""
        if not loaded.model.let:
            return self.rules, []
        environment, refused = define(loaded.model.let, self.rules)
        return environment, [
            located(loaded, ("let", name), error.offset, error.message, error.hint) for name, error in refused.items()
        ]


def scopes(documents: Iterable[Loaded[IpSets]]) -> Scopes:
    """With all named sets. One that is defined twice is told elsewhere."""
    sets: dict[str, AddressSet] = {}
    for loaded in documents:
        for name, networks in loaded.model.sets.items():
            sets[name] = AddressSet([Network(text) for text in networks])
    return Scopes(BINDINGS.with_sets(sets), POLICIES.with_sets(sets))


def answering(environment: Environment) -> Environment:
    """The same with what an upstream answered."""
    return replace(environment, variables={**environment.variables, **RESPONSE})
