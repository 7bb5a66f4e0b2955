"""Policy documents and the facts of the configuration they speak about, to Policies. All problems are collected.

What is compiled here is what is asked on every request: expressions to code, globs to routes, permissions to bits.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from gateway.authz import case_lint, lint
from gateway.authz.attributes import BINDINGS, POLICIES
from gateway.authz.bindings import Bindings, ByClaim, ByCondition
from gateway.authz.cel.condition import Clause, Condition, clause
from gateway.authz.cel.environment import Environment
from gateway.authz.cel.errors import CelError
from gateway.authz.demands import Demands
from gateway.authz.document import Loaded, PolicyDocuments
from gateway.authz.grant import Granter
from gateway.authz.model import SUBJECT, Binding, Policy, Roles
from gateway.authz.model import Rule as RuleModel
from gateway.authz.permissions import Numbering
from gateway.authz.policy import Policies, RouteFact, RoutePolicy
from gateway.authz.roles import Resolved, resolve
from gateway.authz.rule import Rule
from gateway.config.document import Steps
from gateway.config.validation import suggest
from gateway.core.errors import Problem
from gateway.core.obligations import Obligations


def compile_policies(
    documents: PolicyDocuments,
    *,
    routes: Sequence[RouteFact],
    issuers: frozenset[str],
    reserved: Callable[[bytes], bool] = frozenset[bytes]().__contains__,
    has_key: bool = False,
) -> tuple[Policies | None, list[Problem]]:
    """Compile all documents. `issuers` are the names principals can come from: token issuers, `api_keys`, `mtls`.

    `reserved` tells which header fields no rule may set, `has_key` tells that there is a key to hash redacted values with.
    The problems are those found here together with those of `documents`; the policies are None when any is an error.
    """
    roles, problems = resolve(documents.roles)
    found = [*documents.problems, *problems]
    demands = Demands(found, reserved, has_key=has_key)
    compiler = _Compiler(routes, issuers, roles, found, demands)
    bindings = compiler.bindings(documents.roles)
    numbering = Numbering(
        rule.permission for loaded in documents.policies for rule in loaded.model.rules if rule.permission is not None
    )
    by_route: dict[str, list[Rule]] = {fact.name: [] for fact in routes}
    rules = [rule for loaded in documents.policies for rule in compiler.policy(loaded, by_route, numbering)]
    found.extend(lint.contradictions(by_route))
    if documents.complete:
        found.extend(lint.ungranted(documents, roles))
        found.extend(lint.without_rule(routes, by_route))
    found.extend(case_lint.tests(documents, roles, {rule.name for rule in rules}))
    found.sort(key=lambda problem: (problem.file, problem.line, problem.column))
    if any(problem.severity == "error" for problem in found):
        return None, found
    policies = Policies(
        Granter(roles, bindings, numbering),
        _indexed(by_route),
        facts={fact.name: fact for fact in routes},
        rules=tuple(rules),
        roles=frozenset(roles),
        revision=documents.revision,
        limits=demands.limits,
    )
    return policies, found


def _indexed(by_route: dict[str, list[Rule]]) -> dict[str, RoutePolicy]:
    """Routes that the same rules speak about share one index."""
    shared: dict[tuple[int, ...], RoutePolicy] = {}
    indexed: dict[str, RoutePolicy] = {}
    for name, rules in by_route.items():
        key = tuple(map(id, rules))
        if key not in shared:
            shared[key] = RoutePolicy(rules)
        indexed[name] = shared[key]
    return indexed


@dataclass(frozen=True, slots=True)
class _Written:
    """An expression and where it stands in its document."""

    path: Steps
    source: str
    negated: bool = False


class _Compiler:
    """Compiles the parts of documents and collects what is wrong with them."""

    def __init__(
        self,
        routes: Sequence[RouteFact],
        issuers: frozenset[str],
        roles: dict[str, Resolved],
        problems: list[Problem],
        demands: Demands,
    ) -> None:
        self._routes = {fact.name: fact for fact in routes}
        self._issuers = issuers
        self._roles = roles
        self._conditions: dict[tuple[bool, tuple[tuple[str, bool], ...]], Condition] = {}
        self.problems = problems
        self._demands = demands

    # Bindings

    def bindings(self, documents: Iterable[Loaded[Roles]]) -> Bindings:
        """All bindings of all documents."""
        bindings = Bindings()
        for loaded in documents:
            for number, binding in zip(loaded.numbers, loaded.model.bindings, strict=True):
                self._bind(loaded, ("bindings", number), binding, bindings)
        return bindings

    def _bind(self, loaded: Loaded[Roles], path: Steps, binding: Binding, bindings: Bindings) -> None:
        if binding.from_claim is not None and binding.issuer is not None and binding.only is not None:
            self._known_issuer(loaded, (*path, "issuer"), binding.issuer)
            for number, name in enumerate(binding.only):
                self._known_role(loaded, (*path, "only", number), name)
            bindings.by_claim.append(ByClaim(binding.from_claim, binding.issuer, frozenset(binding.only)))
        elif binding.role is not None:
            self._known_role(loaded, (*path, "role"), binding.role)
            self._bind_role(loaded, path, binding, binding.role, bindings)

    def _bind_role(self, loaded: Loaded[Roles], path: Steps, binding: Binding, role: str, bindings: Bindings) -> None:
        for number, subject in enumerate(binding.subjects or ()):
            if found := SUBJECT.fullmatch(subject):
                self._known_issuer(loaded, (*path, "subjects", number), found[1])
                bindings.by_subject.setdefault((found[1], found[2]), []).append(role)
        written = _written((*path, "when"), binding.when)
        if written and (condition := self._condition(loaded, written, BINDINGS)):
            bindings.by_condition.append(ByCondition(role, condition))
            self.problems.extend(lint.any_issuer(loaded, (*path, "when"), condition, self._issuers))

    def _known_issuer(self, loaded: Loaded[Roles], path: Steps, issuer: str) -> None:
        if issuer not in self._issuers:
            self.problems.append(loaded.problem(path, f"unknown issuer {issuer!r}", suggest(issuer, sorted(self._issuers))))

    def _known_role(self, loaded: Loaded[Roles], path: Steps, role: str) -> None:
        if role not in self._roles:
            self.problems.append(loaded.problem(path, f"unknown role {role!r}", suggest(role, sorted(self._roles))))

    # Policies

    def policy(self, loaded: Loaded[Policy], by_route: dict[str, list[Rule]], numbering: Numbering) -> list[Rule]:
        """The rules of one policy, added to those of the routes it speaks about."""
        covered = self.covered(loaded)
        parts = zip(loaded.numbers, loaded.model.rules, strict=True)
        compiled = [self.rule(loaded, number, model, covered, numbering) for number, model in parts]
        for fact in covered:
            by_route[fact.name].extend(compiled)
        return compiled

    def covered(self, loaded: Loaded[Policy]) -> list[RouteFact]:
        """The routes a policy speaks about."""
        names: dict[str, None] = {}
        for number, text in enumerate(loaded.model.routes):
            matching = [text] if text in self._routes else _matching(text, self._routes)
            if not matching:
                what = f"no route matches {text!r}" if "*" in text else f"unknown route {text!r}"
                self.problems.append(loaded.problem(("routes", number), what, suggest(text, sorted(self._routes))))
            names.update(dict.fromkeys(matching))
        return [self._routes[name] for name in names]

    def rule(self, loaded: Loaded[Policy], number: int, model: RuleModel, covered: list[RouteFact], numbering: Numbering) -> Rule:
        """One rule, compiled; it is the `number`th of its file."""
        path: Steps = ("rules", number)
        written = _written((*path, "when"), model.when)
        if model.unless is not None:
            written.append(_Written((*path, "unless"), model.unless, negated=True))
        condition = self._condition(loaded, written, POLICIES) if written else None
        if condition is not None:
            for part, clause in zip(written, condition.clauses, strict=True):
                self.problems.extend(lint.parameters(loaded, part.path, clause, covered))
        name = f"{loaded.model.name}/{model.name}"
        demanded = None if model.then is None else self._demands.compiled(loaded, (*path, "then"), name, model.then)
        rule = _rule(loaded, model, path, condition, numbering, demanded)
        self.problems.extend(lint.unserved(loaded, path, rule, covered))
        return rule

    def _condition(
        self, loaded: Loaded[Roles] | Loaded[Policy], written: list[_Written], environment: Environment
    ) -> Condition | None:
        """The condition of all expressions together; equal ones are compiled once. None when one of them is refused."""
        key = (environment is BINDINGS, tuple((part.source, part.negated) for part in written))
        if key in self._conditions:
            return self._conditions[key]
        clauses = [self._clause(loaded, part, environment) for part in written]
        good = [clause for clause in clauses if clause is not None]
        if len(good) < len(clauses):
            return None
        return self._conditions.setdefault(key, Condition(good))

    def _clause(self, loaded: Loaded[Roles] | Loaded[Policy], part: _Written, environment: Environment) -> Clause | None:
        try:
            return clause(part.source, environment, negated=part.negated)
        except CelError as error:
            self.problems.append(lint.located(loaded, part.path, error.offset, error.message, error.hint))
            return None


def _rule(
    loaded: Loaded[Policy],
    model: RuleModel,
    path: Steps,
    condition: Condition | None,
    numbering: Numbering,
    demanded: Obligations | None,
) -> Rule:
    methods = model.allow if model.allow is not None else model.deny
    return Rule(
        f"{loaded.model.name}/{model.name}",
        loaded.place(path),
        allows=model.allow is not None,
        methods=frozenset(methods) if isinstance(methods, list) else None,
        permission=model.permission,
        need=numbering.bit(model.permission) if model.permission is not None else 0,
        condition=condition,
        shadow="shadow" in (loaded.model.mode, model.mode),
        reason=model.reason or "",
        obligations=demanded,
    )


def _written(path: Steps, value: str | list[str] | None) -> list[_Written]:
    if value is None:
        return []
    if isinstance(value, str):
        return [_Written(path, value)]
    return [_Written((*path, number), source) for number, source in enumerate(value)]


def _matching(text: str, names: Iterable[str]) -> list[str]:
    """The names a glob matches. `*` is the only special character, and crosses dots (CONTRACT 4)."""
    if "*" not in text:
        return []
    pattern = re.compile(".*".join(re.escape(part) for part in text.split("*")), re.DOTALL)
    return [name for name in names if pattern.fullmatch(name)]
