"""The configuration of the edge: listeners, CORS, security headers, validation (CONTRACT 2)."""

import re
from typing import Annotated, Final, Literal

from pydantic import Field, field_validator

from gateway.config.values import Duration, FilePath, FileSecret, Method, Model, Network, Size, Token

PageUrl = Annotated[str, Field(pattern=r"^https://[!-~]+$", max_length=2048)]
SCOPE: Final = r"^[!#-\[\]-~]+$"
"""RFC 6749 3.3 scope-token: neither quotes nor backslashes."""
RESOURCE: Final = re.compile(
    r"(https://[a-z0-9.-]+|http://(localhost|127\.0\.0\.1|\[::1\]))(:[0-9]{1,5})?(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?", re.ASCII
)
"""RFC 9728 1.2, without a query; http for what runs on this machine."""


class CrlSource(Model):
    """Where the list of `client_crl` is fetched from, again and again."""

    url: Annotated[str, Field(pattern=r"^https?://[!-~]+$", max_length=2048)]
    every: Annotated[Duration, Field(ge=60, le=7 * 86400)] = 3600.0
    ca: FilePath | None = None
    allow_plaintext: bool = False
    allow_private: bool = False


class Tls(Model):
    """A listener's certificate and its demands on the client's."""

    certificate: FilePath
    key: FileSecret
    min_version: Literal["1.2", "1.3"] = "1.3"
    client_ca: FilePath | None = None
    client_auth: Literal["none", "optional", "require"] = "none"
    client_crl: FilePath | None = None
    client_crl_url: CrlSource | None = None


class ProxyProtocol(Model):
    """Load balancers that say in a PROXY header, before anything else, for whom they connect. Nobody else may connect."""

    from_: Annotated[list[Network], Field(alias="from")] = []


class ListenerLimits(Model):
    """Bounds on what one client may send."""

    request_line: Size = 8 * 1024
    headers: Size = 32 * 1024
    header_count: Annotated[int, Field(ge=1, le=1000)] = 100
    body: Size = 10 * 1024 * 1024
    header_timeout: Duration = 10.0
    body_idle: Duration = 30.0
    min_upload: Size = 240
    min_download: Size = 240
    rate_grace: Duration = 5.0
    idle_timeout: Duration = 60.0
    connections: Annotated[int, Field(ge=1, le=1_000_000)] = 10000
    streams: Annotated[int, Field(ge=1, le=1000)] = 100


class Drain(Model):
    """How a stop goes: wait `delay` after readiness fails, then at most `timeout` for what is in flight."""

    delay: Duration = 0.0
    timeout: Duration = 30.0


class Listen(Model):
    """One address the gateway serves."""

    address: str = "127.0.0.1:8080"
    allow_from: list[Network] | None = None
    deny_from: list[Network] = []
    tls: Tls | None = None
    http2: bool = False
    redirect_http: str | None = None
    proxy_protocol: ProxyProtocol | None = None
    trusted_proxies: list[Network] = []
    client_address: Literal["none", "x-forwarded-for", "forwarded"] = "none"
    client_certificate: Literal["none", "client-cert", "xfcc"] = "none"
    hosts: list[str] | Literal["any"] = "any"
    limits: ListenerLimits = ListenerLimits()
    drain: Drain = Drain()


class Cors(Model):
    """One CORS policy. An origin is exact, or `https://*.example.com`, or "*" (never together with credentials)."""

    origins: Annotated[list[str], Field(min_length=1)]
    methods: list[Method] = ["GET", "HEAD", "POST"]
    headers: list[Token] = []
    expose: list[Token] = []
    credentials: bool = False
    max_age: Duration = 600.0
    enforce: bool = False


class OpenApi(Model):
    """A description by which a route's requests are judged (OpenAPI 3.0 or 3.1)."""

    file: FilePath
    base: Annotated[str, Field(pattern=r"^/[A-Za-z0-9._~/-]*$")] | None = None
    mode: Literal["enforce", "report"] = "enforce"
    responses: Literal["off", "report", "enforce"] = "off"
    unknown_query: Literal["refuse", "pass"] = "refuse"
    unknown_formats: Literal["refuse", "ignore"] = "refuse"


class Upload(Model):
    """Files that a route takes, as the whole body or in multipart/form-data."""

    types: Annotated[list[str], Field(min_length=1)]
    max_size: Size = 5 * 1024 * 1024
    file_names: Literal["safe", "any"] = "safe"
    parts: Annotated[int, Field(ge=1, le=1000)] = 20


class Validate(Model):
    """What a route's requests must look like."""

    body: FilePath | None = None
    query: FilePath | None = None
    headers: FilePath | None = None
    openapi: FilePath | OpenApi | None = None
    upload: Upload | None = None
    content_types: list[str] | None = None
    body_limit: Size | None = None


class WebSocket(Model):
    """What a route that takes WebSockets grants them (RFC 6455)."""

    idle_timeout: Duration = 300.0
    max_message: Size = 16 * 1024 * 1024
    subprotocols: list[Token] | None = None
    origins: list[str] = []
    connections: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    per_principal: Annotated[int, Field(ge=1, le=1_000_000)] = 100


class SecurityTxt(Model):
    """RFC 9116."""

    contact: str | list[str]
    expires: Duration = 180 * 86400.0
    canonical: str | None = None
    encryption: str | None = None
    acknowledgments: str | None = None
    policy: str | None = None
    preferred_languages: str | None = None


SecurityHeaders = dict[Token, str | None]
"""Header name to value, merged over the built-in set; null removes one."""


class Resource(Model):
    """A protected resource as OAuth clients know it (RFC 9728). `url` identifies it: what clients call, whatever stands between."""

    url: str
    scopes: Annotated[list[Annotated[str, Field(pattern=SCOPE, max_length=256)]], Field(max_length=64)] = []
    own_tokens_only: bool = True
    name: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    documentation: PageUrl | None = None
    policy: PageUrl | None = None
    terms: PageUrl | None = None

    @field_validator("url")
    @classmethod
    def _identifies(cls, url: str) -> str:
        if RESOURCE.fullmatch(url) is None:
            raise ValueError("a resource is written like https://api.example.com/mcp: lower case, without query and fragment")
        return url
