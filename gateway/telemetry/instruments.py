"""The closed list of what is measured. docs/reference/metrics.md shows it to operators; a test keeps the two equal.

Names and buckets of `http.*` are OpenTelemetry's HTTP conventions (stable, v1.44); `gateway.*` are ours; `process.*` are named
so that their Prometheus form is the one every dashboard knows (process_cpu_seconds_total ...).
"""

from typing import Final

from gateway.telemetry.instrument import Instrument
from gateway.telemetry.levels import CUSTODY, DETECTION, UPSTREAMS

BOUNDS: Final[tuple[float, ...]] = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
FINE_BOUNDS: Final[tuple[float, ...]] = (
    0.00005,
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    1.0,
    5.0,
)
"""For what the gateway itself takes: fifty microseconds to five seconds."""

OVERFLOW: Final = "otel.metric.overflow"
"""The label of the series that takes what is beyond a cardinality limit (OpenTelemetry metrics SDK, cardinality limits)."""

SERVER_DURATION: Final = Instrument(
    "http.server.request.duration",
    "histogram",
    "s",
    "Time from a request's head to the last byte of its answer.",
    (
        "http.request.method",
        "url.scheme",
        "network.protocol.version",
        "http.response.status_code",
        "http.route",
        "gateway.route",
        "error.type",
    ),
    BOUNDS,
)
CLIENT_DURATION: Final = Instrument(
    "http.client.request.duration",
    "histogram",
    "s",
    "Time from sending a request to an upstream to the head of its answer.",
    ("http.request.method", "gateway.upstream", "server.address", "server.port", "http.response.status_code", "error.type"),
    BOUNDS,
)
OVERHEAD: Final = Instrument(
    "gateway.overhead.duration",
    "histogram",
    "s",
    "Time the gateway itself adds before it sends a request to its upstream.",
    (),
    FINE_BOUNDS,
)
ACTIVE: Final = Instrument("http.server.active_requests", "updown", "{request}", "Requests being answered now.")
REQUESTS: Final = Instrument(
    "gateway.requests",
    "counter",
    "{request}",
    "Requests by who made the status, and why where the gateway did.",
    ("gateway.route", "status_source", "reason", "http.response.status_code"),
)
AUTHN: Final = Instrument(
    "gateway.authn.attempts",
    "counter",
    "{attempt}",
    "Authentications: success, failure or anonymous.",
    ("scheme", "outcome", "reason"),
)
AUTHZ: Final = Instrument(
    "gateway.authz.decisions",
    "counter",
    "{decision}",
    "Policy decisions; mode shadow counts what shadow rules would have decided.",
    ("effect", "policy", "mode"),
)
SHADOW: Final = Instrument(
    "gateway.authz.shadow",
    "counter",
    "{decision}",
    "What shadow rules would have decided, by rule, and whether the answer would have been another one.",
    ("rule", "effect", "would_change"),
)
VALIDATION: Final = Instrument(
    "gateway.validation.rejections", "counter", "{request}", "Requests refused by validation, by reason.", ("rule",)
)
RATE_LIMITS: Final = Instrument(
    "gateway.ratelimit.decisions",
    "counter",
    "{decision}",
    "Requests a rate limit allowed, by limit, and requests refused by one.",
    ("policy", "outcome"),
)
BUILD: Final = Instrument("target", "gauge", "", "Which gateway this is.", ("service.name", "service.version"), across="max")

