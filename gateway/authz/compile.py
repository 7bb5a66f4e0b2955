"""Policy documents and the facts of the configuration they speak about, to Policies. All problems are collected.

What is compiled here is what is asked on every request: expressions to code, globs to routes, permissions to bits.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from gateway.authz import case_lint, lint
from gateway.authz.binder import Binder
from gateway.authz.cel import tree
from gateway.authz.cel.condition import Condition
from gateway.authz.cel.environment import Environment
from gateway.authz.conditions import Conditions, Written, written
from gateway.authz.demands import Demands
from gateway.authz.document import Loaded, PolicyDocuments
from gateway.authz.model import Policy
from gateway.authz.model import Rule as RuleModel
from gateway.authz.parts import Parts, assemble
from gateway.authz.permissions import Numbering
from gateway.authz.policy import Policies, RouteFact
from gateway.authz.roles import resolve
from gateway.authz.rule import Rule
from gateway.authz.scope import Scopes, scopes
from gateway.config.document import Steps
from gateway.config.validation import suggest
from gateway.core.errors import Problem
from gateway.core.obligations import Obligations
from gateway.core.route_scope import ANY, glob

READS: Final = frozenset({"GET", "HEAD"})
BODY: Final = "request.body"


def compile_policies(
    documents: PolicyDocuments,
    *,
    routes: Sequence[RouteFact],
    issuers: frozenset[str],
    reserved: Callable[[bytes], bool] = frozenset[bytes]().__contains__,
    has_key: bool = False,
    now: Callable[[], float],
) -> tuple[Policies | None, list[Problem]]:
    """Compile all documents and put them together: `compile_parts`, and who is granted what as of `now`, Unix time."""
    parts, problems = compile_parts(documents, routes=routes, issuers=issuers, reserved=reserved, has_key=has_key, now=now())
    return None if parts is None else assemble(parts, routes, now), problems


def compile_parts(
    documents: PolicyDocuments,
    *,
    routes: Sequence[RouteFact],
    issuers: frozenset[str],
    reserved: Callable[[bytes], bool] = frozenset[bytes]().__contains__,
    has_key: bool = False,
    now: float,
) -> tuple[Parts | None, list[Problem]]:
    """Compile all documents. `issuers` are the names principals can come from: token issuers, `api_keys`, `mtls`.

    `reserved` tells which header fields no rule may set, `has_key` that there is a key to hash redacted values with,
    `now` Unix time: bindings and rules can end.
    The problems are those found here together with those of `documents`; the parts are None when any is an error.
    """
    roles, problems = resolve(documents.roles)
    found = [*documents.problems, *problems]
    demands, conditions, names = Demands(found, reserved, has_key=has_key), Conditions(found), scopes(documents.sets)
    compiler = _Compiler(routes, found, demands, names, conditions, now)
    bindings = Binder(roles, issuers, conditions, names.bindings, found, now).bindings(documents.roles)
    permissions = {rule.permission for loaded in documents.policies for rule in loaded.model.rules if rule.permission is not None}
    numbering = Numbering(permissions)
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
    numbers = {rule: number for number, rule in enumerate(rules)}
    return Parts(
        rules=tuple(rules),
        routes={name: tuple(numbers[rule] for rule in speaking) for name, speaking in by_route.items()},
        roles=roles,
        bindings=bindings,
        permissions=tuple(sorted(permissions)),
        revision=documents.revision,
        limits=demands.limits,
    ), found


class _Compiler:
    """Compiles the parts of documents and collects what is wrong with them."""

    def __init__(
        self,
        routes: Sequence[RouteFact],
        problems: list[Problem],
        demands: Demands,
        scopes: Scopes,
        conditions: Conditions,
        now: float,
    ) -> None:
        self._routes = {fact.name: fact for fact in routes}
        self.problems = problems
        self._demands = demands
        self._scopes = scopes
        self._conditions = conditions
        self._now = now

    def policy(self, loaded: Loaded[Policy], by_route: dict[str, list[Rule]], numbering: Numbering) -> list[Rule]:
        """The rules of one policy, added to those of the routes it speaks about."""
        covered = self.covered(loaded)
        scope, problems = self._scopes.of(loaded)
        self.problems.extend(problems)
        parts = zip(loaded.numbers, loaded.model.rules, strict=True)
        compiled = [self.rule(loaded, number, model, covered, numbering, scope) for number, model in parts]
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

    def rule(
        self,
        loaded: Loaded[Policy],
        number: int,
        model: RuleModel,
        covered: list[RouteFact],
        numbering: Numbering,
        scope: Environment,
    ) -> Rule:
        """One rule, compiled; it is the `number`th of its file."""
        path: Steps = ("rules", number)
        parts = written((*path, "when"), model.when)
        if model.unless is not None:
            parts.append(Written((*path, "unless"), model.unless, negated=True))
        if model.expires_at is not None:
            parts.append(Written((*path, "expires_at"), until(model.expires_at)))
            self.problems.extend(lint.expired(loaded, (*path, "expires_at"), model.expires_at, self._now))
        condition = self._conditions.compiled(loaded, parts, scope) if parts else None
        if condition is not None:
            for part, clause in zip(parts, condition.clauses, strict=True):
                self.problems.extend(lint.parameters(loaded, part.path, clause, covered))
        demanded = self._demanded(loaded, path, model, scope)
        trees = [*([condition.tree] if condition is not None else []), *self._demands.trees]
        rule = _rule(loaded, model, path, condition, numbering, demanded, reads_body=reads_body(trees))
        self.problems.extend(lint.unserved(loaded, path, rule, covered))
        return rule

    def _demanded(self, loaded: Loaded[Policy], path: Steps, model: RuleModel, scope: Environment) -> Obligations | None:
        self._demands.trees.clear()
        if model.then is None:
            return None
        name, methods = f"{loaded.model.name}/{model.name}", model.allow
        reads_only = isinstance(methods, list) and READS.issuperset(methods)
        return self._demands.compiled(loaded, (*path, "then"), name, model.then, scope, reads_only=reads_only)


def _rule(
    loaded: Loaded[Policy],
    model: RuleModel,
    path: Steps,
    condition: Condition | None,
    numbering: Numbering,
    demanded: Obligations | None,
    *,
    reads_body: bool,
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
        reads_body=reads_body,
    )


def until(moment: str) -> str:
    """The condition of what ends at a moment of RFC 3339."""
    return f"env.now < timestamp('{moment}')"


def reads_body(trees: Iterable[tree.Tree]) -> bool:
    """Whether a request's body has to be looked into before these have a value."""
    return any(isinstance(node, tree.Read) and node.name == BODY for each in trees for node in tree.walk(each))


def _matching(text: str, names: Iterable[str]) -> list[str]:
    """The names a glob matches."""
    if ANY not in text:
        return []
    pattern = glob(text)
    return [name for name in names if pattern.fullmatch(name)]
