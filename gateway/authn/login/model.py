"""The configuration of logins and sessions (`authentication.login`, `authentication.sessions`)."""

from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from gateway.authn.urls import check_url
from gateway.config.values import Duration, FilePath, Model, SecretRef

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
SCOPE: Final = r"^[!#-\[\]-~]{1,128}$"
"""RFC 6749 3.3; values of `acr` are carried in the same way."""
Word = Annotated[str, Field(pattern=SCOPE)]
Claim = Annotated[str, Field(min_length=1, max_length=256)]


class Endpoints(Model):
    """Where a provider is asked what, for one that publishes no metadata."""

    authorization: str
    token: str
    jwks: str
    userinfo: str | None = None
    end_session: str | None = None


class LoginProvider(Model):
    """One OpenID provider at which people log in. Its name is the issuer of their principals."""

    issuer: Annotated[str, Field(min_length=1)]
    client_id: Annotated[str, Field(min_length=1, max_length=512)]
    client_secret: SecretRef | None = None
    auth: Literal["client_secret_basic", "client_secret_post"] = "client_secret_basic"
    endpoints: Endpoints | None = None
    allow_plaintext: bool = False
    allow_private: bool = False
    ca: FilePath | None = None
    scopes: Annotated[list[Word], Field(min_length=1, max_length=32)] = ["openid"]
    prompt: Literal["login", "consent", "select_account"] | None = None
    acr_values: Annotated[list[Word], Field(max_length=16)] = []
    max_age: Duration | None = None
    audience: Annotated[list[Claim], Field(max_length=16)] = []
    algorithms: Annotated[list[Algorithm], Field(min_length=1)] = ["RS256", "ES256"]
    leeway: Annotated[Duration, Field(le=300)] = 30.0
    subject: Claim = "sub"
    groups: Claim = "groups"
    scopes_claim: Claim = "scope"
    refresh: Annotated[Duration, Field(ge=10)] | Literal["none"] = 300.0
    id_token_hint: bool = False

    @model_validator(mode="after")
    def _holds(self) -> Self:
        check_url(self.issuer, self.allow_plaintext)
        for url in self.endpoints.model_dump().values() if self.endpoints is not None else ():
            if url is not None:
                check_url(url, self.allow_plaintext)
        if "openid" not in self.scopes:
            raise ValueError("`scopes` holds `openid`: without it there is no ID token")
        if self.max_age is not None and (self.max_age < 1 or self.max_age % 1):
            raise ValueError("`max_age` is a whole number of seconds, at least one")
        return self

    @property
    def accepted(self) -> frozenset[str]:
        """Audiences an ID token may name."""
        return frozenset({self.client_id, *self.audience})


class Networks(Model):
    """How many leading bits of an address are one network: where a session is at home."""

    ipv4: Annotated[int, Field(ge=8, le=32)] = 24
    ipv6: Annotated[int, Field(ge=16, le=64)] = 48


class Sessions(Model):
    """What becomes of a login: how long it lasts, which cookie stands for it, under which key its record is sealed."""

    base_url: str
    key: SecretRef | Annotated[list[SecretRef], Field(min_length=1, max_length=4)]
    cookie: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")] = "gateway"
    same_site: Literal["lax", "strict"] = "lax"
    csrf: Literal["token", "origin"] = "token"
    idle: Annotated[Duration, Field(ge=60)] = 3600.0
    absolute: Annotated[Duration, Field(ge=60, le=30 * 86400)] = 86400.0
    stale: Annotated[Duration, Field(le=3600)] = 300.0
    most: Annotated[int, Field(ge=1, le=1_000_000)] = 100_000
    most_each: Annotated[int, Field(ge=1, le=100)] = 20
    on_move: Literal["tell", "step_up", "end", "ignore"] = "tell"
    networks: Networks = Networks()

    @model_validator(mode="after")
    def _holds(self) -> Self:
        parts = urlsplit(self.base_url)
        check_url(self.base_url, allow_plaintext=False)
        if parts.path not in {"", "/"} or parts.query:
            raise ValueError("`base_url` is an origin, like https://gw.example.com")
        if self.idle > self.absolute:
            raise ValueError("`idle` is at most `absolute`")
        return self

    @property
    def keys(self) -> list[SecretRef]:
        """The first seals, all open."""
        return self.key if isinstance(self.key, list) else [self.key]

    @property
    def origin(self) -> str:
        """As browsers write it (RFC 6454 6.2): lower case, without the default port."""
        parts = urlsplit(self.base_url)
        return f"https://{parts.netloc.lower().removesuffix(':443')}"
