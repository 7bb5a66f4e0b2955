"""The proxies that are compared, one file each. A rival that is not installed or does not start is said to be so and left out."""

from bench.contenders.caddy import CADDY
from bench.contenders.contender import Contender
from bench.contenders.contextforge import CONTEXTFORGE
from bench.contenders.direct import DIRECT
from bench.contenders.envoy import ENVOY
from bench.contenders.gateway import GATEWAY, INTERPRETED
from bench.contenders.haproxy import HAPROXY
from bench.contenders.litellm import LITELLM
from bench.contenders.mitmproxy import MITMPROXY
from bench.contenders.nginx import NGINX
from bench.contenders.node_http_proxy import NODE_HTTP_PROXY
from bench.contenders.proxy_py import PROXY_PY

CONTENDERS: tuple[Contender, ...] = (
    DIRECT,
    NGINX,
    HAPROXY,
    ENVOY,
    CADDY,
    NODE_HTTP_PROXY,
    PROXY_PY,
    MITMPROXY,
    GATEWAY,
    INTERPRETED,
)

LONG: tuple[Contender, ...] = (CONTEXTFORGE, LITELLM)
"""Those that take long to install and are slow; they stand beside the full chain only."""

__all__ = [
    "CADDY",
    "CONTENDERS",
    "DIRECT",
    "ENVOY",
    "GATEWAY",
    "HAPROXY",
    "INTERPRETED",
    "LONG",
    "MITMPROXY",
    "NGINX",
    "NODE_HTTP_PROXY",
    "PROXY_PY",
]
