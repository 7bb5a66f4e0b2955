"""Policy tests: each case asks one request for each subject, through the very code that decides live requests."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.authz.cel.values import NANOSECONDS, Timestamp
from gateway.authz.demanded import challenged, described, missed
from gateway.authz.demanded import expected as demanded
from gateway.authz.document import Loaded, PolicyDocuments
from gateway.authz.explain import Explanation, explain
from gateway.authz.model import Case, PolicyTest, Subject
from gateway.authz.policy import Policies, enforce
from gateway.authz.seen import See, unlike
from gateway.core.decision import AccessRequest, Decision
from gateway.core.errors import GatewayError
from gateway.core.message import NO_BODY, Field, Head, Request
from gateway.core.principal import Identity

NOW: Final = "2026-01-01T12:00:00Z"
"""The time of a case that states none."""

Match = Callable[[str, str, str], tuple[str, Mapping[str, str]] | None]
"""(method, path, host) -> the route's name and its decoded parameters, None when no route claims the request."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which cases are run, and when they believe to be asked: `now` is the time of a case that states none, RFC 3339.

    `files` are resolved paths of test files, none of them for all; `text` is part of a test's, a case's or a request's name,
    compared without case.
    """

    files: frozenset[Path] = frozenset()
    text: str = ""
    now: str = NOW

    @property
    def is_all(self) -> bool:
        return not self.files and not self.text

    def has(self, loaded: Loaded[PolicyTest], case: Case) -> bool:
        """Whether a case is run."""
        if self.files and Path(loaded.document.file).resolve() not in self.files:
            return False
        names = (loaded.model.name, case.name or "", case.request)
        return any(self.text.casefold() in name.casefold() for name in names)


EVERY: Final = Chosen()


@dataclass(frozen=True, slots=True)
class Asked:
    """Who is asked: policies behind routes, at a time, and what shapes answers."""

    policies: Policies
    match: Match
    now: str
    see: See | None

    def explained(self, case: Case, who: Identity) -> Explanation | None:
        """None when no route claims the request. Raises GatewayError where admitting, routing or deciding does."""
        access = access_request(case, self.policies, self.match, self.now)
        return None if access is None else explain(self.policies, self.policies.grant.at(who, access.now), access)


@dataclass(frozen=True, slots=True)
class Result:
    """One subject's answer to one case, which stands at `place` and `column`. `message` says what is wrong when it did not pass."""

    test: str
    case: str
    place: str
    subject: str
    expected: str
    actual: str
    rule: str | None
    message: str
    explanation: Explanation | None
    column: int = 1

    @property
    def passed(self) -> bool:
        return not self.message


@dataclass(slots=True)
class Coverage:
    """Which outcomes of one rule the cases have seen. A rule without permission and condition can only match."""

    rule: str
    place: str
    can_miss: bool
    matched: bool = False
    missed: bool = False

    @property
    def complete(self) -> bool:
        return self.matched and (self.missed or not self.can_miss)


@dataclass(frozen=True, slots=True)
class Report:
    """All results and the coverage of all rules."""

    results: tuple[Result, ...]
    coverage: tuple[Coverage, ...]

    @property
    def passed(self) -> int:
        return sum(result.passed for result in self.results)

    @property
    def failed(self) -> int:
        return len(self.results) - self.passed

    @property
    def covered(self) -> int:
        """Rules that were seen in both outcomes."""
        return sum(each.complete for each in self.coverage)

    @property
    def percent(self) -> float:
        """Of all rules, those seen in both outcomes; 100 where there are none."""
        return 100 * self.covered / len(self.coverage) if self.coverage else 100.0


def run(documents: PolicyDocuments, policies: Policies, match: Match, chosen: Chosen = EVERY, *, see: See | None = None) -> Report:
    """Run the chosen cases of all tests. The tests' names must have been checked by `compile_policies`.

    `see` shapes the answers of those that state one; without it they fail.
    """
    coverage = {rule.name: Coverage(rule.name, rule.place, rule.need != 0 or rule.condition is not None) for rule in policies.rules}
    results: list[Result] = []
    for loaded in documents.tests:
        identities = {name: identity(name, subject) for name, subject in loaded.model.subjects.items()}
        for number, case in zip(loaded.numbers, loaded.model.cases, strict=True):
            if not chosen.has(loaded, case):
                continue
            for result in _case(loaded, number, case, identities, Asked(policies, match, chosen.now, see)):
                results.append(result)
                _cover(coverage, result.explanation)
    return Report(tuple(results), tuple(coverage.values()))


