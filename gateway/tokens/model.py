"""The configuration of what the gateway issues itself (`tokens:`), and to whom (`clients:`)."""

from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from gateway.authn.jwks_model import Jwks
from gateway.authn.login.model import SCOPE
from gateway.authn.urls import check_url
from gateway.config.values import Duration, Model, SecretRef

LOOPBACK: Final = frozenset({"127.0.0.1", "::1"})
GrantType = Literal["client_credentials", "authorization_code", "refresh_token", "token_exchange"]
Signature = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
Scope = Annotated[str, Field(pattern=SCOPE)]
Target = Annotated[str, Field(pattern=r"^[!-~]{1,512}$")]
"""What a token is for: a URL, or another name of a resource (RFC 8693 2.1, RFC 8707 2)."""


class Refresh(Model):
    """Refresh tokens. `grace` is how long a lost answer may be asked for again."""

    lifetime: Annotated[Duration, Field(ge=60, le=30 * 86400)] = 7 * 86400.0
    grace: Annotated[Duration, Field(ge=0, le=60)] = 10.0


class Tokens(Model):
    """Access tokens of the gateway's own (RFC 9068)."""

    issuer: str
    key: SecretRef | Annotated[list[SecretRef], Field(min_length=1, max_length=4)]
    algorithm: Literal["ES256", "EdDSA"] = "ES256"
    rotate_every: Annotated[Duration, Field(ge=3600, le=366 * 86400)] = 30 * 86400.0
    lifetime: Annotated[Duration, Field(ge=30, le=86400)] = 900.0
    audience: Target | None = None
    stale: Annotated[Duration, Field(ge=1, le=3600)] = 60.0
    refresh: Refresh = Refresh()

    @model_validator(mode="after")
    def _holds(self) -> Self:
        check_url(self.issuer, allow_plaintext=False)
        parts = urlsplit(self.issuer)
        if parts.query or parts.fragment:
            raise ValueError("`issuer` has no query and no fragment (RFC 8414 2)")
        if self.lifetime > self.rotate_every:
            raise ValueError("`lifetime` is at most `rotate_every`: else tokens outlive the keys they are verified with")
        return self

    @property
    def keys(self) -> list[SecretRef]:
        """The secrets, the one that signs first."""
        return self.key if isinstance(self.key, list) else [self.key]

    @property
    def default_audience(self) -> str:
        return self.audience or self.issuer


class ClientCertificate(Model):
    """The certificate of a client (RFC 8705 2.1.2): exactly one name of it."""

    subject: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    san_uri: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    san_dns: Annotated[str, Field(min_length=1, max_length=255)] | None = None

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        if sum(each is not None for each in (self.subject, self.san_uri, self.san_dns)) != 1:
            raise ValueError("exactly one of `subject`, `san_uri` and `san_dns` names the certificate")
        return self


class Client(Model):
    """A program that may ask for tokens. Its name in `clients:` is its client_id."""

    name: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    auth: Literal["client_secret_basic", "client_secret_post", "private_key_jwt", "tls_client_auth", "none"] = "client_secret_basic"
    secret: SecretRef | Annotated[list[SecretRef], Field(min_length=1, max_length=2)] | None = None
    jwks: Jwks | None = None
    algorithms: Annotated[list[Signature], Field(min_length=1)] = ["ES256", "EdDSA"]
    certificate: ClientCertificate | None = None
    grants: Annotated[list[GrantType], Field(min_length=1)]
    scopes: Annotated[list[Scope], Field(max_length=128)] = []
    audiences: Annotated[list[Target], Field(max_length=64)] = []
    exchanges: Annotated[list[Annotated[str, Field(min_length=1)]], Field(max_length=64)] = ["tokens"]
    redirect_uris: Annotated[list[Annotated[str, Field(pattern=r"^[!-\[\]-~]{1,1024}$")]], Field(max_length=32)] = []
    login: str | None = None

    @property
    def secrets(self) -> list[SecretRef]:
        """The secrets that count: two while one replaces the other."""
        return [] if self.secret is None else self.secret if isinstance(self.secret, list) else [self.secret]

    @model_validator(mode="after")
    def _proves_itself(self) -> Self:
        """What it is known by is there, and nothing that it could be known by besides."""
        wanted = {"private_key_jwt": "jwks", "tls_client_auth": "certificate", "none": None}.get(self.auth, "secret")
        for place in ("secret", "jwks", "certificate"):
            if (getattr(self, place) is not None) != (place == wanted):
                raise ValueError(f"`auth: {self.auth}` " + (f"needs `{place}`" if place == wanted else f"knows no `{place}`"))
        if self.jwks is not None and (self.jwks.discovery or self.jwks.bearer is not None):
            raise ValueError("the keys of a client are at a `url` or in a `file`")
        if self.auth == "none" and "client_credentials" in self.grants:
            raise ValueError("a client that proves nothing (`auth: none`) gets no token by `client_credentials`")
        if self.auth == "none" and "token_exchange" in self.grants:
            raise ValueError("`token_exchange` is for clients that prove who they are: anybody could act as one with `auth: none`")
        return self

    @model_validator(mode="after")
    def _redirects_exactly(self) -> Self:
        """RFC 9700 2.1: compared as strings; loopback of native clients with any port (RFC 8252 7.3)."""
        if ("authorization_code" in self.grants) != bool(self.redirect_uris):
            raise ValueError("`redirect_uris` is for `authorization_code`, which needs one")
        for uri in self.redirect_uris:
            parts = urlsplit(uri)
            if parts.port == 0:
                raise ValueError("a redirect URI has no port 0")
            loopback = self.auth == "none" and parts.scheme == "http" and parts.hostname in LOOPBACK
            if "@" in parts.netloc:
                raise ValueError("a redirect URI names nobody (no `user@`)")
            if parts.fragment or "*" in uri or not (loopback or (parts.scheme == "https" and parts.hostname)):
                raise ValueError(f"a redirect URI is https, or http://127.0.0.1 of a client with `auth: none`: {uri!r} is not")
        return self
