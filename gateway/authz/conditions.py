"""Expressions as they are written in documents, to conditions. What is wrong is collected with its place."""

from dataclasses import dataclass

from gateway.authz.cel.condition import Clause, Condition, clause
from gateway.authz.cel.environment import Environment
from gateway.authz.cel.errors import CelError
from gateway.authz.document import Loaded
from gateway.authz.lint import located
from gateway.authz.model import Policy, Roles
from gateway.config.document import Steps
from gateway.core.errors import Problem


@dataclass(frozen=True, slots=True)
class Written:
    """An expression and where it stands in its document."""

    path: Steps
    source: str
    negated: bool = False


def written(path: Steps, value: str | list[str] | None) -> list[Written]:
    """One expression, or all of a list."""
    if value is None:
        return []
    if isinstance(value, str):
        return [Written(path, value)]
    return [Written((*path, number), source) for number, source in enumerate(value)]


class Conditions:
    """Compiles conditions; equal ones in one environment once."""

    def __init__(self, problems: list[Problem]) -> None:
        self._problems = problems
        # The environment is kept, so that its id stays its own.
        self._made: dict[tuple[int, tuple[tuple[str, bool], ...]], tuple[Environment, Condition]] = {}

    def compiled(self, loaded: Loaded[Roles] | Loaded[Policy], parts: list[Written], scope: Environment) -> Condition | None:
        """The condition of all expressions together. None when one of them is refused."""
        key = (id(scope), tuple((part.source, part.negated) for part in parts))
        if key in self._made:
            return self._made[key][1]
        clauses = [self._clause(loaded, part, scope) for part in parts]
        good = [clause for clause in clauses if clause is not None]
        if len(good) < len(clauses):
            return None
        return self._made.setdefault(key, (scope, Condition(good)))[1]

    def _clause(self, loaded: Loaded[Roles] | Loaded[Policy], part: Written, scope: Environment) -> Clause | None:
        try:
            return clause(part.source, scope, negated=part.negated)
        except CelError as error:
            self._problems.append(located(loaded, part.path, error.offset, error.message, error.hint))
            return None
