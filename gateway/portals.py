"""Everything the gateway itself answers below `portal.prefix`, beside its keys and its catalogue of tools."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

from gateway.authn.login.logins import Logins
from gateway.core.ports import Tally
from gateway.resources import Resources
from gateway.settings import Settings

if TYPE_CHECKING:
    from gateway.credentials.grants.office import Office
    from gateway.portal.asked import Place
    from gateway.tokens.consents import Consents
    from gateway.tokens.metadata import ServerMetadata
    from gateway.tokens.service import Service


class Portal(Protocol):
    """Endpoints of one purpose."""

    def places(self) -> "Iterator[Place]":
        """Every path below the prefix, with its method and what answers there."""


def portals(logins: Logins | None, *others: Portal | None) -> list[Portal]:
    """Those of one configuration; `others` are None where they answer nothing."""
    made: list[Portal] = []
    if logins is not None:
        from gateway.portal.login import LoginPortal

        made.append(LoginPortal(logins))
    return made + [each for each in others if each is not None]


def connections(settings: Settings, logins: Logins | None, resources: Resources, office: Callable[[], "Office"]) -> Portal | None:
    """Where people connect their accounts, None where no provider says that they can. Raises ValueError for what that lacks."""
    named = {name: model for name, model in settings.providers.items() if model.connect is not None}
    if not named or logins is None:
        return None
    from gateway.credentials.grants.office import connecting
    from gateway.portal.connections import ConnectionPortal
    from gateway.portal.uses import uses
    from gateway.store.tally import MemoryTally

    typed: Tally = resources.stores.kept.take("typed", "memory", lambda: MemoryTally(resources.clock, resources.metrics))
    made = {name: connecting(name, model, office()) for name, model in named.items()}
    return ConnectionPortal(logins, made, uses(settings), resources.stores.changed, resources.clock, typed)


def tokens(service: "Service | None", consents: "Consents | None", metadata: "ServerMetadata | None") -> list[Portal]:
    """Where clients ask for tokens, and people allow them to; nothing where the gateway issues none."""
    if service is None or metadata is None:
        return []
    from gateway.portal.allowed import AllowedPortal
    from gateway.portal.authorize import AuthorizePortal
    from gateway.portal.issued import IssuedPortal
    from gateway.portal.token import TokenPortal

    told = IssuedPortal(service.house, None if consents is None else consents.families, metadata)
    asking: list[Portal] = [] if consents is None else [AuthorizePortal(consents), AllowedPortal(consents)]
    return [TokenPortal(service), told, *asking]
