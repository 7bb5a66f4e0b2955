"""From a verified identity to a principal: bindings give it roles, roles give it permissions, ceilings take some away."""

from collections.abc import Callable, Iterable, Mapping

from gateway.authz.bindings import Bindings
from gateway.authz.permissions import Numbering, narrowed
from gateway.authz.roles import Resolved
from gateway.core.principal import ANONYMOUS, Identity, Principal


class Granter:
    """Makes principals. The order of narrowing: direct permissions of a key, then the ceiling of a token's scopes."""

    __slots__ = ("_bindings", "_masks", "_now", "_numbering", "_roles")

    def __init__(self, roles: Mapping[str, Resolved], bindings: Bindings, numbering: Numbering, now: Callable[[], float]) -> None:
        """`now` tells Unix time: bindings can end."""
        self._now = now
        self._roles = roles
        self._bindings = bindings
        self._numbering = numbering
        self._masks = {name: numbering.mask(role.permissions) for name, role in roles.items()}

    def __call__(self, identity: Identity) -> Principal:
        """The principal of a verified identity as of now, see `at`."""
        now = self._now
        return self.at(identity, now())

    def at(self, identity: Identity, now: float) -> Principal:
        """The principal of a verified identity at a time. Roles that no document defines grant nothing and are left out.

        It expires with its credential, or earlier with the first binding that gave it a role: then it has to be made again.
        """
        if identity.scheme == ANONYMOUS:
            return Principal(identity)
        bound = [given for given in self._bindings.roles(identity, now) if given[0] in self._roles]
        granted = {role for role, _ in bound} | {name for name in identity.roles or () if name in self._roles}
        permissions, mask = self._of_roles(granted)
        if identity.permissions is not None:
            permissions, mask = self._direct(identity, permissions, mask, has_roles=identity.roles is not None or bool(granted))
        uncapped = mask
        if identity.scope_ceiling:
            permissions, mask = narrowed(permissions, identity.scopes), mask & self._numbering.mask(identity.scopes)
        names = {name for role in granted for name in self._roles[role].names}
        made = Principal(identity, roles=tuple(sorted(names)), permissions=permissions, mask=mask, uncapped=uncapped)
        made.expires = min((end for end in (identity.expires, *(end for _, end in bound)) if end is not None), default=None)
        made.break_glass = any(self._roles[role].break_glass for role in granted)
        return made

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
