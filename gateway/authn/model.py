"""The configuration of authentication (CONTRACT 2, `authentication:`)."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.config.values import Duration, FilePath, Model, Name, SecretRef, Size, Token

Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512"
]


class Jwks(Model):
    """Where an issuer's public keys are: exactly one of `url`, `file`, `discovery`."""

    url: str | None = None
    file: FilePath | None = None
    discovery: bool = False
    allow_plaintext: bool = False
    allow_private: bool = False
    ca: FilePath | None = None


class CookieSource(Model):
    """A token carried in a cookie."""

    cookie: Token


class JwtIssuer(Model):
    """One issuer whose tokens are accepted."""

    issuer: str
    audience: list[str] | Literal["none"]
    jwks: Jwks | None = None
    secret: SecretRef | None = None
    algorithms: Annotated[list[Algorithm], Field(min_length=1)]
    from_: Annotated[list[Literal["bearer"] | CookieSource], Field(alias="from", min_length=1)] = ["bearer"]
    subject: str = "sub"
    groups: str = "groups"
    scopes: str = "scope"
    scope_ceiling: bool = False
    types: list[str] = ["JWT", "at+jwt"]
    leeway: Duration = 30.0
    required_claims: list[str] = ["exp"]
    max_bytes: Size = 8192


class ApiKeys(Model):
    """Keys the gateway hands out itself."""

    header: Token = "X-Api-Key"
    prefix: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{1,15}$")] = "lgk"
    file: FilePath
    pepper: SecretRef


class Mtls(Model):
    """Client certificates as identities."""

    identity: Annotated[list[Literal["spiffe", "san_uri", "san_dns", "san_email", "subject_cn"]], Field(min_length=1)] = [
        "spiffe",
        "san_uri",
        "san_dns",
    ]


class Authentication(Model):
    """All schemes."""

    jwt: dict[Name, JwtIssuer] = {}
    api_keys: ApiKeys | None = None
    mtls: Mtls | None = None
