"""What is carried on with an identity."""

import inspect
from typing import Any

from gateway.core.principal import Identity
from gateway.core.route_scope import RouteScope


def test_a_copy_carries_everything_on_and_is_another() -> None:
    told: dict[str, Any] = {
        "id": "alice",
        "issuer": "corp",
        "scheme": "jwt",
        "credential_id": "jti",
        "claims": {"iss": "x"},
        "groups": ("a",),
        "scopes": ("s",),
        "scope_ceiling": True,
        "roles": ("r",),
        "permissions": ("p:r",),
        "expires": 1.0,
        "routes": RouteScope(["things.*"]),
    }
    assert set(inspect.signature(Identity).parameters) == set(told)
    identity = Identity(**told)
    copied = identity.copy()
    assert {name: getattr(copied, name) for name in told} == told
    copied.scopes = ()
    assert identity.scopes == ("s",)
