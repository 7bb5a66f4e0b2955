"""Everything the gateway itself answers below `portal.prefix`, beside its keys and its catalogue of tools."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from gateway.authn.login.logins import Logins

if TYPE_CHECKING:
    from gateway.portal.asked import Place


class Portal(Protocol):
    """Endpoints of one purpose."""

    def places(self) -> "Iterator[Place]":
        """Every path below the prefix, with its method and what answers there."""


def portals(logins: Logins | None) -> list[Portal]:
    """Those of one configuration."""
    made: list[Portal] = []
    if logins is not None:
        from gateway.portal.login import LoginPortal

        made.append(LoginPortal(logins))
    return made
