"""`then:` to what a decision carries: paths parsed, limits named, expressions compiled. All problems are collected."""

from collections.abc import Callable
from typing import Any, Final

from gateway.authz.attributes import POLICIES
from gateway.authz.cel.checker import check
from gateway.authz.cel.codegen import generate
from gateway.authz.cel.errors import FAULTS, CelError, EvaluationError
from gateway.authz.cel.evaluate import evaluate
from gateway.authz.cel.parser import parse
from gateway.authz.cel.types import STRING, fits
from gateway.authz.document import Loaded
from gateway.authz.lint import located
from gateway.authz.model import Policy
from gateway.authz.then import Redact, StepUp, Then
from gateway.config.document import Steps
from gateway.config.values import Rate
from gateway.core import obligations
from gateway.core.errors import Problem
from gateway.core.names import folded
from gateway.core.obligations import Obligations, Redaction, SetHeader, Style

ARGUMENTS: Final = 2


class Demands:
    """Compiles the obligations of rules. `limits` are the rates that rules state, by `policy/rule`."""

    def __init__(self, problems: list[Problem], reserved: Callable[[bytes], bool], *, has_key: bool) -> None:
        """`reserved` tells which header fields no rule may set, `has_key` whether values can be hashed."""
        self._problems = problems
        self._reserved = reserved
        self._has_key = has_key
        self.limits: dict[str, Rate] = {}

    def compiled(self, loaded: Loaded[Policy], path: Steps, name: str, then: Then) -> Obligations:
        """What the rule `name`, whose `then` is at `path`, demands."""
        if then.rate_limit is not None:
            self.limits[name] = then.rate_limit
        return Obligations(
            redact=() if then.redact is None else self._redactions(loaded, (*path, "redact"), then.redact),
            fields=() if then.response is None else (tuple(dict.fromkeys(then.response.fields)),),
            rate_limits=() if then.rate_limit is None else (name,),
            step_up=() if then.step_up is None else (step_up(then.step_up),),
            set_headers=self._headers(loaded, (*path, "set_header"), then),
            max_body=then.max_body,
        )

    def _redactions(self, loaded: Loaded[Policy], path: Steps, redact: Redact) -> tuple[Redaction, ...]:
        places = [Redaction(place.path, place.style or redact.style) for place in redact.response]
        if not self._has_key and any(place.style is Style.HASH for place in places):
            hint = "add `redaction: {key: {env: NAME}}` to the configuration: 32 random bytes or more"
            self._problems.append(loaded.problem(path, "`hash` needs a key, and there is none", hint))
        return tuple(places)

    def _headers(self, loaded: Loaded[Policy], path: Steps, then: Then) -> tuple[SetHeader, ...]:
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
            elif (found := self._expression(loaded, (*at, "cel"), value.cel)) is not None:
                made[key] = SetHeader(lower, value=found)
        return tuple(made.values())

    def _expression(self, loaded: Loaded[Policy], path: Steps, source: str) -> "Expression | None":
        try:
            return Expression(source)
        except CelError as error:
            self._problems.append(located(loaded, path, error.offset, error.message, error.hint))
            return None


class Expression:
    """An expression that gives a string. Raises CelError at load; asked, one of FAULTS where it has no value."""

    __slots__ = ("_fast", "_tree")

    def __init__(self, source: str) -> None:
        self._tree = check(parse(source), POLICIES)
        if not fits(self._tree.type, STRING):
            raise CelError(f"a field's value must be a string, this is {self._tree.type}", self._tree.span[0])
        self._fast = generate(self._tree, ARGUMENTS)

    def __call__(self, principal: Any, access: Any) -> str:
        try:
            value = self._fast(principal, access)
        except FAULTS:
            value = evaluate(self._tree, (principal, access))
        if not isinstance(value, str):
            raise EvaluationError("not a string")
        return value


def step_up(written: StepUp) -> obligations.StepUp:
    """`acr: mfa` is a list of one."""
    acr = [written.acr] if isinstance(written.acr, str) else written.acr or []
    age = None if written.max_age is None else int(written.max_age)
    return obligations.StepUp(tuple(acr), tuple(written.amr or ()), age)
