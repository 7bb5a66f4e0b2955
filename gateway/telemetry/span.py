"""Spans as plain values: what a request's spans say, before any library sees them. HTTP conventions v1.44 (stable)."""

from typing import Final, NamedTuple

from gateway.core.exchange import Exchange
from gateway.core.reason import Reason
from gateway.telemetry.names import Names
from gateway.telemetry.projection import client_error_type, error_type
from gateway.telemetry.redact import redact_query, scrub, visible
from gateway.telemetry.series import METHODS, OTHER

TEXT: Final = 1024
REASONS: Final = frozenset(str(reason) for reason in Reason)
CLIENT_GONE: Final = "client-gone"
"""What `exchange.error` says of a client that left: a deliberate end, no error of ours."""

Attributes = dict[str, str | int]


class Remote(NamedTuple):
    """A span elsewhere, as a `traceparent` names it: 32 and 16 hex digits."""

    trace_id: str
    span_id: str
    sampled: bool


class Span(NamedTuple):
    """One finished span. Times in Unix nanoseconds, ids as hex digits."""

    kind: str
    name: str
    trace_id: str
    span_id: str
    parent: Remote | None
    link: Remote | None
    start: int
    end: int
    attributes: Attributes
    failed: bool


def server_attributes(exchange: Exchange, names: Names) -> Attributes:
    """Attributes of the SERVER span. No header but User-Agent, no subject, no secret of the query."""
    host, port = split_authority(exchange.host)
    found: dict[str, str | int | None] = {
        **_method(exchange),
        "url.path": scrub(exchange.path[:TEXT]) or None,
        "url.query": redact_query(exchange.query[:TEXT], names.hidden) if exchange.query else None,
        "url.scheme": "https" if exchange.secure else "http",
        "http.response.status_code": exchange.status,
        "http.route": names.routes.get(exchange.route) if exchange.route else None,
        "server.address": host,
        "server.port": port,
        "client.address": exchange.client or None,
        "network.peer.address": exchange.peer or None,
        "network.protocol.version": exchange.version,
        "user_agent.original": scrub(exchange.user_agent[:TEXT].decode("latin-1")) if exchange.user_agent else None,
        "error.type": _broken(exchange) or error_type(exchange.status, exchange.reason),
        "gateway.request_id": exchange.id,
        "gateway.route": exchange.route,
        "gateway.reason": exchange.reason,
        "gateway.generation": exchange.generation,
    }
    if exchange.decision is not None:
        found["gateway.decision"] = "allow" if exchange.decision.allowed else "deny"
        found["gateway.rule"] = exchange.decision.rule
    return _bounded(found)


def client_attributes(exchange: Exchange, names: Names) -> Attributes:
    """Attributes of the CLIENT span: the URL as it was before a credential was added."""
    origin = names.upstreams.get(exchange.upstream or "")
    peer, peer_port = split_authority(exchange.upstream_address or "")
    status = exchange.upstream_status
    return _bounded(
        {
            **_method(exchange),
            "server.address": origin.host if origin else exchange.upstream,
            "server.port": origin.port if origin else None,
            "url.full": f"{origin.url}{_target(exchange, names)}" if origin else None,
            "http.response.status_code": status,
            "error.type": client_error_type(status, exchange.reason) if client_failed(exchange) else None,
            "http.request.resend_count": exchange.retries or None,
            "network.peer.address": peer,
            "network.peer.port": peer_port,
            "network.protocol.version": "2" if exchange.upstream in names.http2 else "1.1",
            "gateway.upstream": exchange.upstream,
            "gateway.credential": exchange.credential,
        }
    )


def server_name(exchange: Exchange, names: Names) -> str:
    """`{method} {http.route}`, never the raw path."""
    method = exchange.method if exchange.method in METHODS else "HTTP"
    route = names.routes.get(exchange.route, exchange.route) if exchange.route else None
    return f"{method} {visible(route)}" if route else method


def server_failed(exchange: Exchange) -> bool:
    """5xx, or an answer that broke; 4xx leave a server span's status unset."""
    return _broken(exchange) is not None or (exchange.status is not None and exchange.status >= 500)


def client_failed(exchange: Exchange) -> bool:
    """4xx, 5xx or no answer; that our own client left is not an error."""
    if exchange.upstream_status is not None:
        return exchange.upstream_status >= 400
    return exchange.reason is not None


def split_authority(text: str) -> tuple[str | None, int | None]:
    """`host:443`, `[::1]:443` or `https://host` -> host and port, None where not told."""
    authority = text.rpartition("://")[2].split("/", 1)[0]
    if not authority:
        return None, None
    if authority.startswith("["):
        host, _, rest = authority[1:].partition("]")
        port = rest.removeprefix(":")
    elif authority.count(":") == 1:
        host, _, port = authority.partition(":")
    else:
        host, port = authority, ""
    return host or None, int(port) if port.isascii() and port.isdigit() and len(port) < 6 else None


def _method(exchange: Exchange) -> dict[str, str | int | None]:
    if exchange.method in METHODS:
        return {"http.request.method": exchange.method}
    return {"http.request.method": OTHER, "http.request.method_original": exchange.method[:64]}


def _target(exchange: Exchange, names: Names) -> str:
    if exchange.upstream_target is None:
        path, query = exchange.path, exchange.query
    else:
        raw, mark, rest = exchange.upstream_target[: 2 * TEXT].partition(b"?")
        path, query = raw.decode("latin-1"), rest if mark else None
    path = scrub(path[:TEXT])
    return f"{path}?{redact_query(query[:TEXT], names.hidden)}" if query else path


def _broken(exchange: Exchange) -> str | None:
    """Why an answer broke off, from a closed list: `error.type` is low in cardinality and no place for free text."""
    if exchange.error is None or exchange.error == CLIENT_GONE:
        return None
    return exchange.error if exchange.error in REASONS else "broken"


def _bounded(found: dict[str, str | int | None]) -> Attributes:
    return {
        name: value
        if isinstance(value, int) or (len(value) <= TEXT and value.isascii() and value.isprintable())
        else visible(value[:TEXT])
        for name, value in found.items()
        if value is not None
    }