COUNTED: Final = (
    Instrument(
        "gateway.validation.reported",
        "counter",
        "{message}",
        "Requests and answers that are not as a description in report mode says, and answers withheld, by part.",
        ("route", "part"),
    ),
    Instrument("gateway.ratelimit.store_failures", "counter", "{failure}", "Failed calls of the limit store.", ("mode",)),
    Instrument(
        "gateway.state.failures",
        "counter",
        "{failure}",
        "Uses refused because it cannot be told whether they are the first: the shared state is away, or full.",
        ("store",),
    ),
    Instrument("gateway.authz.break_glass", "counter", "{request}", "Requests of holders of a break-glass role.", ("route",)),
    Instrument("gateway.logins", "counter", "{login}", "Logins that came back from their provider.", ("provider", "outcome")),
    Instrument("gateway.session.opened", "counter", "{session}", "Sessions opened.", ("provider",)),
    Instrument("gateway.session.ended", "counter", "{session}", "Sessions ended before their time.", ("cause",)),
    Instrument("gateway.session.refreshes", "counter", "{refresh}", "Refreshes of sessions' claims.", ("provider", "outcome")),
    Instrument("gateway.session.stale", "counter", "{look}", "Sessions served from memory while their store is away."),
    Instrument("gateway.jwks.fetches", "counter", "{fetch}", "Key set fetches.", ("issuer", "outcome")),
    Instrument(
        "gateway.tokens.minted",
        "counter",
        "{token}",
        "Tokens minted for an upstream credential, refused to a principal, and failures.",
        ("credential", "outcome"),
    ),
    Instrument("gateway.tokens.renewals", "counter", "{token}", "Tokens minted anew after an upstream's 401.", ("credential",)),
    Instrument("gateway.introspection.answers", "counter", "{answer}", "Opaque tokens asked about.", ("issuer", "outcome")),
    Instrument("gateway.ocsp.answers", "counter", "{answer}", "Client certificates asked about.", ("outcome",)),
    Instrument("gateway.tls.crl.fetches", "counter", "{fetch}", "Revocation lists fetched.", ("listener", "outcome")),
    Instrument("gateway.api_keys.reloads", "counter", "{reload}", "Readings of API keys that changed.", ("outcome",)),
    Instrument("gateway.api_keys.refused", "counter", "{row}", "Rows of API keys that no gateway wrote.", ("fault",)),
    Instrument(
        "gateway.vault.refused",
        "counter",
        "{value}",
        "Sealed values, of the configuration or the database, that were altered, moved, or are under another key.",
        ("fault",),
    ),
    Instrument(
        "gateway.vault.unconfirmed",
        "counter",
        "{look}",
        "Looks at the database that failed while secrets of it were `used` on, or were `refused` since it has been away too long.",
        ("outcome",),
    ),
    Instrument("gateway.vault.resealed", "counter", "{text}", "Texts of the database sealed anew under the first key.", ("table",)),
    Instrument(
        "gateway.rotation.steps",
        "counter",
        "{step}",
        "Upstream secrets `rotated`, old ones `revoked` after the overlap, and attempts that `failed`.",
        ("credential", "outcome"),
    ),
    Instrument(
        "gateway.rotation.overdue",
        "gauge",
        "{secret}",
        "Secrets in force for a tenth longer than `rotate.every` says.",
        across="max",
    ),
    Instrument(
        "gateway.rotation.orphaned",
        "gauge",
        "{rotation}",
        "Rotations under way that nothing in the configuration goes on with: the old secret still counts.",
        across="max",
    ),
    Instrument("gateway.vault.overdue", "gauge", "{value}", "Sealed values older than `vault.rotate_after`.", across="max"),
    Instrument(
        "gateway.grant.refreshes",
        "counter",
        "{refresh}",
        "Refreshes of grants: success, failure (the old token serves on), broken (its principal connects again), superseded, lost.",
        ("provider", "outcome"),
    ),
    Instrument("gateway.connections", "counter", "{connection}", "Accounts connected, refused or ended.", ("provider", "outcome")),
    Instrument("gateway.grant.stale", "counter", "{read}", "Grants used on while the database was away.", ("provider",)),
    Instrument("gateway.grant.refused", "counter", "{grant}", "Stored grants that did not open.", ("provider", "fault")),
    Instrument("gateway.credentials.captured", "counter", "{credential}", "Captured, or withheld.", ("route", "outcome")),
    Instrument("gateway.credentials.placeholders", "counter", "{request}", "Placeholders refused.", ("credential", "outcome")),
    Instrument("gateway.secret.reads", "counter", "{read}", "Questions to services that keep secrets.", ("source", "outcome")),
    Instrument("gateway.secret.age", "gauge", "s", "Seconds since a service last gave a secret; -1: never.", ("source",)),
    Instrument("gateway.secret.failing", "gauge", "{secret}", "1 while a service last did not give a secret, else 0.", ("source",)),
    Instrument("gateway.secret.refresh_failures", "counter", "{failure}", "Secrets that could not be read again.", ("source",)),
    Instrument("gateway.upstream.connect_failures", "counter", "{failure}", "Failed connections to an upstream.", ("upstream",)),
    Instrument("gateway.upstream.poisoned", "counter", "{connection}", "Idle upstream connections that spoke.", ("upstream",)),
    Instrument("gateway.upstream.retries", "counter", "{retry}", "Requests sent to an upstream again.", ("upstream",)),
    Instrument("gateway.upstream.retries_refused", "counter", "{retry}", "Requests not sent again: no budget.", ("upstream",)),
    Instrument(
        "gateway.upstream.quota_refused",
        "counter",
        "{request}",
        "Requests not sent, to spare an upstream's quota.",
        ("upstream", "credential", "why"),
    ),
    Instrument("gateway.upstream.ejections", "counter", "{ejection}", "Addresses of an upstream passed over.", ("upstream",)),
    Instrument("gateway.upstream.circuit_changes", "counter", "{change}", "Circuits opened and closed.", ("upstream", "to")),
    Instrument("gateway.upstream.health_checks", "counter", "{check}", "Health checks of addresses.", ("upstream", "outcome")),
    Instrument(
        "gateway.answers.shaped",
        "counter",
        "{answer}",
        "Answers that a rule's demands applied to: shaped, emptied (a failure without its body), withheld, or cut in the middle.",
        ("outcome",),
    ),
    Instrument(
        "gateway.credential.echoes",
        "counter",
        "{echo}",
        "Injected credentials that answers held, masked in a head or a body; `unseen` are answers that could not be searched.",
        ("place",),
    ),
    Instrument("gateway.websocket.open", "gauge", "{tunnel}", "WebSocket tunnels open now.", ("route",)),
    Instrument("gateway.connections.refused", "counter", "{connection}", "Connections refused.", ("listener", "reason")),
    Instrument(
        "gateway.connections.cut",
        "counter",
        "{connection}",
        "Clients cut off: for taking an answer too slowly, for breaking HTTP/2, for asking too much of it.",
        ("listener", "reason"),
    ),
    Instrument("gateway.tls.handshakes.failed", "counter", "{handshake}", "Failed TLS handshakes.", ("listener", "reason")),
    Instrument("gateway.tls.reloads", "counter", "{reload}", "Certificates picked up while running.", ("listener", "outcome")),
    Instrument(
        "gateway.tls.certificate.not_after",
        "gauge",
        "s",
        "Unix time a listener's certificate expires at.",
        ("listener",),
        across="min",
    ),
    Instrument("gateway.audit.queued", "gauge", "{event}", "Audit events not yet written.", across="sum"),
    Instrument("gateway.audit.written", "counter", "{event}", "Audit events written."),
    Instrument("gateway.audit.dropped", "counter", "{event}", "Audit events lost."),
    Instrument("gateway.audit.failures", "counter", "{failure}", "Failed attempts to write audit events."),
    Instrument("gateway.log.dropped", "counter", "{line}", "Log lines lost because standard error took none."),
    Instrument("gateway.spans.dropped", "counter", "{span}", "Spans lost because the queue was full or the collector failed."),
    Instrument("gateway.config.reloads", "counter", "{reload}", "Reloads of the configuration.", ("outcome",)),
    Instrument(
        "gateway.config.last_success", "gauge", "", "1 if the last reload was taken over, 0 if it was refused.", across="min"
    ),
    Instrument("gateway.workers", "gauge", "{worker}", "Worker processes that serve, where there are several.", across="sum"),
    Instrument("gateway.worker.restarts", "counter", "{restart}", "Worker processes that ended and were started anew.", ("cause",)),
)
"""What rooms count and set by name."""

