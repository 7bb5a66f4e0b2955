"""How an authorization server says no: one of RFC 6749's words, which clients act upon."""

from typing import Final

from gateway.tokens.granted import Granted

SAID: Final = frozenset(
    {
        "access_denied",
        "consent_required",
        "interaction_required",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "invalid_target",
        "login_required",
        "request_not_supported",
        "request_uri_not_supported",
        "server_error",
        "temporarily_unavailable",
        "unauthorized_client",
        "unsupported_response_type",
    }
)


class Refused(Exception):
    """`error` is told to the client with `description`. `guess` says that something was tried which its holder would have known;
    `reused` names what was copied, as it came a second time."""

    def __init__(self, error: str, description: str, *, guess: bool = False, reused: Granted | None = None) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.guess = guess
        self.reused = reused
