"""A condition: source text compiled once, asked on every request."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.authz.cel.checker import check
from gateway.authz.cel.codegen import generate
from gateway.authz.cel.environment import Environment
from gateway.authz.cel.errors import FAULTS, CelError
from gateway.authz.cel.evaluate import evaluate
from gateway.authz.cel.operations import boolean
from gateway.authz.cel.parser import parse
from gateway.authz.cel.tree import Junction, Negation, Tree
from gateway.authz.cel.types import BOOL, fits

ARGUMENTS: Final = 2
"""Unless told otherwise a condition is asked with a principal and an access request."""


@dataclass(frozen=True, slots=True)
class Clause:
    """One expression of a condition as written. `negated` for an `unless`."""

    source: str
    tree: Tree
    negated: bool = False

    def text(self, node: Tree) -> str:
        """The source of a part of this clause."""
        return self.source[node.span[0] : node.span[1]]


def clause(source: str, environment: Environment, *, negated: bool = False) -> Clause:
    """Compile one expression that must give a bool. Raises CelError."""
    found = check(parse(source), environment)
    if not fits(found.type, BOOL):
        raise CelError(f"a condition must be a bool, this is {found.type}", found.span[0])
    return Clause(source, found, negated)


class Condition:
    """All clauses of a rule together: every `when` holds and no `unless` does.

    `fast` is the generated code; it raises where a value is missing or unfitting, and then `exact` decides, with the error
    absorption of CEL. `arguments` is how many values it is asked with, those that the variables of its environment number.
    """

    __slots__ = ("clauses", "fast", "tree")

    def __init__(self, clauses: Sequence[Clause], arguments: int = ARGUMENTS) -> None:
        self.clauses = tuple(clauses)
        self.tree = _together(self.clauses)
        self.fast: Callable[..., Any] = generate(self.tree, arguments)

    def exact(self, *arguments: Any) -> bool:
        """Whether the condition holds. Raises one of FAULTS where it has no value."""
        return boolean(evaluate(self.tree, arguments))

    def test(self, *arguments: Any) -> bool:
        """Whether the condition holds. Raises one of FAULTS where it has no value."""
        try:
            return bool(self.fast(*arguments))
        except FAULTS:
            return self.exact(*arguments)


def _together(clauses: tuple[Clause, ...]) -> Tree:
    """A conjunction even of one clause, so that code is made which insists on a bool."""
    parts = tuple(Negation((0, 0), BOOL, part.tree) if part.negated else part.tree for part in clauses)
    return Junction((0, 0), BOOL, True, parts)