PROCESS: Final = (
    Instrument("process.cpu", "counter", "s", "Processor time used, user and system.", across="each"),
    Instrument("process.resident.memory", "gauge", "By", "Resident memory."),
    Instrument("process.open_fds", "gauge", "", "Open file descriptors."),
    Instrument("process.start_time", "gauge", "s", "Unix time the process started at."),
)

INSTRUMENTS: Final = (
    SERVER_DURATION,
    CLIENT_DURATION,
    OVERHEAD,
    ACTIVE,
    REQUESTS,
    AUTHN,
    AUTHZ,
    SHADOW,
    VALIDATION,
    RATE_LIMITS,
    *COUNTED,
    *UPSTREAMS,
    *CUSTODY,
    *DETECTION,
    *PROCESS,
    BUILD,
)

UNITS: Final = {"s": "seconds", "By": "bytes"}


def prometheus_name(instrument: Instrument) -> str:
    """The Prometheus form of a name (OpenTelemetry specification, Prometheus compatibility): underscores, unit, `_total`."""
    name = instrument.name.replace(".", "_")
    unit = UNITS.get(instrument.unit, "")
    if unit and not name.endswith(unit):
        name = f"{name}_{unit}"
    if instrument is BUILD:
        return f"{name}_info"
    return f"{name}_total" if instrument.type == "counter" else name
