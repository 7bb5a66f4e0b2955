"""The closed catalogue of audit events: how grave each is, and which fields it has. A name is never changed after a release."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

WHO: Final = ("request_id", "trace_id", "client", "issuer", "subject", "scheme", "credential_id", "route", "reason", "detail")
"""What any event may tell beside its own fields."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One entry of the catalogue: how grave it is, and which fields it has beside `ts`, `event`, `level` and WHO."""

    level: str
    fields: tuple[str, ...] = ()


REQUEST: Final = (
    "ts",
    "event",
    "request_id",
    "trace_id",
    "generation",
    "client",
    "issuer",
    "subject",
    "scheme",
    "credential_id",
    "roles",
    "route",
    "params",
    "method",
    "path",
    "status",
    "reason",
    "decision",
    "rule",
    "upstream",
    "credential",
    "bytes_in",
    "bytes_out",
    "duration_ms",
    "upstream_ms",
)
"""The request event's fields, in the order they are written. Further ones follow only where they have a value."""

WHO_ASKED: Final = REQUEST[REQUEST.index("generation") : REQUEST.index("params")]
HOW_IT_ENDED: Final = REQUEST[REQUEST.index("status") : REQUEST.index("bytes_in")]

KEY_FIELDS: Final = ("id", "name", "roles", "permissions", "routes", "addresses", "expires_at", "operator")
CATALOGUE: Final[Mapping[str, Kind]] = {
    "request": Kind("info", REQUEST),
    "auth.login.success": Kind("info"),
    "auth.login.failed": Kind("warning", ("count",)),
    "auth.token.invalid": Kind("warning", ("kid", "algorithm", "count")),
    "auth.key.created": Kind("info", KEY_FIELDS),
    "auth.key.revoked": Kind("info", KEY_FIELDS),
    "auth.key.rotated": Kind("info", (*KEY_FIELDS, "replaces")),
    "token.refreshed": Kind("info", ("credential", "provider", "expires_at")),
    "grant.connected": Kind("info", ("provider", "scopes", "expires_at", "version", "replaced", "account", "operator")),
    "grant.disconnected": Kind("info", ("provider", "scopes", "version", "revoked", "operator")),
    "limit.exceeded": Kind("warning", ("policy", "quota", "window", "retry_after", "backend")),
    "address.blocked": Kind("warning", ("network", "until", "count")),
    "config.changed": Kind("info", ("generation", "previous", "files", "changes")),
    "config.refused": Kind("error", ("generation", "problems", "files")),
    "validation.failed": Kind("warning", ("pointer", "keyword", "count")),
    "secret.accessed": Kind("info", ("source", "outcome", "version", "fingerprint", "cause")),
    "gateway.started": Kind("info", ("version", "generation", "listeners", "pid")),
    "gateway.stopped": Kind("info", ("version", "generation", "pid", "cut_off")),
    "worker.started": Kind("info", ("worker", "generation", "pid")),
    "worker.stopped": Kind("info", ("worker", "generation", "pid", "exit", "cut_off")),
    "websocket.opened": Kind("info", ("upstream", "credential")),
    "secret.refused": Kind("error", ("entry", "fault")),
    "credential.captured": Kind("info", ("upstream", "credential", "fields", "fingerprint", "expires_at")),
    "placeholder.refused": Kind("warning", ("upstream", "credential", "fault")),
    "secret.replaced": Kind("info", ("entry", "key")),
    "secret.revoked": Kind("warning", ("entry",)),
    "secret.rotated": Kind("info", ("entry", "credential", "operator")),
    "secret.retired": Kind("info", ("entry", "credential", "operator")),
    "secret.rotation.failed": Kind("error", ("entry", "credential", "step", "operator")),
    "secret.rotation.orphaned": Kind("error", ("entry", "step")),
    "secret.rotation.forgotten": Kind("warning", ("entry", "step", "operator")),
    "grant.refreshed": Kind("info", ("provider", "scopes", "expires_at", "version", "fingerprint")),
    "grant.refresh.failed": Kind("warning", ("provider", "version")),
    "grant.broken": Kind("warning", ("provider", "problem", "version")),
    "grant.lost": Kind("error", ("provider", "version")),
    "grant.refused": Kind("error", ("provider", "fault", "version")),
    "session.ended": Kind("info", ("cause", "operator")),
    "auth.key.refused": Kind("error", ("id", "fault")),
    "address.released": Kind("info", ("network",)),
    "identity.attacked": Kind("warning", ("count",)),
    "token.issued": Kind("info", ("grant", "client_id", "source", "scopes", "audience", "expires_at")),
    "operator.login": Kind("info", ("operator", "role", "factor")),
    "operator.login.failed": Kind("warning", ("operator",)),
    "operator.logout": Kind("info", ("operator",)),
    "operator.account": Kind("info", ("operator", "account", "role", "action")),
    "operator.acted": Kind("info", ("operator", "action", "target")),
    "operator.refused": Kind("error", ("operator",)),
    "operator.key.cloned": Kind("error", ("operator",)),
    "auth.token.replayed": Kind("warning"),
    "auth.token.reused": Kind("warning"),
    "auth.session.moved": Kind("warning"),
    "token.revoked": Kind("info", ("client_id", "kind")),
    "consent.given": Kind("info", ("client_id", "scopes", "audiences")),
    "consent.refused": Kind("info", ("client_id", "scopes", "audiences")),
}
