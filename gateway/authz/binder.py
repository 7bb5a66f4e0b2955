"""Bindings as they are written, to what gives roles."""

from collections.abc import Iterable

from gateway.authz import lint
from gateway.authz.bindings import Bindings, ByClaim, ByCondition, ByGroup
from gateway.authz.cel.environment import Environment
from gateway.authz.cel.values import NANOSECONDS, Timestamp
from gateway.authz.conditions import Conditions, written
from gateway.authz.document import Loaded
from gateway.authz.model import SUBJECT, Binding, Roles
from gateway.authz.roles import Resolved
from gateway.config.document import Steps
from gateway.config.validation import suggest
from gateway.core.errors import Problem


class Binder:
    """Compiles the bindings of all documents and collects what is wrong with them."""

    def __init__(
        self,
        roles: dict[str, Resolved],
        issuers: frozenset[str],
        conditions: Conditions,
        scope: Environment,
        problems: list[Problem],
        now: float,
    ) -> None:
        self._roles = roles
        self._issuers = issuers
        self._conditions = conditions
        self._scope = scope
        self._problems = problems
        self._now = now

    def bindings(self, documents: Iterable[Loaded[Roles]]) -> Bindings:
        """All bindings of all documents."""
        bindings = Bindings()
        for loaded in documents:
            for number, binding in zip(loaded.numbers, loaded.model.bindings, strict=True):
                self._bind(loaded, ("bindings", number), binding, bindings)
        return bindings

    def _bind(self, loaded: Loaded[Roles], path: Steps, binding: Binding, bindings: Bindings) -> None:
        expires = None if binding.expires_at is None else Timestamp.parse(binding.expires_at).nanoseconds / NANOSECONDS
        self._problems.extend(lint.expired(loaded, (*path, "expires_at"), binding.expires_at, self._now))
        if expires is None:
            held = [name for name in binding.only or [binding.role or ""] if name in self._roles]
            self._problems.extend(lint.unending(loaded, path, name) for name in held if self._roles[name].break_glass)
        if binding.from_claim is not None and binding.issuer is not None and binding.only is not None:
            self._known_issuer(loaded, (*path, "issuer"), binding.issuer)
            for number, name in enumerate(binding.only):
                self._known_role(loaded, (*path, "only", number), name)
            bindings.others.append(ByClaim(binding.from_claim, binding.issuer, frozenset(binding.only), expires))
        elif binding.role is not None:
            self._known_role(loaded, (*path, "role"), binding.role)
            self._bind_role(loaded, path, binding, binding.role, bindings, expires)

    def _bind_role(
        self, loaded: Loaded[Roles], path: Steps, binding: Binding, role: str, bindings: Bindings, expires: float | None
    ) -> None:
        for subject in self._whose(loaded, (*path, "subjects"), binding.subjects):
            bindings.by_subject.setdefault(subject, []).append((role, expires))
        if groups := self._whose(loaded, (*path, "groups"), binding.groups):
            bindings.others.append(ByGroup(role, frozenset(groups), expires))
        parts = written((*path, "when"), binding.when)
        if parts and (condition := self._conditions.compiled(loaded, parts, self._scope)):
            bindings.others.append(ByCondition(role, condition, expires))
            self._problems.extend(lint.any_issuer(loaded, (*path, "when"), condition, self._issuers))

    def _whose(self, loaded: Loaded[Roles], path: Steps, texts: list[str] | None) -> list[tuple[str, str]]:
        """`issuer:name` as pairs."""
        found = [match for text in texts or () if (match := SUBJECT.fullmatch(text))]
        for number, match in enumerate(found):
            self._known_issuer(loaded, (*path, number), match[1])
        return [(match[1], match[2]) for match in found]

    def _known_issuer(self, loaded: Loaded[Roles], path: Steps, issuer: str) -> None:
        if issuer not in self._issuers:
            self._problems.append(loaded.problem(path, f"unknown issuer {issuer!r}", suggest(issuer, sorted(self._issuers))))

    def _known_role(self, loaded: Loaded[Roles], path: Steps, role: str) -> None:
        if role not in self._roles:
            self._problems.append(loaded.problem(path, f"unknown role {role!r}", suggest(role, sorted(self._roles))))
