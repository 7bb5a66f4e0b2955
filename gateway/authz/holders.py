"""Who may hold a permission, as the bindings say it: by name where they name somebody, else by what they leave to an issuer or to a
condition, which is told as such and never guessed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.authz.cel.values import NANOSECONDS, Timestamp
from gateway.authz.document import Loaded, PolicyDocuments
from gateway.authz.model import SUBJECT, Binding, Roles
from gateway.authz.permissions import covers
from gateway.authz.roles import Resolved, resolve

SUBJECT_KIND: Final = "subject"
GROUP: Final = "group"
CLAIM: Final = "claim"
CONDITION: Final = "condition"


@dataclass(frozen=True, slots=True)
class Holder:
    """One way to a permission. `kind` is subject, group, claim or condition; `issuer` is empty where any issuer's principals may be
    meant. `role` is what the binding at `place` gives; `until` is when it ends, as written.

    Only a `subject` is somebody: who is in a group and what a token claims its issuer decides, and a condition is asked of each
    principal as it comes.
    """

    kind: str
    issuer: str
    who: str
    role: str
    place: str
    until: str = ""


def holders(documents: PolicyDocuments, permission: str | None, issuers: frozenset[str], now: float) -> list[Holder]:
    """Every binding that can give a permission to principals of these issuers at a time, Unix seconds.

    None asks for no permission in particular; then no role is needed and nobody is named.
    """
    if permission is None:
        return []
    roles, _ = resolve(documents.roles)
    giving = {name for name, role in roles.items() if any(covers(pattern, permission) for pattern in role.permissions)}
    found = [each for loaded in documents.roles for each in _bound(loaded, giving, roles, now)]
    return [each for each in found if not each.issuer or each.issuer in issuers]


def _bound(loaded: Loaded[Roles], giving: set[str], roles: dict[str, Resolved], now: float) -> Iterator[Holder]:
    for number, binding in zip(loaded.numbers, loaded.model.bindings, strict=True):
        if binding.expires_at is not None and Timestamp.parse(binding.expires_at).nanoseconds <= now * NANOSECONDS:
            continue
        place, until = loaded.place(("bindings", number)), binding.expires_at or ""
        for role in (name for name in [*(binding.only or ()), binding.role or ""] if name in giving and name in roles):
            for kind, issuer, who in _whom(binding):
                yield Holder(kind, issuer, who, role, place, until)


def _whom(binding: Binding) -> Iterator[tuple[str, str, str]]:
    """The kind, the issuer and the words of whom a binding means."""
    if binding.from_claim is not None:
        yield CLAIM, binding.issuer or "", binding.from_claim
    for kind, names in ((SUBJECT_KIND, binding.subjects), (GROUP, binding.groups)):
        for match in (SUBJECT.fullmatch(name) for name in names or ()):
            if match is not None:
                yield kind, match[1], match[2]
    if binding.when is not None:
        written = [binding.when] if isinstance(binding.when, str) else binding.when
        texts = [" ".join(text.split()) for text in written]
        yield CONDITION, "", texts[0] if len(texts) == 1 else " && ".join(f"({text})" for text in texts)
