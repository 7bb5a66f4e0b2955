"""From a verified identity to a principal: bindings give it roles, roles give it permissions, ceilings take some away."""

from collections.abc import Iterable, Mapping

from gateway.authz.bindings import Bindings
from gateway.authz.permissions import Numbering, narrowed
from gateway.authz.roles import Resolved
from gateway.core.principal import ANONYMOUS, Identity, Principal


class Granter:
    """Makes principals. The order of narrowing: direct permissions of a key, then the ceiling of a token's scopes."""

    __slots__ = ("_bindings", "_masks", "_numbering", "_roles")

    def __init__(self, roles: Mapping[str, Resolved], bindings: Bindings, numbering: Numbering) -> None:
        self._roles = roles
        self._bindings = bindings
        self._numbering = numbering
        self._masks = {name: numbering.mask(role.permissions) for name, role in roles.items()}

    def __call__(self, identity: Identity) -> Principal:
        """The principal of a verified identity. Roles that no document defines grant nothing and are left out."""
        if identity.scheme == ANONYMOUS:
            return Principal(identity)
        granted = {name for name in (*(identity.roles or ()), *self._bindings.roles(identity)) if name in self._roles}
        permissions, mask = self._of_roles(granted)
        if identity.permissions is not None:
            permissions, mask = self._direct(identity, permissions, mask, has_roles=identity.roles is not None or bool(granted))
        uncapped = mask
        if identity.scope_ceiling:
            permissions, mask = narrowed(permissions, identity.scopes), mask & self._numbering.mask(identity.scopes)
        names = {name for role in granted for name in self._roles[role].names}
        return Principal(identity, roles=tuple(sorted(names)), permissions=permissions, mask=mask, uncapped=uncapped)

    def closure(self, names: Iterable[str]) -> frozenset[str]:
        """Roles with all that they extend, those left out that no document defines."""
        return frozenset(name for role in names if role in self._roles for name in self._roles[role].names)

    def of_roles(self, names: Iterable[str]) -> tuple[tuple[str, ...], int]:
        """The permissions that roles give together, and their bits."""
        return self._of_roles({name for name in names if name in self._roles})

    def bits(self, permissions: Iterable[str]) -> int:
        """The bits of permissions or patterns."""
        return self._numbering.mask(permissions)

    def _of_roles(self, granted: set[str]) -> tuple[tuple[str, ...], int]:
        mask = 0
        permissions: set[str] = set()
        for name in granted:
            mask |= self._masks[name]
            permissions |= self._roles[name].permissions
        return tuple(sorted(permissions)), mask

    def _direct(
        self, identity: Identity, permissions: tuple[str, ...], mask: int, *, has_roles: bool
    ) -> tuple[tuple[str, ...], int]:
        """Permissions stated with a credential are what it can do at most; without any role they are what it can do."""
        direct = identity.permissions or ()
        if not has_roles:
            return tuple(sorted(set(direct))), self._numbering.mask(direct)
        return narrowed(permissions, direct), mask & self._numbering.mask(direct)
