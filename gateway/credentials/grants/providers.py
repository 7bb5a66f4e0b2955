"""What is particular about each provider's token endpoint, as data."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from gateway.credentials.grants.model import Provider

Auth = Literal["client_secret_basic", "client_secret_post"]


@dataclass(frozen=True, slots=True)
class Definition:
    """A kind of provider. `refusals` are the error codes by which a refresh token is known to be of no use any more; `types` are
    token types that mean a bearer token."""

    token_url: str = ""
    auth: Auth = "client_secret_post"
    refusals: frozenset[str] = frozenset({"invalid_grant"})
    types: frozenset[str] = frozenset({"bearer"})


DEFINITIONS: Final[Mapping[str, Definition]] = MappingProxyType(
    {
        # docs.github.com, "Refreshing user access tokens": errors come with status 200.
        "github": Definition(
            "https://github.com/login/oauth/access_token", refusals=frozenset({"invalid_grant", "bad_refresh_token"})
        ),
        "gitlab": Definition("https://gitlab.com/oauth/token"),
        # developer.atlassian.com, "Implementing the refresh token flow": 403 with invalid_grant.
        "atlassian": Definition("https://auth.atlassian.com/oauth/token"),
        # docs.slack.dev, "Token rotation": errors come with status 200 and `ok: false`.
        "slack": Definition(
            "https://slack.com/api/oauth.v2.access",
            refusals=frozenset({"invalid_grant", "invalid_refresh_token"}),
            types=frozenset({"bearer", "bot", "user"}),
        ),
        "google": Definition("https://oauth2.googleapis.com/token"),
        "microsoft": Definition("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"),
        # RFC 6749 2.3.1: every server knows Basic.
        "oauth": Definition(auth="client_secret_basic"),
    }
)


def token_url(model: Provider) -> str:
    """Where this provider's tokens are refreshed."""
    return model.token_url or DEFINITIONS[model.kind].token_url.replace("{tenant}", model.tenant)
