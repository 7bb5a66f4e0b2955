"""What is particular about each provider, as data: its endpoints, how it names scopes, accounts and errors, how a grant ends."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, NamedTuple
from urllib.parse import quote

from gateway.credentials.grants.model import Connect, Provider

Auth = Literal["client_secret_basic", "client_secret_post"]
Ending = Literal["rfc7009", "github", "slack"]


@dataclass(frozen=True, slots=True)
class Definition:
    """A kind of provider.

    `refusals` are the error codes by which a refresh token is known to be of no use any more, `codes` those of a code; `types` are
    token types that mean a bearer token. `nested` is the member of an answer that holds what a person gave, beside what others did.
    `asked` goes along when a browser is sent there, `always` are scopes without which there is no refresh token. `id` and `names`
    say which members of the account's description are its id and what people call it, `within` what else that id is only one of.
    `apart` says that one token can be ended without the others of its account: else a new one of the same would go with the old.
    """

    token_url: str = ""
    auth: Auth = "client_secret_post"
    refusals: frozenset[str] = frozenset({"invalid_grant"})
    types: frozenset[str] = frozenset({"bearer"})
    codes: frozenset[str] = frozenset()
    nested: str = ""
    title: str = ""
    authorize_url: str = ""
    scope: str = "scope"
    separator: str = " "
    asked: tuple[tuple[str, str], ...] = ()
    always: tuple[str, ...] = ()
    issuer: str = ""
    ending: Ending = "rfc7009"
    revoke_url: str = ""
    account_url: str = ""
    id: tuple[str, ...] = ("sub", "id")
    names: tuple[str, ...] = ("preferred_username", "username", "login", "email", "name")
    within: tuple[str, ...] = ()
    apart: bool = False


DEFINITIONS: Final[Mapping[str, Definition]] = MappingProxyType(
    {
        # docs.github.com, "Refreshing user access tokens": errors come with status 200. REST: "Delete an app authorization", and
        # "Delete an app token" for one of them.
        "github": Definition(
            "https://github.com/login/oauth/access_token",
            refusals=frozenset({"invalid_grant", "bad_refresh_token"}),
            codes=frozenset({"bad_verification_code"}),
            title="GitHub",
            authorize_url="https://github.com/login/oauth/authorize",
            ending="github",
            revoke_url="https://api.github.com/applications/{client}/grant",
            account_url="https://api.github.com/user",
            id=("id",),
            names=("login",),
            apart=True,
        ),
        "gitlab": Definition(
            "https://gitlab.com/oauth/token",
            title="GitLab",
            authorize_url="https://gitlab.com/oauth/authorize",
            revoke_url="https://gitlab.com/oauth/revoke",
            account_url="https://gitlab.com/api/v4/user",
            id=("id",),
            names=("username",),
            apart=True,
        ),
        # developer.atlassian.com, "OAuth 2.0 (3LO) apps" and "Implementing the refresh token flow": 403 with invalid_grant.
        "atlassian": Definition(
            "https://auth.atlassian.com/oauth/token",
            title="Atlassian",
            authorize_url="https://auth.atlassian.com/authorize",
            asked=(("audience", "api.atlassian.com"), ("prompt", "consent")),
            always=("offline_access",),
            account_url="https://api.atlassian.com/me",
            id=("account_id",),
            names=("email", "name"),
        ),
        # docs.slack.dev, "Token rotation": errors come with status 200 and `ok: false`. A person's token is apart from the app's.
        "slack": Definition(
            "https://slack.com/api/oauth.v2.access",
            refusals=frozenset({"invalid_grant", "invalid_refresh_token"}),
            types=frozenset({"bearer", "bot", "user"}),
            codes=frozenset({"invalid_code", "code_already_used"}),
            nested="authed_user",
            title="Slack",
            authorize_url="https://slack.com/oauth/v2/authorize",
            scope="user_scope",
            separator=",",
            ending="slack",
            revoke_url="https://slack.com/api/auth.revoke",
            account_url="https://slack.com/api/auth.test",
            id=("user_id",),
            names=("user",),
            within=("team_id",),
        ),
        # developers.google.com, "OAuth 2.0 for Web Server Applications": a refresh token comes only with a consent.
        "google": Definition(
            "https://oauth2.googleapis.com/token",
            title="Google",
            authorize_url="https://accounts.google.com/o/oauth2/v2/auth",
            asked=(("access_type", "offline"), ("prompt", "consent")),
            issuer="https://accounts.google.com",
            revoke_url="https://oauth2.googleapis.com/revoke",
            account_url="https://openidconnect.googleapis.com/v1/userinfo",
            id=("sub",),
            names=("email", "name"),
        ),
        # learn.microsoft.com, "OAuth 2.0 authorization code flow". There is no call by which a client ends a grant.
        "microsoft": Definition(
            "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token",
            title="Microsoft",
            authorize_url="https://login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize",
            always=("offline_access",),
            account_url="https://graph.microsoft.com/oidc/userinfo",
            id=("sub",),
            names=("email", "name"),
        ),
        # RFC 6749 2.3.1: every server knows Basic.
        "oauth": Definition(auth="client_secret_basic"),
    }
)


class Places(NamedTuple):
    """Where one provider is asked what; "" where it is not asked."""

    authorize: str
    revoke: str
    account: str
    issuer: str


def token_url(model: Provider) -> str:
    """Where this provider's tokens are refreshed."""
    return model.token_url or DEFINITIONS[model.kind].token_url.replace("{tenant}", model.tenant)


def places(model: Provider) -> Places:
    """Those that are configured, else the kind's, unless the tokens are of a server of one's own: they are shown to nobody else."""
    definition, connect = DEFINITIONS[model.kind], model.connect or Connect()
    own = model.token_url is not None
    client = model.client.id if model.client is not None else ""

    def place(stated: str | None, known: str) -> str:
        return stated or ("" if own else known.replace("{tenant}", model.tenant).replace("{client}", quote(client, safe="")))

    return Places(
        place(connect.authorize_url, definition.authorize_url),
        place(connect.revoke_url, definition.revoke_url),
        place(connect.account_url, definition.account_url),
        place(connect.issuer, definition.issuer),
    )
