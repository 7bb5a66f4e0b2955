"""What clients find out about the authorization server by themselves (RFC 8414): true to the configuration, rendered at load."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, final
from urllib.parse import urlsplit

from gateway.core.message import Response
from gateway.tokens.model import Client

WELL_KNOWN: Final = "/.well-known/oauth-authorization-server"
GRANTS: Final = {"token_exchange": "urn:ietf:params:oauth:grant-type:token-exchange"}
REQUIRED: Final = frozenset({"response_types_supported", "grant_types_supported"})
"""Told also where they are empty: the one has to be, the other would stand for something else."""
# As of protected resources: applications in browsers read it before they have any token.
FIELDS: Final = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"public, max-age=300"),
    (b"access-control-allow-origin", b"*"),
)


@final
class ServerMetadata:
    """The document, and the path it is at: what the issuer has for a path comes behind the well-known part (RFC 8414 3.1)."""

    def __init__(self, issuer: str, base: str, clients: Mapping[str, Client], dpop: Sequence[str]) -> None:
        """`base` is where the portal is, `dpop` the algorithms of proofs, none where none are taken."""
        self.path = WELL_KNOWN + urlsplit(issuer).path.rstrip("/")
        told = members(issuer, base, clients, dpop)
        self._body = json.dumps({name: value for name, value in told.items() if value or name in REQUIRED}).encode()

    def response(self) -> Response:
        """The answer to a GET."""
        return Response(200, FIELDS, self._body)


def members(issuer: str, base: str, clients: Mapping[str, Client], dpop: Sequence[str]) -> dict[str, Any]:
    """What is told; what is empty is left out."""
    models = list(clients.values())
    grants = {grant for model in models for grant in model.grants}
    proved = sorted({model.auth for model in models} - {"none"})
    signing = sorted({each for model in models if model.auth == "private_key_jwt" for each in model.algorithms})
    told: dict[str, Any] = {
        "issuer": issuer,
        "token_endpoint": f"{base}/token",
        "jwks_uri": f"{base}/jwks.json",
        "introspection_endpoint": f"{base}/introspect",
        "revocation_endpoint": f"{base}/revoke",
        "grant_types_supported": sorted(GRANTS.get(grant, grant) for grant in grants),
        "response_types_supported": ["code"] if "authorization_code" in grants else [],
        "scopes_supported": sorted({scope for model in models for scope in model.scopes}),
        "token_endpoint_auth_methods_supported": sorted({model.auth for model in models}),
        "token_endpoint_auth_signing_alg_values_supported": signing,
        "revocation_endpoint_auth_methods_supported": sorted({model.auth for model in models}),
        "revocation_endpoint_auth_signing_alg_values_supported": signing,
        "introspection_endpoint_auth_methods_supported": proved,
        "introspection_endpoint_auth_signing_alg_values_supported": signing,
        "dpop_signing_alg_values_supported": list(dpop),
        "tls_client_certificate_bound_access_tokens": "tls_client_auth" in proved,
    }
    if "authorization_code" in grants:
        told |= {
            "authorization_endpoint": f"{base}/authorize",
            "code_challenge_methods_supported": ["S256"],
            "response_modes_supported": ["query"],
            "authorization_response_iss_parameter_supported": True,
            "prompt_values_supported": ["none", "login", "consent", "select_account"],
        }
    return told
