"""Which binding gave which role, for people who ask why somebody may."""

from collections.abc import Iterator
from dataclasses import replace

from gateway.authz.binder import Binder
from gateway.authz.conditions import Conditions
from gateway.authz.document import PolicyDocuments
from gateway.authz.roles import resolve
from gateway.authz.scope import scopes
from gateway.core.principal import ANONYMOUS, Identity, Principal


def given(documents: PolicyDocuments, principal: Principal, now: float) -> dict[str, str]:
    """The roles of a principal at a time, each with the `file:line` of the first binding that gave it, or how else it came."""
    if principal.scheme == ANONYMOUS:
        return {}
    roles, _ = resolve(documents.roles)
    found: dict[str, str] = {}
    for role, place in _bound(documents, principal, now):
        found.setdefault(role, place)
    for role in principal.roles:
        by = next((other for other in found if other in roles and role in roles[other].names), None)
        found.setdefault(role, f"through {by}" if by is not None else "stated with the credential")
    return {role: found[role] for role in principal.roles}


def _bound(documents: PolicyDocuments, principal: Principal, now: float) -> Iterator[tuple[str, str]]:
    """Each binding compiled by itself and asked."""
    roles, _ = resolve(documents.roles)
    identity = Identity(
        id=principal.id,
        issuer=principal.issuer,
        scheme=principal.scheme,
        claims=principal.claims,
        groups=principal.groups,
        scopes=principal.scopes,
    )
    binder = Binder(roles, frozenset(), Conditions([]), scopes(documents.sets).bindings, [], now)
    for loaded in documents.roles:
        for number, binding in zip(loaded.numbers, loaded.model.bindings, strict=True):
            alone = replace(loaded, model=loaded.model.model_copy(update={"bindings": [binding]}), numbers=(number,))
            for role, _ in binder.bindings([alone]).roles(identity, now):
                yield role, loaded.place(("bindings", number))
