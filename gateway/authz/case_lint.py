"""What is wrong with policy tests before they run: names that nothing has, addresses and times that are none."""

import ipaddress
from collections.abc import Collection, Iterator

from gateway.authz.cel.values import Timestamp
from gateway.authz.document import Loaded, PolicyDocuments
from gateway.authz.model import Case, PolicyTest
from gateway.config.document import Steps
from gateway.config.validation import suggest
from gateway.core.errors import Problem


def tests(documents: PolicyDocuments, roles: Collection[str], rules: Collection[str]) -> Iterator[Problem]:
    """Everything that is wrong with the tests. Where rules were left out because of mistakes, their names are not missed."""
    for loaded in documents.tests:
        for name, subject in loaded.model.subjects.items():
            for number, role in enumerate(subject.roles or ()):
                if role not in roles:
                    path: Steps = ("subjects", name, "roles", number)
                    yield loaded.problem(path, f"unknown role {role!r}", suggest(role, sorted(roles)))
        for number, case in zip(loaded.numbers, loaded.model.cases, strict=True):
            yield from _case(loaded, number, case, rules if documents.complete else None)


def _case(loaded: Loaded[PolicyTest], number: int, case: Case, rules: Collection[str] | None) -> Iterator[Problem]:
    path: Steps = ("cases", number)
    subjects = sorted(loaded.model.subjects)
    for name in case.expect:
        if name not in loaded.model.subjects:
            yield loaded.problem((*path, "expect", name), f"unknown subject {name!r}", suggest(name, subjects), key=True)
    yield from _sees(loaded, path, case)
    if case.rule is not None and rules is not None and case.rule not in rules:
        yield loaded.problem((*path, "rule"), f"unknown rule {case.rule!r}", suggest(case.rule, sorted(rules)))
    try:
        ipaddress.ip_address(case.from_)
    except ValueError:
        yield loaded.problem((*path, "from"), "not an IP address")
    try:
        Timestamp.parse(case.now or "2026-01-01T00:00:00Z")
    except ValueError as error:
        yield loaded.problem((*path, "now"), str(error))


def _sees(loaded: Loaded[PolicyTest], path: Steps, case: Case) -> Iterator[Problem]:
    """Of an answer it is said for everybody who is allowed what they see, and for nobody else."""
    allowed = sorted(name for name, outcome in case.expect.items() if outcome == "allow")
    if case.response is None and case.sees:
        yield loaded.problem((*path, "sees"), "`sees` needs `response`: what the upstream answers", key=True)
    for name in case.sees:
        if name not in allowed:
            what = f"{name!r} is not expected to be allowed, and sees nothing"
            yield loaded.problem((*path, "sees", name), what, suggest(name, allowed), key=True)
    for name in allowed if case.response is not None else ():
        if name not in case.sees:
            yield loaded.problem((*path, "response"), f"`sees` does not say what {name!r} sees of this answer", key=True)
