"""`grant_type=client_credentials` (RFC 6749 4.4): a client's token for itself, and what an API key is traded for."""

from typing import Any, Final

from gateway.core.principal import Identity
from gateway.tokens import errors
from gateway.tokens.asked import ROUTE, Asked
from gateway.tokens.clients import Client
from gateway.tokens.mint import CLIENTS, SCHEME, Terms
from gateway.tokens.narrowing import with_routes, with_scopes
from gateway.tokens.service import House, allowed

GRANT: Final = "client_credentials"


def client_credentials(house: House) -> Any:
    """What answers it."""

    async def answer(asked: Asked) -> dict[str, Any]:
        source, key = _source(asked)
        scopes = asked.form.words("scope")
        source = with_routes(with_scopes(source, scopes), asked.form.words("routes", ROUTE))
        terms = Terms(
            source=source,
            client=None if asked.client is None else asked.client.id,
            audience=house.audience(asked),
            confirmation=asked.confirmation,
            key=key,
            scope=scopes,
            budget=asked.form.number("budget"),
            lifetime=asked.form.number("expires_in"),
        )
        return house.issue(asked, terms, GRANT).answer(house.clock.now())

    return answer


def _source(asked: Asked) -> tuple[Identity, str | None]:
    """Who asks, and the name of the API key he did it with."""
    if asked.holder is not None:
        return asked.holder, asked.key
    if asked.client is None:
        raise errors.missing("no client says who it is")
    allowed(asked.client, GRANT)
    return itself(asked.client), None


def itself(client: Client) -> Identity:
    """A client as a principal: its scopes, where it has some, are all that its roles give at most."""
    scopes = tuple(client.model.scopes)
    return Identity(id=client.id, issuer=CLIENTS, scheme=SCHEME, credential_id=client.id, scopes=scopes, scope_ceiling=bool(scopes))
