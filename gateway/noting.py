"""How a build tells its problems: each with its place, and none keeps it from finding the next."""

from collections.abc import Callable
from typing import Any

from gateway.config.document import Steps
from gateway.core.errors import ConfigError, DependencyDown, Problem
from gateway.settings import Loaded


class Noting:
    """Notes problems of one configuration."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self.problems: list[Problem] = []

    def _note(self, path: Steps, message: str) -> None:
        self.problems.append(self._loaded.problem(path, message))

    def _at(self, path: Steps, make: Callable[[], Any]) -> Any:
        """What `make` gives, or None with its complaint noted at `path`."""
        try:
            return make()
        except (ValueError, DependencyDown) as error:
            self._note(path, str(error))
        except ConfigError as error:
            self.problems += [self._placed(path, problem) for problem in error.problems]
        return None

    def _placed(self, path: Steps, problem: Problem) -> Problem:
        """A room's problem knows its path, not the file that holds it."""
        if problem.file:
            return problem
        inner = tuple(problem.path.split(".")) if problem.path else ()
        return self._loaded.problem(inner if inner[: len(path)] == path else (*path, *inner), problem.message, problem.hint)
