"""Policy files to models, with a place for every problem. One document a file; tests stand in files ending `_test.yaml`."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Generic, TypeVar

from pydantic import BaseModel

from gateway.authz.model import KINDS, IpSets, Policy, PolicyTest, Roles
from gateway.authz.salvage import PARTS, salvaged
from gateway.config.document import Document, Steps
from gateway.config.validation import suggest, validate
from gateway.core.errors import Problem

TESTS: Final = ("_test.yaml", "_test.yml")

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Loaded(Generic[M]):
    """A model and the document it came from. `numbers` are the places in the file of its rules, bindings or cases: those of
    a document with mistakes have gaps where a bad one was left out."""

    model: M
    document: Document
    numbers: tuple[int, ...]

    def problem(self, path: Steps, message: str, hint: str = "", *, key: bool = False, severity: str = "error") -> Problem:
        """A problem at the node of `path`, or at its key."""
        return self.document.problem(path, message, hint, key=key, severity=severity)

    def place(self, path: Steps) -> str:
        """`file:line` of a node."""
        return f"{self.document.file}:{self.document.place(path)[0]}"


@dataclass(slots=True)
class PolicyDocuments:
    """All policy files, by kind, in the order of their paths. `revision` is a digest of their names and texts."""

    roles: list[Loaded[Roles]] = field(default_factory=list)
    policies: list[Loaded[Policy]] = field(default_factory=list)
    sets: list[Loaded[IpSets]] = field(default_factory=list)
    tests: list[Loaded[PolicyTest]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    revision: str = ""

    @property
    def complete(self) -> bool:
        """Whether nothing was left out because of a mistake."""
        return not any(problem.severity == "error" for problem in self.problems)


def from_documents(found: Iterable[Document]) -> PolicyDocuments:
    """Documents as they were read, sorted by kind. Problems are collected, those of the reading first, never raised."""
    documents = PolicyDocuments()
    digest = hashlib.sha256()
    for document in found:
        file = Path(document.file)
        digest.update(f"{file.name}\0{document.text}\0".encode("utf-8", "surrogatepass"))
        _sort(document, file, documents)
    documents.revision = digest.hexdigest()[:12]
    documents.problems.extend(_repeated(documents))
    return documents


def _sort(document: Document, file: Path, documents: PolicyDocuments) -> None:
    """Validate a document as the kind it says it is, and put it where it belongs."""
    documents.problems.extend(document.problems)
    if not isinstance(document.value, dict):
        if not document.problems:
            documents.problems.append(document.problem((), "is not a policy document", "it begins with apiVersion and kind"))
        return
    kind = document.value.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        shown = f"unknown kind {kind!r}" if isinstance(kind, str) else "`kind` is required"
        documents.problems.append(document.problem(("kind",), shown, suggest(kind, list(KINDS)) or f"known: {', '.join(KINDS)}"))
        return
    if (kind == "PolicyTest") is not file.name.endswith(TESTS):
        hint = "name the file …_test.yaml" if kind == "PolicyTest" else "…_test.yaml files are of kind PolicyTest"
        documents.problems.append(document.problem(("kind",), f"{kind} in a file of this name", hint))
        return
    _validated(kind, document, documents)


def _validated(kind: str, document: Document, documents: PolicyDocuments) -> None:
    model: BaseModel | None
    model, problems = validate(KINDS[kind], document)
    documents.problems.extend(problems)
    if model is None:
        model, numbers = salvaged(kind, document.value)
    else:
        numbers = tuple(range(len(document.value.get(PARTS[kind][0], ())))) if kind in PARTS else ()
    match model:
        case Roles():
            documents.roles.append(Loaded(model, document, numbers))
        case Policy():
            documents.policies.append(Loaded(model, document, numbers))
        case IpSets():
            documents.sets.append(Loaded(model, document, numbers))
        case PolicyTest():
            documents.tests.append(Loaded(model, document, numbers))
        case _:
            return


def _repeated(documents: PolicyDocuments) -> Iterator[Problem]:
    """Names that stand twice: policies and tests over all files, rules within their policy."""
    for group in (documents.policies, documents.tests):
        first: dict[str, str] = {}
        for loaded in group:
            name = loaded.model.name
            if name in first:
                yield loaded.problem(("name",), f"the name {name!r} is used twice", f"first in {first[name]}")
            first.setdefault(name, loaded.place(("name",)))
    for policy in documents.policies:
        yield from _repeated_rules(policy)
    yield from _repeated_sets(documents.sets)


def _repeated_sets(found: list[Loaded[IpSets]]) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for loaded in found:
        for name in loaded.model.sets:
            path = ("sets", name)
            if name in first:
                yield loaded.problem(path, f"the set {name!r} is defined twice", f"first in {first[name]}", key=True)
            first.setdefault(name, loaded.place(path))


def _repeated_rules(policy: Loaded[Policy]) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for number, rule in zip(policy.numbers, policy.model.rules, strict=True):
        path = ("rules", number, "name")
        if rule.name in first:
            yield policy.problem(path, f"the rule name {rule.name!r} is used twice", f"first in {first[rule.name]}")
        first.setdefault(rule.name, policy.place(path))
