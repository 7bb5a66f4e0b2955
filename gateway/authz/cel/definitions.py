"""`let`: expressions with a name, for other expressions to use.

A definition is checked once and put in where its name stands. What it adds is counted there, so that definitions which double
each other cannot grow beyond `checker.MAX_NODES`.
"""

from collections.abc import Mapping
from dataclasses import replace

from gateway.authz.cel import tree
from gateway.authz.cel.checker import check
from gateway.authz.cel.environment import Environment
from gateway.authz.cel.errors import CelError
from gateway.authz.cel.naming import collides
from gateway.authz.cel.parser import parse
from gateway.authz.cel.syntax import Name, names
from gateway.authz.cel.tree import Definition


def define(sources: Mapping[str, str], environment: Environment) -> tuple[Environment, dict[str, CelError]]:
    """The environment with the definitions of `sources`, name -> expression, that may use each other in any order.

    The second is what is refused, by name; places count characters of the definition's own text. What uses a refused
    definition is refused too. A definition can be of any type, also of one that no condition may have.
    """
    definer = _Definer(sources, environment)
    for name in sources:
        definer.need(name)
    return definer.environment, definer.refused


class _Definer:
    """Defines names in the order they need each other."""

    def __init__(self, sources: Mapping[str, str], environment: Environment) -> None:
        self._sources = sources
        self._open: list[str] = []
        self._base = environment
        self._found: dict[str, Definition] = dict(environment.definitions)
        self.refused: dict[str, CelError] = {}

    @property
    def environment(self) -> Environment:
        return replace(self._base, definitions=self._found)

    def need(self, name: str) -> None:
        """Define one name, whatever it uses first."""
        if name in self._found or name in self.refused:
            return
        self._open.append(name)
        try:
            self._found[name] = self._defined(name)
        except CelError as error:
            self.refused[name] = error
        self._open.pop()

    def _defined(self, name: str) -> Definition:
        if problem := collides(name, self._base):
            raise CelError(problem, 0)
        node = parse(self._sources[name])
        for used in names(node):
            self._use(used)
        found = check(node, self.environment)
        return Definition(found, sum(1 for _ in tree.walk(found)), tree.depth(found))

    def _use(self, used: Name) -> None:
        if used.name not in self._sources:
            return
        if used.name in self._open:
            raise CelError(f"{used.name!r} is defined by itself", used.span[0], " -> ".join([*self._open, used.name]))
        self.need(used.name)
        if used.name in self.refused:
            raise CelError(f"{used.name!r} is refused itself", used.span[0])
