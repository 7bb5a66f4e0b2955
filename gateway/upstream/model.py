"""The configuration of upstreams (CONTRACT 2, `upstreams:`)."""

from typing import Annotated, Final, Literal

from pydantic import Field

from gateway.config.values import Duration, FilePath, FileSecret, Model, Names, Token

PATH: Final = r"^/[!-\"$-~]*$"
HOST: Final = r"^[A-Za-z0-9._\[\]:-]+$"
Per = Literal["credential", "route", "path"]
"""What shares an upstream's quota, beside the credential."""
STATUSES: Final = r"^[1-5][0-9]{2}(-[1-5][0-9]{2})?$"


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


class HealthCheck(Model):
    """Ask each address of each target regularly, on a connection of its own and without any credential.

    `path` is the whole path, not one below the target's; `host` replaces the target's authority in Host.
    """

    path: Annotated[str, Field(pattern=PATH, max_length=1024)]
    host: Annotated[str, Field(pattern=HOST, max_length=255)] | None = None
    interval: Annotated[Duration, Field(ge=0.1)] = 10.0
    timeout: Annotated[Duration, Field(ge=0.01)] = 2.0
    unhealthy_threshold: Annotated[int, Field(ge=1, le=100)] = 3
    healthy_threshold: Annotated[int, Field(ge=1, le=100)] = 2
    expected_statuses: Annotated[list[Annotated[str, Field(pattern=STATUSES)]], Field(min_length=1)] = ["200-299"]


class OutlierDetection(Model):
    """When an address that fails is passed over, while there are others."""

    consecutive_failures: Annotated[int, Field(ge=1, le=1000)] = 5
    base_ejection_time: Annotated[Duration, Field(ge=0.1)] = 5.0
    max_ejection_time: Annotated[Duration, Field(ge=0.1)] = 60.0
    max_ejection_percent: Annotated[int, Field(ge=0, le=99)] = 50


class CircuitBreaker(Model):
    """When an upstream that fails as a whole is left alone: requests are refused at once."""

    consecutive_failures: Annotated[int, Field(ge=1, le=1000)] = 10
    base_open_time: Annotated[Duration, Field(ge=0.1)] = 5.0
    max_open_time: Annotated[Duration, Field(ge=0.1)] = 60.0


class RetryBudget(Model):
    """How many requests may be sent a second time: a share of those answered, and a few more where there are few."""

    budget_percent: Annotated[int, Field(ge=0, le=20)] = 20
    min_retries_per_second: Annotated[int, Field(ge=0, le=100)] = 1


class Quota(Model):
    """Heed what the upstream says of its own limits, for each credential: RateLimit, X-RateLimit-*, Retry-After.

    `per` tells what shares a quota beside the credential; `reserve_percent` of the limit is left to others who hold the same
    credential; below `fair_below_percent` of it every principal that asks has an equal part.
    """

    per: Per = "credential"
    reserve_percent: Annotated[int, Field(ge=0, le=90)] = 5
    fair_below_percent: Annotated[int, Field(ge=0, le=100)] = 50
    max_pause: Annotated[Duration, Field(ge=1, le=86400)] = 3600.0


class Scrub(Model):
    """How answers to requests with an injected credential are searched for it: heads always, `bodies` with WebSocket frames.

    Bodies are asked for whole and in no coding: `ranges: pass` lets clients ask for parts, which may divide a secret, and
    `encoded: pass` for codings, in which nothing is found. Else `encoded: refuse` withholds an answer that comes in one. Where
    requests are signed (`inject: sigv4`) both pass: what is sent is of no use for another request.
    """

    bodies: bool = True
    ranges: Literal["remove", "pass"] = "remove"
    encoded: Literal["refuse", "pass"] = "refuse"

    def of_signed(self) -> "Scrub":
        """The same where requests are signed: what goes out is of no use for another one, and parts of it neither."""
        return self.model_copy(update={"ranges": "pass", "encoded": "pass"})


class Upstream(Model):
    """A named service behind us: exactly one of `url` and `targets`."""

    url: str | None = None
    targets: Annotated[list[str], Field(min_length=1)] | None = None
    credential: Names | None = None
    timeouts: Timeouts = Timeouts()
    connections: Annotated[int, Field(ge=1, le=10000)] = 100
    http2: bool = False
    streams: Annotated[int, Field(ge=1, le=10000)] = 100
    max_pending_requests: Annotated[int, Field(ge=0, le=100000)] | None = None
    retry_budget: RetryBudget = RetryBudget()
    health_check: HealthCheck | None = None
    outlier_detection: OutlierDetection = OutlierDetection()
    slow_start: Duration = 10.0
    panic_threshold: Annotated[int, Field(ge=0, le=100)] = 1
    circuit_breaker: CircuitBreaker | None = None
    quota: Quota | None = None
    failure_statuses: list[Annotated[int, Field(ge=500, le=599)]] = []
    preserve_host: bool = False
    tls: UpstreamTls = UpstreamTls()
    headers: UpstreamHeaders = UpstreamHeaders()
    cookies: Literal["drop", "pass"] | None = None
    scrub: Scrub = Scrub()
    internal: bool = False
    allow_plaintext: bool = False
    allow_private: bool = False
