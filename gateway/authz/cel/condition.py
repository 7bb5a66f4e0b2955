"""A condition: source text compiled once, asked on every request."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.authz.cel.checker import check
from gateway.authz.cel.codegen import function_of, generate, parts_of
from gateway.authz.cel.environment import Environment
from gateway.authz.cel.errors import FAULTS, CelError, CostError
from gateway.authz.cel.evaluate import evaluate
from gateway.authz.cel.operations import boolean
from gateway.authz.cel.parser import parse
from gateway.authz.cel.travel import Shared
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
    One that another process compiled has its trees folded up until somebody needs them: an error, an explanation.
    """

    __slots__ = ("_folded", "clauses", "fast", "tree")

    def __init__(self, clauses: Sequence[Clause], arguments: int = ARGUMENTS) -> None:
        self._folded: tuple[bytes, Shared] | None = None
        self.clauses: tuple[Clause, ...] = tuple(clauses)
        self.tree: Tree = _together(self.clauses)
        self.fast: Callable[..., Any] = generate(self.tree, arguments)

    def __reduce__(self) -> tuple[Callable[..., "Condition"], tuple[Any, ...]]:
        return _whole, (*parts_of(self.fast), self.clauses, self.tree)

    def fold(self, shared: Shared) -> bytes:
        """This condition for `unfold`: its code, and everything else as one piece in it."""
        return shared.dump((*parts_of(self.fast), shared.dump((self.clauses, self.tree))))

    def __getattr__(self, name: str) -> Any:
        """What is folded up: asked for only where `clauses` and `tree` are not there yet."""
        if name not in ("clauses", "tree") or self._folded is None:
            raise AttributeError(name)
        content, shared = self._folded
        self.clauses, self.tree = shared.load(content)
        self._folded = None
        return getattr(self, name)

    def exact(self, *arguments: Any) -> bool:
        """Whether the condition holds. Raises one of FAULTS where it has no value."""
        return boolean(evaluate(self.tree, arguments))

    def test(self, *arguments: Any) -> bool:
        """Whether the condition holds. Raises one of FAULTS where it has no value."""
        try:
            return bool(self.fast(*arguments))
        except FAULTS as fault:
            return self.after(fault, *arguments)

    def after(self, fault: Exception, *arguments: Any) -> bool:
        """Whether the condition holds, where `fast` raised this. Raises one of FAULTS where it has no value.

        What cost too much would again, and longer.
        """
        if isinstance(fault, CostError):
            raise fault
        return self.exact(*arguments)


def unfold(content: bytes, shared: Shared) -> Condition:
    """What `fold` was given, its trees still folded."""
    code, objects, rest = shared.load(content)
    condition = Condition.__new__(Condition)
    condition.fast, condition._folded = function_of(code, objects), (rest, shared)
    return condition


def _whole(code: bytes, objects: dict[str, Any], clauses: tuple[Clause, ...], tree: Tree) -> Condition:
    condition = Condition.__new__(Condition)
    condition.fast, condition.clauses, condition.tree, condition._folded = function_of(code, objects), clauses, tree, None
    return condition


def _together(clauses: tuple[Clause, ...]) -> Tree:
    """A conjunction even of one clause, so that code is made which insists on a bool."""
    parts = tuple(Negation((0, 0), BOOL, part.tree) if part.negated else part.tree for part in clauses)
    return Junction((0, 0), BOOL, True, parts)
