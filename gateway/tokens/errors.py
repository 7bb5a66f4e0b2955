"""What the token endpoint refuses, as RFC 6749 5.2 and its successors tell it: JSON with a code of a closed list."""

from collections.abc import Sequence
from typing import Final, Literal

from gateway.core.errors import BadRequest, Forbidden, GatewayError, Unauthenticated
from gateway.core.message import Field
from gateway.core.reason import Reason

Code = Literal[
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "invalid_target",
    "invalid_dpop_proof",
    "use_dpop_nonce",
]
BASIC: Final[tuple[Field, ...]] = ((b"www-authenticate", b'Basic realm="gateway", charset="UTF-8"'),)


def told(error: GatewayError, code: Code, description: str, status: int = 400) -> GatewayError:
    """The same error with the answer that OAuth clients read. `description` says nothing of what is configured."""
    error.document = {"error": code, "error_description": description}
    error.status = status
    return error


def bad(code: Code, description: str) -> GatewayError:
    """A request that is not what it has to be."""
    return told(BadRequest(f"token: {code}: {description}"), code, description)


def denied(code: Code, description: str) -> GatewayError:
    """Known, and not allowed."""
    return told(Forbidden(f"token: {code}: {description}"), code, description)


def no_client(detail: str, about: str | None = None, *, basic: bool = True) -> GatewayError:
    """Whoever asks is no client, or cannot prove which: one answer for all of it. `about` is the client that was tried."""
    error = Unauthenticated(f"token: {detail}", about=about, headers=BASIC if basic else ())
    return told(error, "invalid_client", "client authentication failed", 401)


def no_grant(error: GatewayError, description: str = "the grant is not valid") -> GatewayError:
    """What was presented for a token counts not. It is counted as the failure that it is."""
    return told(error, "invalid_grant", description)


def missing(description: str, headers: Sequence[Field] = BASIC) -> GatewayError:
    """No client said who it is."""
    error = Unauthenticated("token: nobody says who asks", reason=Reason.CREDENTIAL_MISSING, headers=headers)
    return told(error, "invalid_client", description, 401)
