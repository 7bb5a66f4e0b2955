"""The gateway's own token of an OAuth 2.0 server: client credentials (RFC 6749 4.4), for a resource (RFC 8707)."""

from collections.abc import Iterable

from gateway.core.decision import Permit
from gateway.core.message import Outbound
from gateway.credentials.endpoint import TokenEndpoint
from gateway.credentials.token import Fresh, Wanted


class ClientCredentialsRecipe:
    """One token for every request."""

    def __init__(self, endpoint: TokenEndpoint, asked_for: Iterable[tuple[str, str]]) -> None:
        self._endpoint = endpoint
        self._parameters = [("grant_type", "client_credentials"), *asked_for]
        self._wanted = Wanted("", self._mint)

    def __call__(self, outbound: Outbound, permit: Permit) -> Wanted:
        return self._wanted

    async def _mint(self) -> Fresh:
        return await self._endpoint.ask(self._parameters)


def asked(scope: Iterable[str], audience: Iterable[str] = (), resource: Iterable[str] = ()) -> list[tuple[str, str]]:
    """What a token shall be good for. `audience` and `resource` may come several times (RFC 8693 2.1, RFC 8707 2)."""
    wide = " ".join(scope)
    told = [("scope", wide)] if wide else []
    return [*told, *(("audience", name) for name in audience), *(("resource", url) for url in resource)]
