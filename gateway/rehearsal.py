"""A build that serves nothing: for `gateway check`, and to ask what would happen to a request."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from gateway.authz.document import PolicyDocuments
from gateway.authz.policy import Policies
from gateway.build import Builder
from gateway.core.errors import ConfigError, Problem
from gateway.core.path import canonical
from gateway.resources import dry
from gateway.settings import Loaded
from gateway.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A build that serves nothing: what would happen to a request can be asked of it."""

    snapshot: Snapshot
    policies: Policies
    documents: PolicyDocuments

    def match(self, method: str, path: str, host: str) -> tuple[str, Mapping[str, str]] | None:
        """The route a request would take, with its parameters; None where the gateway itself would answer.

        Raises GatewayError for a path or parameter that is refused.
        """
        canonical_path = canonical(path.encode())
        question = Question(tuple(canonical_path[1:].split("/")), host)
        for door in self.snapshot.doors.values():
            route, captured = door.table.match(question, method)
            if route.name is not None and route.service is not None:
                return route.name, route.service.parameters(captured)
        return None


class Question(NamedTuple):
    """What the table of routes reads of a request."""

    segments: tuple[str, ...]
    host: str


def rehearse(loaded: Loaded) -> Rehearsal:
    """Build and start nothing. Raises ConfigError with every problem."""
    if loaded.settings is None or loaded.errors:
        raise ConfigError(loaded.problems)
    builder = Builder(loaded, loaded.settings, dry())
    snapshot = builder.snapshot()
    if snapshot is None or builder.policies is None or any(problem.severity == "error" for problem in builder.problems):
        raise ConfigError([*loaded.problems, *builder.problems])
    return Rehearsal(snapshot, builder.policies, builder.documents)


def check(loaded: Loaded) -> list[Problem]:
    """Every problem a start would meet, with warnings. Starts nothing."""
    if loaded.settings is None:
        return loaded.problems
    builder = Builder(loaded, loaded.settings, dry())
    builder.snapshot()
    return [*loaded.problems, *builder.problems]