def identity(name: str, subject: Subject) -> Identity:
    """What an authenticator would have verified of a test's subject; its id is its name where none is stated."""
    return Identity(
        id=subject.id or name,
        issuer=subject.issuer,
        scheme=subject.scheme,
        claims=subject.claims,
        groups=tuple(subject.groups),
        scopes=tuple(subject.scopes),
        scope_ceiling=subject.scope_ceiling,
        roles=None if subject.roles is None else tuple(subject.roles),
        permissions=None if subject.permissions is None else tuple(subject.permissions),
    )


def access_request(case: Case, policies: Policies, match: Match, now: str = NOW) -> AccessRequest | None:
    """The question of a case, None when no route claims its request. Raises GatewayError where admitting or routing does."""
    method, _, target = case.request.partition(" ")
    path, mark, query = target.partition("?")
    host = case.host.lower()
    found = match(method, path, host)
    if found is None:
        return None
    route, params = found
    fields = [
        (name.lower().encode(), text.encode())
        for name, value in case.headers.items()
        for text in ([value] if isinstance(value, str) else value)
    ]
    access = AccessRequest(
        imagined(method, path, query=query.encode() if mark else None, host=host, client=case.from_, headers=fields),
        route,
        policies.facts[route].upstream,
        params,
        Timestamp.parse(case.now or now).nanoseconds / NANOSECONDS,
    )
    if "body" in case.model_fields_set:
        access.body = case.body
    return access


def imagined(
    method: str, path: str, *, query: bytes | None = None, host: str = "", client: str, headers: Sequence[Field] = ()
) -> Request:
    """A request that nobody sent, to ask policies about; it is never served."""
    names = [name for name, _ in headers]
    head = Head(
        host=host,
        authority=host,
        version="1.1",
        headers=list(headers),
        fields=dict(reversed(headers)),
        repeated=frozenset(name for name in names if names.count(name) > 1),
        peer=client,
        client=client,
        secure=True,
        trusted=False,
        forwarded=(),
        certificate=None,
        listener="default",
    )
    return Request(head, method, path, tuple(path.split("/")[1:]), query, NO_BODY)


def _case(
    loaded: Loaded[PolicyTest], number: int, case: Case, identities: Mapping[str, Identity], asked: Asked
) -> Iterator[Result]:
    place, (_, column) = loaded.place(("cases", number)), loaded.document.place(("cases", number))
    for name, who in identities.items():
        expected = case.expect.get(name, "deny")
        explanation: Explanation | None = None
        try:
            explanation = asked.explained(case, who)
            message = _judged(case, name, expected, explanation, asked)
        except GatewayError as error:
            message = "" if expected == "deny" and case.rule is None else f"refused before any rule: {error.reason}"
        actual = _outcome(explanation) if explanation is not None else "deny"
        rule = explanation.decision.rule if explanation is not None else None
        yield Result(
            loaded.model.name, case.name or case.request, place, name, expected, actual, rule, message, explanation, column
        )


def _judged(case: Case, subject: str, expected: str, explanation: Explanation | None, asked: Asked) -> str:
    """What is wrong, "" when nothing is."""
    if explanation is None:
        return "no route claims this request"
    decision, actual = explanation.decision, _outcome(explanation)
    if actual != expected:
        return f"expected {expected}, got {actual}" + (f" by {decision.rule}" if decision.rule else "")
    if subject not in case.expect:
        return ""
    if case.then is not None and expected == "allow":
        found = described(asked.policies, decision, explanation.principal, explanation.access)
        if message := missed(demanded(case.then), found):
            return message
    if case.rule is not None and (message := _by_rule(case.rule, decision, asked.policies)):
        return message
    if expected != "allow":
        return ""
    return unlike(case, subject, enforce(explanation.principal, explanation.access, decision), asked.see)


def _by_rule(wanted: str, decision: Decision, policies: Policies) -> str:
    """What is wrong with the rule that decided, of a case that names one of the same effect."""
    allows = next(rule.allows for rule in policies.rules if rule.name == wanted)
    if allows is decision.allowed and decision.rule != wanted:
        return f"expected rule {wanted}, got {decision.rule or 'default deny'}"
    return ""


def _outcome(explanation: Explanation) -> str:
    """What the client would be answered: an allow may still ask for a stronger login first."""
    decision = explanation.decision
    return "challenge" if challenged(decision, explanation.principal, explanation.access) else decision.effect


def _cover(coverage: Mapping[str, Coverage], explanation: Explanation | None) -> None:
    for trace in explanation.rules if explanation is not None else ():
        seen = coverage[trace.rule.name]
        seen.matched |= trace.matched is True
        seen.missed |= trace.matched is False
