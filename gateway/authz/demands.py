"""`then:` to what a decision carries: paths parsed, limits named, expressions compiled. All problems are collected."""

from collections.abc import Callable
from typing import Any

from gateway.authz.cel.checker import check
from gateway.authz.cel.codegen import function_of, generate, parts_of
from gateway.authz.cel.condition import ARGUMENTS, Condition, clause
from gateway.authz.cel.environment import Environment
from gateway.authz.cel.errors import FAULTS, CelError, EvaluationError
from gateway.authz.cel.evaluate import evaluate
from gateway.authz.cel.parser import parse
from gateway.authz.cel.tree import Tree
from gateway.authz.cel.types import STRING, fits
from gateway.authz.document import Loaded
from gateway.authz.lint import located
from gateway.authz.model import Policy
from gateway.authz.residual import mark
from gateway.authz.scope import answering
from gateway.authz.then import Redact, StepUp, Then
from gateway.config.document import Steps
from gateway.config.values import Rate
from gateway.core import obligations
from gateway.core.errors import Problem
from gateway.core.names import folded
from gateway.core.obligations import Obligations, Redaction, Requirement, SetHeader, Style


class Demands:
    """Compiles the obligations of rules. `limits` are the rates that rules state, by `policy/rule`."""

    def __init__(self, problems: list[Problem], reserved: Callable[[bytes], bool], *, has_key: bool) -> None:
        """`reserved` tells which header fields no rule may set, `has_key` whether values can be hashed."""
        self._problems = problems
        self._reserved = reserved
        self._has_key = has_key
        self.limits: dict[str, Rate] = {}
        self.trees: list[Tree] = []
        """The expressions of the rule compiled last."""

    def compiled(
        self, loaded: Loaded[Policy], path: Steps, name: str, then: Then, scope: Environment, *, reads_only: bool
    ) -> Obligations:
        """What the rule `name`, whose `then` is at `path` and may use what is in `scope`, demands."""
        self.trees = []
        if then.rate_limit is not None:
            self.limits[name] = then.rate_limit
        return Obligations(
            redact=() if then.redact is None else self._redactions(loaded, (*path, "redact"), then.redact),
            fields=() if then.response is None else (tuple(dict.fromkeys(then.response.fields)),),
            require=self._required(loaded, (*path, "require_response"), then, scope, reads_only=reads_only),
            rate_limits=() if then.rate_limit is None else (name,),
            step_up=() if then.step_up is None else (step_up(then.step_up),),
            set_headers=self._headers(loaded, (*path, "set_header"), then, scope),
            max_body=then.max_body,
            audit_full=then.audit is not None,
        )

    def _redactions(self, loaded: Loaded[Policy], path: Steps, redact: Redact) -> tuple[Redaction, ...]:
        places = [Redaction(place.path, place.style or redact.style) for place in redact.response]
        if not self._has_key and any(place.style is Style.HASH for place in places):
            hint = "add `redaction: {key: {env: NAME}}` to the configuration: 32 random bytes or more"
            self._problems.append(loaded.problem(path, "`hash` needs a key, and there is none", hint))
        return tuple(places)

    def _required(
        self, loaded: Loaded[Policy], path: Steps, then: Then, scope: Environment, *, reads_only: bool
    ) -> tuple[Requirement, ...]:
        written = then.require_response
        if written is None:
            return ()
        if not reads_only:
            what = "`require_response` is for rules of GET and HEAD alone: a write has happened when its answer is seen"
            self._problems.append(loaded.problem(path, what))
        try:
            condition = Condition([clause(written.when, answering(scope))], ARGUMENTS + 1)
        except CelError as error:
            at = path if self._is_text(loaded, path) else (*path, "when")
            self._problems.append(located(loaded, at, error.offset, error.message, error.hint))
            return ()
        self.trees.append(condition.tree)
        return (Requirement(condition.test, written.hidden, " ".join(written.when.split()), mark(condition.tree)),)

    @staticmethod
    def _is_text(loaded: Loaded[Policy], path: Steps) -> bool:
        """Whether the node is written as text alone, not as a mapping."""
        value = loaded.document.value
        for step in path:
            value = value[step]
        return isinstance(value, str)

    def _headers(self, loaded: Loaded[Policy], path: Steps, then: Then, scope: Environment) -> tuple[SetHeader, ...]:
        made: dict[bytes, SetHeader] = {}
        for name, value in (then.set_header or {}).items():
            at = (*path, name)
            lower = name.lower().encode("ascii")
            key = folded(lower)
            if self._reserved(lower):
                what = f"{name} is not a rule's to set: it is the gateway's, a credential's, or frames the message"
                self._problems.append(loaded.problem(at, what, key=True))
            if key in made:
                self._problems.append(loaded.problem(at, f"{name} is set twice", key=True))
            if value.cel is None:
                made[key] = SetHeader(lower, text=value.text)
            elif (found := self._expression(loaded, (*at, "cel"), value.cel, scope)) is not None:
                made[key] = SetHeader(lower, value=found)
        return tuple(made.values())

    def _expression(self, loaded: Loaded[Policy], path: Steps, source: str, scope: Environment) -> "Expression | None":
        try:
            made = Expression(source, scope)
            self.trees.append(made.tree)
            return made
        except CelError as error:
            self._problems.append(located(loaded, path, error.offset, error.message, error.hint))
            return None


class Expression:
    """An expression that gives a string. Raises CelError at load; asked, one of FAULTS where it has no value."""

    __slots__ = ("_fast", "tree")

    def __init__(self, source: str, scope: Environment) -> None:
        self.tree = check(parse(source), scope)
        if not fits(self.tree.type, STRING):
            raise CelError(f"a field's value must be a string, this is {self.tree.type}", self.tree.span[0])
        self._fast = generate(self.tree, ARGUMENTS)

    def __reduce__(self) -> tuple[Callable[..., "Expression"], tuple[Any, ...]]:
        return _taken, (*parts_of(self._fast), self.tree)

    def __call__(self, principal: Any, access: Any) -> str:
        try:
            value = self._fast(principal, access)
        except FAULTS:
            value = evaluate(self.tree, (principal, access))
        if not isinstance(value, str):
            raise EvaluationError("not a string")
        return value


def _taken(code: bytes, objects: dict[str, Any], tree: Tree) -> Expression:
    expression = Expression.__new__(Expression)
    expression.tree, expression._fast = tree, function_of(code, objects)
    return expression


def step_up(written: StepUp) -> obligations.StepUp:
    """`acr: mfa` is a list of one."""
    acr = [written.acr] if isinstance(written.acr, str) else written.acr or []
    age = None if written.max_age is None else int(written.max_age)
    return obligations.StepUp(tuple(acr), tuple(written.amr or ()), age)
