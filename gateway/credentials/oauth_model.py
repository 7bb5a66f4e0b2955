"""The configuration of credentials that are minted from others: token endpoints, who we are there, and what is asked for."""

from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from gateway.config.values import FilePath, FileSecret, Model, SecretRef

Text = Annotated[str, Field(pattern=r"^[!-~]+( [!-~]+)*$", max_length=1024)]
"""Visible ASCII, words one space apart."""
Word = Annotated[str, Field(pattern=r"^[!-~]+$", max_length=1024)]
Scope = Annotated[str, Field(pattern=r"^[!#-\[\]-~]+$", max_length=256)]
"""RFC 6749 3.3 scope-token."""
GITHUB_NAME: Final = r"^[A-Za-z0-9._-]{1,100}$"


def https_or_marked(url: str) -> str:
    """A URL whose host nobody but the configuration chooses. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in {"https", "http"} or not parts.hostname or parts.username is not None or parts.fragment:
        raise ValueError("a URL is written like https://idp.example.com/token, without userinfo and fragment")
    if not url.isascii() or not url.isprintable() or any(mark in url for mark in " {}$"):
        raise ValueError("a URL is written out: it has no placeholders and no spaces")
    _ = parts.port
    return url


Url = Annotated[str, AfterValidator(https_or_marked)]


class Dial(Model):
    """What may be dialled where a token endpoint's name leads, and whose certificates are believed there."""

    ca: FilePath | None = None
    allow_private: bool = False
    allow_plaintext: bool = False


class Endpoint(Model):
    """What all kinds have that ask somebody for a token."""

    dial: Dial = Dial()

    @model_validator(mode="after")
    def _encrypted(self) -> Self:
        for name in ("token_url", "api", "authority", "sts_url", "iam_url"):
            url = getattr(self, name, None)
            if isinstance(url, str) and not url.startswith("https:") and not self.dial.allow_plaintext:
                raise ValueError(f"`{name}` must be https, or `dial: {{allow_plaintext: true}}` allows http")
        return self


class Client(Model):
    """Who the gateway is to a token endpoint, and how it proves that (the values of RFC 8414 `token_endpoint_auth_method`)."""

    id: Text
    auth: Literal["client_secret_basic", "client_secret_post", "private_key_jwt", "tls_client_auth", "none"] = "client_secret_basic"
    secret: SecretRef | None = None
    private_key: SecretRef | None = None
    algorithm: Literal["RS256", "PS256", "ES256", "EdDSA"] = "RS256"
    key_id: Word | None = None
    audience: Word | None = None
    certificate: FilePath | None = None
    certificate_key: FileSecret | None = None

    @model_validator(mode="after")
    def _provable(self) -> Self:
        needed = {
            "client_secret_basic": {"secret"},
            "client_secret_post": {"secret"},
            "private_key_jwt": {"private_key"},
            "tls_client_auth": {"certificate", "certificate_key"},
            "none": set[str](),
        }[self.auth]
        told = {name for name in ("secret", "private_key", "certificate", "certificate_key") if getattr(self, name) is not None}
        if missing := sorted(needed - told):
            raise ValueError(f"`auth: {self.auth}` needs `{missing[0]}`")
        spare = told - needed - ({"certificate"} if self.auth == "private_key_jwt" else set())
        if spare:
            raise ValueError(f"`auth: {self.auth}` has no use for `{min(spare)}`")
        return self


class ClientCredentials(Endpoint):
    """The gateway's own token of an OAuth 2.0 server (RFC 6749 4.4)."""

    inject: Literal["client_credentials"]
    token_url: Url
    client: Client
    scope: list[Scope] = []
    audience: list[Text] = []
    resource: list[Url] = []


class RefreshToken(Endpoint):
    """Access tokens from one stored refresh token that stays the same (RFC 6749 6)."""

    inject: Literal["refresh_token"]
    token_url: Url
    client: Client
    refresh_token: SecretRef
    scope: list[Scope] = []
    resource: list[Url] = []


class JwtBearer(Endpoint):
    """A token for a statement the gateway signs (RFC 7523 2.1): `issuer` speaks about `subject` to `audience`."""

    inject: Literal["jwt_bearer"]
    token_url: Url
    client: Client | None = None
    issuer: Text
    subject: Text
    audience: Word | None = None
    private_key: SecretRef
    algorithm: Literal["RS256", "PS256", "ES256", "EdDSA"] = "RS256"
    key_id: Word | None = None
    scope: list[Scope] = []
    resource: list[Url] = []


