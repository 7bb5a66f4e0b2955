"""Problem documents: the exact bytes for every reason, and nothing a client should not learn."""

import json

import pytest

from gateway.core.errors import BadRequest, GatewayError, InternalError, LimitExceeded, MethodNotAllowed
from gateway.core.reason import IN_DOUBT, STATUS, Reason
from gateway.edge.problem import render

ID = "01920b7e-8c4a-7d3e-9f21-5a6b7c8d9e0f"
NOW = 1_795_258_680.9
TAIL = f'"timestamp":"2026-11-21T10:58:00Z","request_id":"{ID}"}}'

BAD = ("Bad Request", 400, "The request is malformed")
WHO = ("Unauthorized", 401, "The request requires valid authentication")
DENIED = ("Forbidden", 403, "The request was denied")
FAILED = "An error occurred while processing the request"
SERVICE = ("Service Unavailable", 503, FAILED)

GOLDEN = {
    "malformed-request": BAD,
    "path-refused": BAD,
    "param-invalid": BAD,
    "query-invalid": BAD,
    "credential-ambiguous": BAD,
    "state-invalid": BAD,
    "credential-missing": WHO,
    "credential-invalid": WHO,
    "credential-expired": WHO,
    "step-up-required": WHO,
    "policy-denied": DENIED,
    "insufficient-scope": DENIED,
    "origin-denied": DENIED,
    "address-blocked": DENIED,
    "upstream-credential-missing": DENIED,
    "response-withheld": DENIED,
    "tls-required": DENIED,
    "no-route": ("Not Found", 404, "The requested resource was not found"),
    "not-found": ("Not Found", 404, "The requested resource was not found"),
    "method-not-allowed": ("Method Not Allowed", 405, "The method is not allowed for this resource"),
    "request-timeout": ("Request Timeout", 408, "The request was not completed in time"),
    "body-too-large": ("Content Too Large", 413, "The request body is too large"),
    "target-too-long": ("URI Too Long", 414, "The request target is too long"),
    "media-type": ("Unsupported Media Type", 415, "The media type is not supported"),
    "expectation-failed": ("Expectation Failed", 417, "The expectation cannot be met"),
    "upgrade-required": ("Upgrade Required", 426, "The request requires another version of the protocol"),
    "misdirected": ("Misdirected Request", 421, "The request was sent to the wrong host"),
    "body-invalid": ("Unprocessable Content", 422, "The request body is invalid"),
    "rate-limited": ("Quota Exceeded", 429, "Too many requests were sent"),
    "headers-too-large": ("Request Header Fields Too Large", 431, "The request header fields are too large"),
    "internal": ("Internal Server Error", 500, FAILED),
    "method-not-implemented": ("Not Implemented", 501, FAILED),
    "version-not-supported": ("HTTP Version Not Supported", 505, FAILED),
    "loop-detected": ("Loop Detected", 508, FAILED),
    "upstream-unreachable": ("Bad Gateway", 502, FAILED),
    "upstream-protocol": ("Bad Gateway", 502, FAILED),
    "upstream-overloaded": SERVICE,
    "dependency-down": SERVICE,
    "draining": SERVICE,
    "overloaded": SERVICE,
    "audit-full": SERVICE,
    "upstream-timeout": ("Gateway Timeout", 504, FAILED),
}


def test_every_reason_has_its_golden_bytes() -> None:
    assert set(GOLDEN) == {str(reason) for reason in Reason} == {str(reason) for reason in STATUS}


@pytest.mark.parametrize("reason", list(Reason), ids=str)
def test_answer_to_a_reason_is_these_bytes(reason: Reason) -> None:
    title, status, text = GOLDEN[reason]
    kind = f"urn:latchgate:problem:{reason}"
    if reason is Reason.RATE_LIMITED:
        kind = "https://iana.org/assignments/http-problem-types#quota-exceeded"
    response = render(GatewayError("canary", reason=reason), request_id=ID, now=NOW)
    expected = f'{{"type":"{kind}","title":"{title}","status":{status},"instance":"urn:uuid:{ID}","error":"{text}",{TAIL}'
    assert response.body == expected.encode()
    assert response.status == status
    assert response.headers == [(b"content-type", b"application/problem+json"), (b"cache-control", b"no-store")]
    assert response.own
    assert response.close is (reason in IN_DOUBT)


def test_detail_never_reaches_the_client() -> None:
    response = render(InternalError("rule=admin/only upstream=10.0.0.7 canary"), request_id=ID, now=NOW)
    assert b"canary" not in response.body
    assert all(b"canary" not in value for _, value in response.headers)


def test_headers_and_close_of_the_error_are_the_answers() -> None:
    allow = (b"allow", b"GET, HEAD")
    assert allow in render(MethodNotAllowed(headers=[allow]), request_id=ID, now=NOW).headers
    assert render(BadRequest(close=True), request_id=ID, now=NOW).close


def test_members_follow_the_fixed_ones_in_order() -> None:
    error = LimitExceeded(members={"violated-policies": ["per-address"]})
    assert render(error, request_id=ID, now=NOW).body.endswith(b'","violated-policies":["per-address"]}')


def test_members_cannot_replace_the_fixed_ones() -> None:
    error = BadRequest(members={"status": 200, "error": "canary", "errors": [{"pointer": "/a", "keyword": "type"}]})
    document = json.loads(render(error, request_id=ID, now=NOW).body)
    assert document["status"] == 400
    assert "canary" not in str(document)
    assert document["errors"] == [{"pointer": "/a", "keyword": "type"}]


def test_id_of_a_trusted_proxy_that_is_no_uuid_makes_another_urn() -> None:
    document = json.loads(render(BadRequest(), request_id="abc.DEF-1", now=NOW).body)
    assert document["instance"] == "urn:latchgate:request:abc.DEF-1"
    assert document["request_id"] == "abc.DEF-1"


def test_document_is_ascii_whatever_a_member_holds() -> None:
    error = BadRequest(members={"errors": [{"pointer": "/\u00e9\u2028<script>", "keyword": "type"}]})
    assert render(error, request_id=ID, now=NOW).body.isascii()


@pytest.mark.parametrize("reason", [Reason.CREDENTIAL_MISSING, Reason.CREDENTIAL_EXPIRED], ids=str)
def test_text_gives_no_hint_whether_a_credential_exists(reason: Reason) -> None:
    texts = {
        json.loads(render(GatewayError(reason=each), request_id=ID, now=NOW).body)["error"]
        for each in (reason, Reason.CREDENTIAL_INVALID)
    }
    assert len(texts) == 1
