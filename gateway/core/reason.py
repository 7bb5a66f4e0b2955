"""Why the gateway answered as it did: one closed list.

A reason is audit field, metric label and problem type at once, so it is never renamed after a release.
"""

from enum import StrEnum
from http import HTTPStatus
from typing import Final


class Reason(StrEnum):
    """The stable slug of a refusal or failure."""

    MALFORMED_REQUEST = "malformed-request"
    PATH_REFUSED = "path-refused"
    PARAM_INVALID = "param-invalid"
    QUERY_INVALID = "query-invalid"
    CREDENTIAL_AMBIGUOUS = "credential-ambiguous"
    STATE_INVALID = "state-invalid"
    CREDENTIAL_MISSING = "credential-missing"
    CREDENTIAL_INVALID = "credential-invalid"
    CREDENTIAL_EXPIRED = "credential-expired"
    STEP_UP_REQUIRED = "step-up-required"
    POLICY_DENIED = "policy-denied"
    INSUFFICIENT_SCOPE = "insufficient-scope"
    ORIGIN_DENIED = "origin-denied"
    ADDRESS_BLOCKED = "address-blocked"
    UPSTREAM_CREDENTIAL_MISSING = "upstream-credential-missing"
    RESPONSE_WITHHELD = "response-withheld"
    TLS_REQUIRED = "tls-required"
    NO_ROUTE = "no-route"
    NOT_FOUND = "not-found"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    REQUEST_TIMEOUT = "request-timeout"
    BODY_TOO_LARGE = "body-too-large"
    TARGET_TOO_LONG = "target-too-long"
    MEDIA_TYPE = "media-type"
    EXPECTATION_FAILED = "expectation-failed"
    MISDIRECTED = "misdirected"
    BODY_INVALID = "body-invalid"
    UPGRADE_REQUIRED = "upgrade-required"
    RATE_LIMITED = "rate-limited"
    HEADERS_TOO_LARGE = "headers-too-large"
    INTERNAL = "internal"
    METHOD_NOT_IMPLEMENTED = "method-not-implemented"
    VERSION_NOT_SUPPORTED = "version-not-supported"
    LOOP_DETECTED = "loop-detected"
    UPSTREAM_UNREACHABLE = "upstream-unreachable"
    UPSTREAM_PROTOCOL = "upstream-protocol"
    UPSTREAM_OVERLOADED = "upstream-overloaded"
    DEPENDENCY_DOWN = "dependency-down"
    DRAINING = "draining"
    OVERLOADED = "overloaded"
    AUDIT_FULL = "audit-full"
    UPSTREAM_TIMEOUT = "upstream-timeout"


STATUS: Final[dict[Reason, int]] = {
    Reason.MALFORMED_REQUEST: 400,
    Reason.PATH_REFUSED: 400,
    Reason.PARAM_INVALID: 400,
    Reason.QUERY_INVALID: 400,
    Reason.CREDENTIAL_AMBIGUOUS: 400,
    Reason.STATE_INVALID: 400,
    Reason.CREDENTIAL_MISSING: 401,
    Reason.CREDENTIAL_INVALID: 401,
    Reason.CREDENTIAL_EXPIRED: 401,
    Reason.STEP_UP_REQUIRED: 401,
    Reason.POLICY_DENIED: 403,
    Reason.INSUFFICIENT_SCOPE: 403,
    Reason.ORIGIN_DENIED: 403,
    Reason.ADDRESS_BLOCKED: 403,
    Reason.UPSTREAM_CREDENTIAL_MISSING: 403,
    Reason.RESPONSE_WITHHELD: 403,
    Reason.TLS_REQUIRED: 403,
    Reason.NO_ROUTE: 404,
    Reason.NOT_FOUND: 404,
    Reason.METHOD_NOT_ALLOWED: 405,
    Reason.REQUEST_TIMEOUT: 408,
    Reason.BODY_TOO_LARGE: 413,
    Reason.TARGET_TOO_LONG: 414,
    Reason.MEDIA_TYPE: 415,
    Reason.EXPECTATION_FAILED: 417,
    Reason.MISDIRECTED: 421,
    Reason.BODY_INVALID: 422,
    Reason.UPGRADE_REQUIRED: 426,
    Reason.RATE_LIMITED: 429,
    Reason.HEADERS_TOO_LARGE: 431,
    Reason.INTERNAL: 500,
    Reason.METHOD_NOT_IMPLEMENTED: 501,
    Reason.VERSION_NOT_SUPPORTED: 505,
    Reason.LOOP_DETECTED: 508,
    Reason.UPSTREAM_UNREACHABLE: 502,
    Reason.UPSTREAM_PROTOCOL: 502,
    Reason.UPSTREAM_OVERLOADED: 503,
    Reason.DEPENDENCY_DOWN: 503,
    Reason.DRAINING: 503,
    Reason.OVERLOADED: 503,
    Reason.AUDIT_FULL: 503,
    Reason.UPSTREAM_TIMEOUT: 504,
}

IN_DOUBT: Final = frozenset(
    (
        Reason.MALFORMED_REQUEST,
        Reason.PATH_REFUSED,
        Reason.QUERY_INVALID,
        Reason.REQUEST_TIMEOUT,
        Reason.BODY_TOO_LARGE,
        Reason.TARGET_TOO_LONG,
        Reason.HEADERS_TOO_LARGE,
        Reason.METHOD_NOT_IMPLEMENTED,
        Reason.VERSION_NOT_SUPPORTED,
    )
)
"""The message was not read to its end, or another reader could have read something else: its connection ends with the answer.

RFC 9112 9.6 lets a server close, 2.2 and 6.3 bid it to where framing is in doubt. Refusals not in here were understood to the
last byte: what follows is surely the next request.
"""


# RFC 9110's names; the standard library had older ones before Python 3.13, and answers are the same bytes on every version.
RENAMED: Final = {413: "Content Too Large", 414: "URI Too Long", 422: "Unprocessable Content"}


def title(status: int) -> str:
    """The HTTP reason phrase, RFC 9110 section 15."""
    return RENAMED.get(status) or HTTPStatus(status).phrase
