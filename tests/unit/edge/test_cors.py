"""Cross-origin requests: who may read answers, and who is never told so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import Forbidden
from gateway.core.message import Field
from gateway.core.reason import Reason
from gateway.edge import model
from gateway.edge.cors import Cors
from tests.fakes import a_request

APP = b"https://app.example.com"


def cors(*origins: str, **options: object) -> Cors:
    return Cors(model.Cors.model_validate({"origins": list(origins) or [APP.decode()], **options}))


def preflight_headers(origin: bytes = APP, method: bytes = b"POST", *more: Field) -> list[Field]:
    return [(b"origin", origin), (b"access-control-request-method", method), *more]


def value(fields: list[Field], name: bytes) -> bytes | None:
    return dict(fields).get(name)


LISTED = [
    ("https://app.example.com", b"https://app.example.com"),
    ("https://APP.example.com", b"https://app.example.com"),
    ("https://app.example.com:443", b"https://app.example.com"),
    ("http://localhost:3000", b"http://localhost:3000"),
    ("http://app.example.com:80", b"http://app.example.com"),
    ("https://app.example.com:8443", b"https://app.example.com:8443"),
    ("http://[::1]:3000", b"http://[::1]:3000"),
    ("https://*.example.com", b"https://a.example.com"),
    ("https://*.example.com", b"https://a.b-c.example.com"),
    ("https://*.example.com:8443", b"https://a.example.com:8443"),
    ("https://app.example.com", b"HTTPS://App.Example.com"),
    ("https://app.example.com.", b"https://app.example.com."),
    ("capacitor://localhost", b"capacitor://localhost"),
    ("ionic://localhost:80", b"ionic://localhost:80"),
    ("chrome-extension://abcdefghijklmnop", b"chrome-extension://abcdefghijklmnop"),
]

UNLISTED = [
    ("https://app.example.com", b"http://app.example.com"),
    ("https://app.example.com", b"https://app.example.com:8443"),
    ("https://app.example.com", b"https://app.example.com.evil.test"),
    ("https://app.example.com", b"https://app.example.comevil.test"),
    ("https://app.example.com", b"https://evil.test/https://app.example.com"),
    ("https://app.example.com", b"https://app.example.com/"),
    ("https://app.example.com", b"https://app.example.com, https://evil.test"),
    ("https://app.example.com", b"https://user@app.example.com"),
    ("https://app.example.com", b"null"),
    ("https://app.example.com", b""),
    ("https://app.example.com", b"https://appxexample.com"),
    ("https://*.example.com", b"https://example.com"),
    ("https://*.example.com", b"https://.example.com"),
    ("https://*.example.com", b"https://a..example.com"),
    ("https://*.example.com", b"https://evilexample.com"),
    ("https://*.example.com", b"https://evil.test/.example.com"),
    ("https://*.example.com", b"https://evil.test#.example.com"),
    ("https://*.example.com", b"https://evil.test?.example.com"),
    ("https://*.example.com", b"https://evil.test\\.example.com"),
    ("https://*.example.com", b"https://evil.test:80.example.com"),
    ("https://*.example.com", b"https://user@a.example.com"),
    ("https://*.example.com", b"http://a.example.com"),
    ("https://*.example.com", b"https://a.example.com:8443"),
    ("https://*.example.com", b"https://a.example.com\n"),
    ("https://*.example.com", b"https://a.exampleXcom"),
    ("https://*.example.com", b"https://*.example.com"),
    ("https://*.example.com", b"https://" + b"a." * 300 + b"example.com"),
    ("https://*.example.com", "https://\u00e9.example.com".encode()),
    ("*", b"null"),
    ("capacitor://localhost", b"https://localhost"),
    ("capacitor://localhost", b"http://localhost"),
    ("capacitor://localhost", b"ionic://localhost"),
    ("https://localhost", b"capacitor://localhost"),
    ("https://*.example.com.", b"https://a.example.com"),
]


@pytest.mark.parametrize(("listed", "origin"), LISTED, ids=str)
def test_listed_origin_is_named_as_browsers_write_it(listed: str, origin: bytes) -> None:
    policy = cors(listed)
    assert value(policy.fields(origin), b"access-control-allow-origin") == origin.lower()
    policy = cors(listed, enforce=True)
    policy.check(a_request(headers=[(b"origin", origin)]))


@pytest.mark.parametrize(("listed", "origin"), UNLISTED, ids=str)
def test_unlisted_origin_is_told_nothing_and_refused(listed: str, origin: bytes) -> None:
    policy = cors(listed, credentials=listed != "*", expose=["X-Request-Id"], enforce=True)
    assert policy.fields(origin) == [(b"vary", b"Origin")]
    with pytest.raises(Forbidden) as refused:
        policy.preflight(a_request("OPTIONS", headers=preflight_headers(origin)))
    assert refused.value.reason is Reason.ORIGIN_DENIED
    with pytest.raises(Forbidden):
        policy.check(a_request(headers=[(b"origin", origin)]))


@given(st.binary(max_size=60))
def test_no_bytes_but_a_listed_origin_are_ever_reflected(origin: bytes) -> None:
    allowed = cors("https://app.example.com", "https://*.example.com").allows(origin)
    assert allowed is None or allowed.endswith(b".example.com")


@given(st.from_regex(r"https://[a-z.*@:/\\#?%0-9-]{0,30}\.example\.com", fullmatch=True))
def test_wildcard_never_matches_another_host(origin: str) -> None:
    allowed = cors("https://*.example.com").allows(origin.encode())
    if allowed is not None:
        host = allowed.decode().removeprefix("https://")
        assert set(host) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-")
        assert ".." not in host


@pytest.mark.parametrize(
    "origin",
    ["null", "", "app.example.com", "https://", "https://app.example.com/", "https://app.example.com/path", "https://user@app.example.com",
     "https://*", "https://*.com", "https://a.*.example.com", "https://*example.com", "*.example.com", "capacitor:app", "1app://app", "https://*.com.", "https://app.example.com:0",
     "https://app.example.com:123456", "https://app example.com", "file://"],
)  # fmt: skip
def test_text_that_is_no_origin_is_refused_at_load(origin: str) -> None:
    with pytest.raises(ValueError, match=r"not an origin|too wide"):
        cors(origin)


def test_any_origin_together_with_credentials_is_refused_at_load() -> None:
    with pytest.raises(ValueError, match="credentials"):
        cors("*", credentials=True)


def test_any_origin_is_answered_with_a_star_and_never_with_its_name() -> None:
    fields = cors("*").fields(b"https://anybody.test")
    assert value(fields, b"access-control-allow-origin") == b"*"
    assert value(fields, b"access-control-allow-credentials") is None


def test_vary_is_there_with_and_without_an_origin() -> None:
    assert cors().fields(None) == [(b"vary", b"Origin")]
    assert (b"vary", b"Origin") in cors().fields(APP)


def test_credentials_and_exposed_headers_are_told_to_listed_origins() -> None:
    assert cors(credentials=True, expose=["X-Request-Id", "ETag"]).fields(APP) == [
        (b"vary", b"Origin"),
        (b"access-control-allow-origin", APP),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", b"X-Request-Id, ETag"),
    ]


def test_preflight_lists_what_is_allowed_whatever_was_asked_for() -> None:
    policy = cors(methods=["GET", "POST"], headers=["Authorization", "Content-Type"], max_age="10m")
    asked = (b"access-control-request-headers", b"x-evil, authorization")
    response = policy.preflight(a_request("OPTIONS", headers=preflight_headers(APP, b"DELETE", asked)))
    assert response is not None
    assert (response.status, response.body) == (204, b"")
    assert response.headers == [
        (b"vary", b"Access-Control-Request-Method, Access-Control-Request-Headers"),
        (b"access-control-allow-methods", b"GET, POST"),
        (b"access-control-max-age", b"600"),
        (b"access-control-allow-headers", b"Authorization, Content-Type"),
    ]


def test_answers_to_preflights_do_not_share_their_headers() -> None:
    policy = cors()
    request = a_request("OPTIONS", headers=preflight_headers())
    one, other = policy.preflight(request), policy.preflight(request)
    assert one is not None
    assert other is not None
    one.headers.append((b"x", b"y"))
    assert (b"x", b"y") not in other.headers


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("OPTIONS", [(b"origin", APP)]),
        ("OPTIONS", [(b"access-control-request-method", b"POST")]),
        ("POST", preflight_headers()),
        ("GET", preflight_headers(b"https://evil.test")),
    ],
    ids=["no announced method", "no origin", "not OPTIONS", "not OPTIONS, unlisted"],
)
def test_other_requests_are_no_preflights(method: str, headers: list[Field]) -> None:
    assert cors().preflight(a_request(method, headers=headers)) is None


def test_origin_that_comes_twice_is_refused() -> None:
    twice = [(b"origin", APP), *preflight_headers(b"https://evil.test")]
    with pytest.raises(Forbidden):
        cors().preflight(a_request("OPTIONS", headers=twice))
    with pytest.raises(Forbidden):
        cors(enforce=True).check(a_request(headers=twice))


def test_request_without_origin_passes_an_enforced_policy() -> None:
    cors(enforce=True).check(a_request("POST"))


def test_unlisted_origin_passes_a_policy_that_is_not_enforced() -> None:
    cors().check(a_request("POST", headers=[(b"origin", b"https://evil.test")]))


def test_route_without_a_policy_answers_no_preflight_and_says_nothing() -> None:
    none = Cors(None)
    assert not none.answers
    assert none.preflight(a_request("OPTIONS", headers=preflight_headers())) is None
    assert none.fields(APP) == []
    none.check(a_request(headers=[(b"origin", b"https://evil.test")]))
