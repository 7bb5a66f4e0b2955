"""What tells OAuth clients where to get a token for a route: metadata, and the pointer to it in challenges (RFC 9728).

Everything is rendered at load from the configuration. Nothing is said that a request could have chosen, its Host neither.
"""

import json
from collections.abc import Sequence
from typing import Final, final
from urllib.parse import urlsplit

from gateway.core.message import Field, Response
from gateway.edge.model import Resource

PREFIX: Final = "/.well-known/oauth-protected-resource"
CHALLENGE: Final = b"www-authenticate"
# Applications in browsers read it from other origins, before they have any token: it holds nothing that is anybody's.
FIELDS: Final = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"public, max-age=300"),
    (b"access-control-allow-origin", b"*"),
)


@final
class ProtectedResource:
    """One resource: its metadata document, and what its routes' challenges say besides."""

    __slots__ = ("_body", "_pointer", "path")

    def __init__(self, model: Resource, servers: Sequence[str]) -> None:
        """`servers` are the issuers whose tokens its routes accept. The model vouches for what goes into quotes here."""
        parts = urlsplit(model.url)
        self.path = PREFIX + parts.path.rstrip("/")
        members = {
            "resource": model.url,
            "authorization_servers": list(servers),
            "scopes_supported": model.scopes,
            "bearer_methods_supported": ["header"],
            "resource_name": model.name,
            "resource_documentation": model.documentation,
            "resource_policy_uri": model.policy,
            "resource_tos_uri": model.terms,
        }
        self._body = json.dumps({name: value for name, value in members.items() if value}).encode()
        scope = f', scope="{" ".join(model.scopes)}"' if model.scopes else ""
        self._pointer = f', resource_metadata="{parts.scheme}://{parts.netloc}{self.path}"{scope}'.encode("ascii")

    def metadata(self) -> Response:
        """The answer to a GET (RFC 9728 3.2)."""
        return Response(200, FIELDS, self._body)

    def pointed(self, fields: Sequence[Field]) -> list[Field]:
        """The fields of a refusal, with the pointer in each challenge (RFC 9728 5.1)."""
        return [(name, value + self._pointer if name == CHALLENGE else value) for name, value in fields]
