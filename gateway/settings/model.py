"""The whole configuration document: the rooms' models composed (CONTRACT 2)."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from gateway.audit.model import Audit
from gateway.authn.model import Authentication
from gateway.authn.operators_model import Operators
from gateway.config.values import FilePath, Method, Model, Name, Names, SecretRef
from gateway.credentials.captured.model import Capture
from gateway.credentials.grants.model import Provider
from gateway.credentials.model import Credential
from gateway.credentials.oauth_model import Scope
from gateway.credentials.sources.model import Source
from gateway.credentials.vault.model import Sealed, Vault
from gateway.detection.model import Detection
from gateway.edge.model import Cors, Listen, Resource, SecurityHeaders, SecurityTxt, Validate, WebSocket
from gateway.ratelimit.model import RateLimits
from gateway.shaping.model import Redaction
from gateway.store.model import RedisStore, State
from gateway.store.sql.model import Database
from gateway.telemetry.model import Log, Telemetry
from gateway.tokens.model import Client, Tokens
from gateway.upstream.model import RouteTimeouts, Upstream

ONLY_LISTENER: Final = "listen"
"""The name of the listener of a configuration that has one."""


Binding = Literal["dpop", "mtls"]


def _whole(value: Any) -> Any:
    """`version: true` is not version 1, though Python thinks so."""
    return value if type(value) is int else str(value)


class Admin(Model):
    """The operators' own listener."""

    address: str = "127.0.0.1:9901"
    token: SecretRef | None = None
    hosts: list[str] = []
    operators: Operators | None = None


class Match(Model):
    """Which requests a route claims."""

    path: str
    methods: list[Method] | Literal["any"] = "any"
    host: str | None = None
    listeners: list[Name] | None = None


class Rewrite(Model):
    """How the path changes on its way."""

    strip_prefix: str | None = None


class Tool(Model):
    """A route as the catalogue of tools shows it to those who may use it. Without `name` it has the route's."""

    name: Name | None = None
    description: Annotated[str, Field(max_length=4096)] = ""


class RouteModel(Model):
    """A pattern and everything a request on it needs."""

    name: Name
    match: Match
    upstream: Name
    credential: Names | None = None
    capture: Capture | None = None
    requires_scopes: Annotated[list[Scope], Field(max_length=64)] = []
    rewrite: Rewrite = Rewrite()
    authenticate: Annotated[list[str], Field(min_length=1)] | None = None
    anonymous: bool = False
    require: Binding | Annotated[list[Binding], Field(min_length=1)] | None = None
    rate_limits: list[Name] = []
    cors: Name | None = None
    resource: Name | None = None
    params: dict[str, str] = {}
    allow_encoded_slash: list[str] = []
    validate_: Annotated[Validate, Field(alias="validate")] = Validate()
    timeouts: RouteTimeouts = RouteTimeouts()
    websocket: WebSocket | bool = False
    tool: Tool | bool = True

    @property
    def required(self) -> tuple[str, ...]:
        """How a token must be bound to be accepted, any of these."""
        return () if self.require is None else (self.require,) if isinstance(self.require, str) else tuple(self.require)


def credentials_of(route: RouteModel, upstreams: Mapping[str, Upstream]) -> tuple[str, ...]:
    """The credentials of a route in their order: its own, else its upstream's."""
    upstream = upstreams.get(route.upstream)
    named = route.credential or (upstream.credential if upstream is not None else None) or ()
    return (named,) if isinstance(named, str) else tuple(named)


class Tools(Model):
    """The catalogue of tools: who may ask, one of `authenticate` and `anonymous`, and how often beside the default limits."""

    authenticate: Annotated[list[str], Field(min_length=1)] | None = None
    anonymous: bool = False
    rate_limits: list[Name] = []
    schemas: bool = True

    @model_validator(mode="after")
    def _says_who(self) -> Self:
        if (self.authenticate is not None) is self.anonymous:
            raise ValueError("exactly one of `authenticate` and `anonymous: true` says who may ask")
        return self


class Portal(Model):
    """The gateway's own public endpoints."""

    prefix: Annotated[str, Field(pattern=r"^/[A-Za-z0-9._~-]+$")] = "/.gateway"
    tools: Tools | None = None


class Settings(Model):
    """config.yaml."""

    version: Annotated[Literal[1], BeforeValidator(_whole)]
    listen: Listen | None = None
    listeners: dict[Name, Listen] | None = None
    admin: Admin = Admin()
    authentication: Authentication = Authentication()
    tokens: Tokens | None = None
    clients: dict[Name, Client] = {}
    policies: FilePath | list[FilePath] = []
    redaction: Redaction | None = None
    state: State = State()
    rate_limits: RateLimits = RateLimits()
    detection: Detection = Detection()
    cors: dict[Name, Cors] = {}
    security_headers: SecurityHeaders = {}
    vault: Vault | None = None
    sealed: Sealed = {}
    secret_sources: dict[Name, Source] = {}
    database: Database | None = None
    providers: dict[Name, Provider] = {}
    credentials: dict[Name, Credential] = {}
    upstreams: dict[Name, Upstream] = {}
    resources: dict[Name, Resource] = {}
    routes: list[RouteModel] = []
    audit: Audit = Audit()
    log: Log = Log()
    telemetry: Telemetry = Telemetry()
    security_txt: SecurityTxt | None = None
    portal: Portal = Portal()

    def served(self) -> dict[str, Listen]:
        """The listeners by name; one of default settings where none is configured."""
        if self.listeners is not None:
            return dict(self.listeners)
        return {ONLY_LISTENER: self.listen or Listen()}

    def bell(self) -> RedisStore | None:
        """The Redis server over which it is told that the database changed; None where none is configured."""
        stores = self.rate_limits.store, self.state.store
        return next((store for store in stores if isinstance(store, RedisStore)), None)
