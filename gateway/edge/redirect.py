"""The plain-HTTP port beside a TLS listener: it sends readers to https and refuses everything else.

A request that carried a secret in clear must fail loudly rather than be repeated over TLS as if nothing had happened
(ASVS 4.1.2), so only GET and HEAD are redirected, with 308 (RFC 9110 15.4.9).
"""

from typing import Final

from gateway.core.errors import Forbidden
from gateway.core.message import Request, Response
from gateway.core.reason import Reason
from gateway.edge.model import Listen

READING: Final = frozenset(("GET", "HEAD"))
STANDARD: Final = "443"


class Redirect:
    """Answers the requests of one redirect port; `listen` is the TLS listener beside it."""

    def __init__(self, listen: Listen) -> None:
        port = listen.address.rpartition(":")[2]
        self._port = "" if port == STANDARD else f":{port}"

    def __call__(self, request: Request) -> Response:
        """308 to the same host and path, or Forbidden (tls-required)."""
        if request.method not in READING:
            raise Forbidden("plain HTTP", reason=Reason.TLS_REQUIRED, close=True)
        query = b"?" + request.query if request.query is not None else b""
        location = f"https://{request.head.host}{self._port}{request.path}".encode("ascii") + query
        return Response(308, [(b"location", location)], close=True)
