"""What upstreams, minted tokens, grants and stored secrets are asked for when somebody looks, and what detection counts. Part of
the closed list of `instruments`."""

from typing import Final

from gateway.telemetry.instrument import Instrument

UPSTREAMS: Final = (
    Instrument(
        "gateway.upstream.connections", "gauge", "{connection}", "Connections to an upstream.", ("upstream", "state"), across="sum"
    ),
    Instrument(
        "gateway.upstream.waiting", "gauge", "{request}", "Requests that wait for a connection.", ("upstream",), across="sum"
    ),
    Instrument("gateway.upstream.addresses", "gauge", "{address}", "Addresses of an upstream's targets.", ("upstream", "state")),
    Instrument(
        "gateway.upstream.quota_remaining",
        "gauge",
        "{request}",
        "Requests an upstream's quota has left, where it says so.",
        ("upstream", "credential"),
    ),
    Instrument(
        "gateway.upstream.quota_paused", "gauge", "{quota}", "Quotas an upstream asked to pause.", ("upstream", "credential")
    ),
    Instrument("gateway.upstream.circuit_open", "gauge", "", "1 while a circuit breaker refuses requests.", ("upstream",)),
)
"""What upstreams are asked for when somebody looks."""

CUSTODY: Final = (
    Instrument(
        "gateway.tokens.expiry",
        "gauge",
        "s",
        "Seconds until the first of a credential's minted tokens ends, of those that have not.",
        ("credential",),
        across="min",
    ),
    Instrument(
        "gateway.tokens.last_error",
        "gauge",
        "s",
        "Unix time at which a token could not be minted last; 0 while that never happened.",
        ("credential",),
        across="max",
    ),
    Instrument(
        "gateway.grant.expiry",
        "gauge",
        "s",
        "Seconds until the first token of the grants in use at a provider ends, of those that have not.",
        ("provider",),
        across="min",
    ),
    Instrument(
        "gateway.grant.last_error",
        "gauge",
        "s",
        "Unix time at which a grant could not be refreshed last; 0 while that never happened.",
        ("provider",),
        across="max",
    ),
    Instrument(
        "gateway.secret.expiry",
        "gauge",
        "s",
        "Seconds until a secret of the database ends by its `expires_at`; below 0 once it has.",
        ("source",),
        across="min",
    ),
)
"""What minted tokens, grants and stored secrets are asked for when somebody looks."""

TOKEN_SERVICE: Final = (
    Instrument("gateway.token_service.issued", "counter", "{token}", "Access tokens that the gateway issued.", ("grant",)),
    Instrument("gateway.token_service.refused", "counter", "{request}", "Requests for a token that were refused.", ("error",)),
    Instrument(
        "gateway.token_service.store_failures", "counter", "{failure}", "Failed calls of the store that shares what was revoked."
    ),
)
"""What the gateway issues itself."""

DETECTION: Final = (
    Instrument(
        "gateway.detection.failures",
        "counter",
        "{credential}",
        "Credentials that were presented and failed; `no`: of an address that is never blocked.",
        ("counted",),
    ),
    Instrument(
        "gateway.detection.blocks",
        "counter",
        "{address}",
        "Addresses blocked: for their failures, or for one against an identity that is being guessed.",
        ("cause",),
    ),
    Instrument("gateway.detection.blocked", "gauge", "{address}", "Addresses refused now.", across="max"),
    Instrument("gateway.detection.delays", "counter", "{delay}", "Times an address was told to wait."),
    Instrument(
        "gateway.detection.forgotten", "counter", "{entry}", "Entries that left a full table before their time.", ("table",)
    ),
    Instrument("gateway.detection.signals", "counter", "{signal}", "Signs of theft that were noticed.", ("kind",)),
    Instrument("gateway.detection.store_failures", "counter", "{failure}", "Failed calls of the store that shares blocks."),
    *TOKEN_SERVICE,
)
"""Who is guessing, and what is issued."""
