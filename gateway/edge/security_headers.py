"""The security header fields of answers: the OWASP Secure Headers set, merged with the configuration, as bytes.

Clear-Site-Data is left out (it belongs to a logout), X-XSS-Protection added as 0: the auditor it switches off leaks. Own
answers carry them all. On an upstream's answer, fields that shape how its pages work are added only where it has none.
"""

import re
from collections.abc import Mapping
from typing import Final

from gateway.core.message import Field

OWASP: Final = {
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Frame-Options": "deny",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": (
        "default-src 'self'; form-action 'self'; base-uri 'self'; object-src 'none'; frame-ancestors 'none'; "
        "upgrade-insecure-requests"
    ),
    "X-Permitted-Cross-Domain-Policies": "none",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": (
        "accelerometer=(), autoplay=(), camera=(), cross-origin-isolated=(), display-capture=(), encrypted-media=(), "
        "fullscreen=(), geolocation=(), gyroscope=(), keyboard-map=(), magnetometer=(), microphone=(), midi=(), payment=(), "
        "picture-in-picture=(), publickey-credentials-get=(), screen-wake-lock=(), sync-xhr=(self), usb=(), web-share=(), "
        "xr-spatial-tracking=(), clipboard-read=(), clipboard-write=(), gamepad=(), hid=(), idle-detection=(), "
        "interest-cohort=(), serial=(), unload=()"
    ),
    "X-DNS-Prefetch-Control": "off",
    "Cache-Control": "no-store, max-age=0",
    "X-XSS-Protection": "0",
}

HSTS: Final = b"strict-transport-security"
CACHE_CONTROL: Final = b"cache-control"

ADDED_IF_ABSENT: Final = frozenset(
    {
        b"content-security-policy",
        b"cross-origin-embedder-policy",
        b"cross-origin-opener-policy",
        b"cross-origin-resource-policy",
        b"permissions-policy",
        b"referrer-policy",
        b"x-dns-prefetch-control",
        b"x-frame-options",
        b"x-permitted-cross-domain-policies",
    }
)
"""On an upstream's answer its own value of these stands; whatever else is set here replaces it."""

NOT_HERE: Final = re.compile(
    r"access-control-.*|connection|content-(length|encoding|type)|date|keep-alive|location|proxy-.*|ratelimit.*|retry-after"
    r"|set-cookie|te|trailer|transfer-encoding|upgrade|vary|via|www-authenticate|x-request-id"
)

REVEALING_NAMES: Final = """
$wsep host-header k-proxy-request liferay-portal oraclecommercecloud-version pega-host powered-by product server sourcemap
x-aspnet-version x-aspnetmvc-version x-atmosphere-error x-atmosphere-first-request x-atmosphere-tracking-id
x-b3-parentspanid x-b3-sampled x-b3-spanid x-b3-traceid x-beserver x-backside-transport x-cf-powered-by x-cms
x-calculatedbetarget x-cocoon-version x-content-encoded-by x-datadog-origin x-datadog-parent-id
x-datadog-sampling-priority x-datadog-tags x-datadog-trace-id x-diaginfo x-envoy-attempt-count x-envoy-external-address
x-envoy-internal x-envoy-original-dst-host x-envoy-upstream-service-time x-feserver x-framework x-generated-by x-generator
x-gitlab-meta x-jitsi-release x-joomla-version x-kong-admin-latency x-kong-client-latency x-kong-proxy-latency
x-kong-request-id x-kong-response-latency x-kong-third-party-latency x-kong-total-latency x-kong-upstream-latency
x-kong-upstream-status x-kubernetes-pf-flowschema-ui x-kubernetes-pf-prioritylevel-uid x-litespeed-cache
x-litespeed-purge x-litespeed-tag x-litespeed-vary x-litespeed-cache-control x-mod-pagespeed x-nextjs-cache
x-nextjs-matched-path x-nextjs-page x-nextjs-redirect x-owa-version x-old-content-length x-oneagent-js-injection
x-page-speed x-php-version x-powered-by x-powered-by-plesk x-powered-cms x-redirect-by x-server-powered-by x-sourcefiles
x-sourcemap x-turbo-charged-by x-tyk-trace-id x-umbraco-version x-varnish-backend x-varnish-server x-woodpecker-version
x-dtagentid x-dthealthcheck x-dtinjectedservlet x-ruxit-js-agent
"""
REVEALING: Final = frozenset(name.encode() for name in REVEALING_NAMES.split())
"""Fields that tell what runs behind us: the OWASP Secure Headers list of headers to remove."""


class SecurityHeaders:
    """The merged set. `own` for the gateway's answers; of an upstream's `replaced` take the place, `absent` fill gaps.

    Each is a pair: over plain text, and over TLS, where Strict-Transport-Security joins (RFC 6797 7.2 forbids it elsewhere).
    `cache` is what an authenticated answer without Cache-Control gets. Raises ValueError for a field that has another source
    and for a value that is no field value.
    """

    __slots__ = ("absent", "cache", "own", "replaced")

    def __init__(self, config: Mapping[str, str | None]) -> None:
        fields = merged(config)
        plain = tuple(field for field in fields if field[0] != HSTS)
        self.own: tuple[tuple[Field, ...], tuple[Field, ...]] = (plain, fields)
        self.absent = tuple(field for field in fields if field[0] in ADDED_IF_ABSENT)
        replaced = tuple(field for field in fields if field[0] not in ADDED_IF_ABSENT and field[0] != CACHE_CONTROL)
        self.replaced = (tuple(field for field in replaced if field[0] != HSTS), replaced)
        self.cache: Field | None = next((field for field in fields if field[0] == CACHE_CONTROL), None)


def merged(config: Mapping[str, str | None]) -> tuple[Field, ...]:
    """The OWASP set with the configured fields over it; a configured null removes one. Raises ValueError."""
    values: dict[str, str | None] = {name.lower(): value for name, value in OWASP.items()}
    for name, value in config.items():
        if NOT_HERE.fullmatch(name.lower()):
            raise ValueError(f"{name}: not a security header; the gateway sets it elsewhere or must leave it alone")
        if value is not None and not (value.isascii() and value.isprintable() and value.strip() == value != ""):
            raise ValueError(f"{name}: a header value is printable ASCII")
        values[name.lower()] = value
    return tuple((name.encode("ascii"), value.encode("ascii")) for name, value in values.items() if value is not None)
