"""Who is asking."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.core.route_scope import RouteScope

ANONYMOUS: Final = "anonymous"
"""Scheme, issuer and id of everybody who is not asked who he is (CONTRACT 3)."""
OWN_ISSUERS: Final = frozenset({"api_keys", "clients", "mtls"})
"""Where principals come from whom no token issuer vouches for."""


class Identity:
    """What a scheme verified about somebody, before any role is given.

    `issuer` and `id` together are the principal; `roles` and `permissions` are direct grants (API keys only; None means
    "none stated", so that roles and permissions together narrow, CONTRACT 2). `scope_ceiling` bounds what roles give by
    `scopes`. `credential_id` names the credential in the audit trail, never its value. `expires` is a Unix time or None.
    `routes` are those the credential is for, None for any.
    """

    __slots__ = (
        "claims",
        "credential_id",
        "expires",
        "groups",
        "id",
        "issuer",
        "permissions",
        "roles",
        "routes",
        "scheme",
        "scope_ceiling",
        "scopes",
    )

    def __init__(
        self,
        *,
        id: str,
        issuer: str,
        scheme: str,
        credential_id: str | None = None,
        claims: Mapping[str, Any] | None = None,
        groups: tuple[str, ...] = (),
        scopes: tuple[str, ...] = (),
        scope_ceiling: bool = False,
        roles: tuple[str, ...] | None = None,
        permissions: tuple[str, ...] | None = None,
        expires: float | None = None,
        routes: RouteScope | None = None,
    ) -> None:
        self.id = id
        self.issuer = issuer
        self.scheme = scheme
        self.credential_id = credential_id
        self.claims: Mapping[str, Any] = claims if claims is not None else {}
        self.groups = groups
        self.scopes = scopes
        self.scope_ceiling = scope_ceiling
        self.roles = roles
        self.permissions = permissions
        self.expires = expires
        self.routes = routes

    def copy(self) -> "Identity":
        """Another one of the same, to be changed."""
        return Identity(
            id=self.id,
            issuer=self.issuer,
            scheme=self.scheme,
            credential_id=self.credential_id,
            claims=self.claims,
            groups=self.groups,
            scopes=self.scopes,
            scope_ceiling=self.scope_ceiling,
            roles=self.roles,
            permissions=self.permissions,
            expires=self.expires,
            routes=self.routes,
        )


NOBODY: Final = Identity(id=ANONYMOUS, issuer=ANONYMOUS, scheme=ANONYMOUS)
"""Whoever is not asked."""


class Principal:
    """The authenticated identity with what it was granted. Frozen in spirit; may be cached with its credential.

    `key` is (issuer, id) as one collision-free string: everything kept per principal uses it. `roles` and `permissions`
    are sorted tuples as conditions see them (wildcards unexpanded); `mask` is the granted permissions as a bit set in the
    numbering of the policy that made it, `uncapped` the same before a scope ceiling. `expires` is when its credential ends, or
    one of its roles does. `break_glass` tells that it holds a role whose every use is audited in full.
    `routes` are those the credential is for, None for any: policies deny every other, and what is issued for a principal must be
    bound to them too.
    """

    __slots__ = (
        "break_glass",
        "claims",
        "credential_id",
        "expires",
        "groups",
        "id",
        "issuer",
        "key",
        "mask",
        "permissions",
        "roles",
        "routes",
        "scheme",
        "scopes",
        "uncapped",
    )

    def __init__(
        self,
        identity: Identity,
        *,
        roles: tuple[str, ...] = (),
        permissions: tuple[str, ...] = (),
        mask: int = 0,
        uncapped: int = 0,
    ) -> None:
        self.id = identity.id
        self.issuer = identity.issuer
        self.key = f"{len(identity.issuer)}:{identity.issuer}:{identity.id}"
        self.scheme = identity.scheme
        self.credential_id = identity.credential_id
        self.claims = identity.claims
        self.groups = identity.groups
        self.scopes = identity.scopes
        self.expires = identity.expires
        self.routes = identity.routes
        self.roles = roles
        self.permissions = permissions
        self.mask = mask
        self.uncapped = uncapped
        self.break_glass = False
