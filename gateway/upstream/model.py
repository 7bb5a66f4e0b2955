"""The configuration of upstreams (CONTRACT 2, `upstreams:`)."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.config.values import Duration, FilePath, FileSecret, Model, Name, Token


class Timeouts(Model):
    """`connect` to open a connection, `response` until the answer's head, `idle` between two pieces of a body."""

    connect: Duration = 2.0
    response: Duration = 30.0
    idle: Duration = 60.0


class RouteTimeouts(Model):
    """A route's own bounds over its upstream's."""

    connect: Duration | None = None
    response: Duration | None = None
    idle: Duration | None = None


class UpstreamTls(Model):
    """Whom we trust there, and who we are."""

    ca: FilePath | None = None
    client_certificate: FilePath | None = None
    client_key: FileSecret | None = None


class UpstreamHeaders(Model):
    """Fixed request headers to set and to remove."""

    set: dict[Token, str] = {}
    remove: list[Token] = []


class Upstream(Model):
    """A named service behind us: exactly one of `url` and `targets`."""

    url: str | None = None
    targets: Annotated[list[str], Field(min_length=1)] | None = None
    credential: Name | None = None
    timeouts: Timeouts = Timeouts()
    connections: Annotated[int, Field(ge=1, le=10000)] = 100
    preserve_host: bool = False
    tls: UpstreamTls = UpstreamTls()
    headers: UpstreamHeaders = UpstreamHeaders()
    cookies: Literal["drop", "pass"] | None = None
    internal: bool = False
    allow_plaintext: bool = False
    allow_private: bool = False