class TokenExchange(Endpoint):
    """A token for the asking principal, for the JWT it presented (RFC 8693): the upstream sees who asks."""

    inject: Literal["token_exchange"]
    token_url: Url
    client: Client
    scope: list[Scope] = []
    audience: list[Text] = []
    resource: list[Url] = []
    subject_token_type: Literal["access_token", "jwt", "id_token"] = "access_token"
    requested_token_type: Literal["access_token", "jwt"] = "access_token"


class GithubApp(Endpoint):
    """An installation token of a GitHub App, for one repository and the permissions its request needs."""

    inject: Literal["github_app"]
    app_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9.]{1,64}$")]
    installation_id: Annotated[int, Field(ge=1)]
    private_key: SecretRef
    account: Annotated[str, Field(pattern=GITHUB_NAME)]
    permissions: Annotated[
        dict[Annotated[str, Field(pattern=r"^[a-z_]{1,64}$")], Literal["read", "write", "admin"]], Field(min_length=1)
    ]
    repositories: list[Annotated[str, Field(pattern=GITHUB_NAME)]] = []
    everywhere: bool = False
    api: Url = "https://api.github.com"


class GoogleServiceAccount(Endpoint):
    """An access token for a Google service account's key file."""

    inject: Literal["google_service_account"]
    key: SecretRef
    scope: Annotated[list[Scope], Field(min_length=1)]
    subject: Text | None = None
    token_url: Url = "https://oauth2.googleapis.com/token"


class GoogleFederation(Endpoint):
    """An access token of Google for a token of another issuer (workload identity federation), without any key of Google's."""

    inject: Literal["google_federation"]
    provider: Annotated[str, Field(pattern=r"^//iam\.googleapis\.com/[A-Za-z0-9/_-]+$")]
    token: SecretRef
    token_type: Literal["jwt", "id_token"] = "jwt"
    scope: Annotated[list[Scope], Field(min_length=1)]
    service_account: Annotated[str, Field(pattern=r"^[a-z0-9-]+@[a-z0-9.-]+$")] | None = None
    sts_url: Url = "https://sts.googleapis.com/v1/token"
    iam_url: Url = "https://iamcredentials.googleapis.com/v1"


class Azure(Endpoint):
    """A token of Microsoft Entra ID for an application: by secret, certificate, or another issuer's token."""

    inject: Literal["azure"]
    tenant: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,255}$")]
    client_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]
    scope: Annotated[str, Field(pattern=r"^[!#-\[\]-~]+/\.default$", max_length=256)]
    secret: SecretRef | None = None
    private_key: SecretRef | None = None
    certificate: FilePath | None = None
    token: SecretRef | None = None
    authority: Url = "https://login.microsoftonline.com"

    @model_validator(mode="after")
    def _one_proof(self) -> Self:
        if sum(proof is not None for proof in (self.secret, self.private_key, self.token)) != 1:
            raise ValueError(
                "exactly one of `secret`, `private_key` (with `certificate`) and `token` proves who the application is"
            )
        if (self.private_key is None) != (self.certificate is None):
            raise ValueError("`private_key` and `certificate` belong together")
        return self


class OpenAi(Endpoint):
    """A token of OpenAI for another issuer's token (workload identity federation)."""

    inject: Literal["openai"]
    identity_provider_id: Word
    service_account_id: Word
    token: SecretRef
    token_type: Literal["jwt", "id_token"] = "jwt"
    token_url: Url = "https://auth.openai.com/oauth/token"


class Anthropic(Endpoint):
    """A token of Anthropic for another issuer's token (workload identity federation)."""

    inject: Literal["anthropic"]
    federation_rule_id: Annotated[str, Field(pattern=r"^fdrl_[A-Za-z0-9]+$")]
    organization_id: Annotated[str, Field(pattern=r"^[0-9a-fA-F-]{36}$")]
    service_account_id: Annotated[str, Field(pattern=r"^svac_[A-Za-z0-9]+$")]
    workspace_id: Annotated[str, Field(pattern=r"^(wrkspc_[A-Za-z0-9]+|default)$")] | None = None
    token: SecretRef
    token_url: Url = "https://api.anthropic.com/v1/oauth/token"


class ProjectedToken(Model):
    """A JWT that somebody else renews in a file: Kubernetes, SPIFFE. Never sent after its `exp`."""

    inject: Literal["projected_token"]
    token: SecretRef


Minted = (
    ClientCredentials
    | RefreshToken
    | JwtBearer
    | TokenExchange
    | GithubApp
    | GoogleServiceAccount
    | GoogleFederation
    | Azure
    | OpenAi
    | Anthropic
    | ProjectedToken
)
