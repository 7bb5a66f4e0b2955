"""The token endpoint (RFC 6749 3.2): `token`."""

import json
from collections.abc import Iterator
from typing import final

from gateway.core.exchange import Exchange
from gateway.core.message import Request, Response
from gateway.portal.asked import Place
from gateway.tokens.asked import form
from gateway.tokens.service import Service


@final
class TokenPortal:
    """Answers for one configuration. What is refused is told as JSON by whoever renders errors."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def places(self) -> Iterator[Place]:
        """Every path below the portal's prefix, with its method and what answers there."""
        yield Place("token", "POST", self.token)

    async def token(self, request: Request, exchange: Exchange) -> Response:
        """A token for whoever proves to deserve one."""
        answer = await self._service.answer(await form(request), request, exchange)
        fields = [(b"content-type", b"application/json"), (b"cache-control", b"no-store"), (b"pragma", b"no-cache")]
        return Response(200, fields, json.dumps(answer).encode("ascii"))
