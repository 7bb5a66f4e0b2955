"""What an answer carries back to the client."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.message import Field, Outbound, Response
from gateway.core.shape import split
from gateway.scrub.needles import Needles
from gateway.upstream.answer import ResponseFields
from gateway.upstream.owned import HOP_BY_HOP
from gateway.upstream.target import parse_target
from tests.scripted import outbound


def duty(url: str = "https://api.example.com", *, drop: bool = False, preserve: bool = False) -> ResponseFields:
    return ResponseFields([parse_target(url)], drop_cookies=drop, reserved_cookies=frozenset({b"own"}), preserve_host=preserve)


def answered(*fields: Field, status: int = 200, by: ResponseFields | None = None, to: Outbound | None = None) -> list[Field]:
    response = Response.passed(status, *split(fields))
    (by or duty()).complete(response, to or outbound())
    return list(zip(response.shape.names, response.values, strict=True))


@pytest.mark.parametrize("name", sorted(HOP_BY_HOP | {b"alt-svc"}), ids=bytes.decode)
def test_hop_by_hop_fields_stay_behind(name: bytes) -> None:
    assert answered((name, b"x"), (b"etag", b"1")) == [(b"etag", b"1")]


def test_what_connection_names_stays_behind_but_never_the_framing() -> None:
    fields = [(b"connection", b"close, X-Hop, content-length"), (b"x-hop", b"1"), (b"content-length", b"5"), (b"etag", b"2")]
    assert answered(*fields) == [(b"content-length", b"5"), (b"etag", b"2")]


@pytest.mark.parametrize("value", [b"keep-alive", b"Keep-Alive", b"keep-alive, x-hop", b"x-hop", b"X-Hop ,keep-alive"])
def test_connection_is_read_however_usual_it_looks(value: bytes) -> None:
    hop = (b"x-hop", b"1")
    dropped = b"hop" in value.lower()
    fields = [(b"etag", b"2"), (b"connection", value), hop, (b"keep-alive", b"timeout=5")]
    assert answered(*fields) == ([(b"etag", b"2")] if dropped else [(b"etag", b"2"), hop])
    assert answered((b"connection", b"x-hop"), hop, (b"connection", value)) == []


def test_a_204_has_no_length() -> None:
    assert answered((b"content-length", b"5"), (b"etag", b"1"), status=204) == [(b"etag", b"1")]


def test_cookies_are_dropped_where_a_credential_is_shared() -> None:
    assert answered((b"set-cookie", b"a=b"), (b"etag", b"1"), by=duty(drop=True)) == [(b"etag", b"1")]


@pytest.mark.parametrize(
    ("given_", "passed"),
    [
        (b"a=b", b"a=b; Secure; HttpOnly; SameSite=Lax"),
        (b"a=b; Domain=.example.com; Path=/x; domain=y", b"a=b; Path=/x; Secure; HttpOnly; SameSite=Lax"),
        (b"a=b; SameSite=None; secure; HTTPONLY; Max-Age=5", b"a=b; Max-Age=5; Secure; HttpOnly; SameSite=Lax"),
        (b"a=b;; DOMAIN =x ;", b"a=b; Secure; HttpOnly; SameSite=Lax"),
        (b"own=stolen; Path=/", None),
        (b"=nameless", None),
        (b"nothing", None),
    ],
)
def test_a_cookie_that_passes_is_tied_to_this_host(given_: bytes, passed: bytes | None) -> None:
    assert answered((b"set-cookie", given_)) == ([] if passed is None else [(b"set-cookie", passed)])


SECRETS = (Needles(b"t0ken-value", b"Bearer t0ken-value", b"Basic dXNlcjpwYXNz", b""),)


@pytest.mark.parametrize(
    ("name", "value", "masked"),
    [
        (b"x-echo", b"Bearer t0ken-value", b"Bearer REDACTED"),
        (b"x-echo", b"bearer t0ken-value", b"bearer REDACTED"),
        (b"location", b"https://other.example/?key=t0ken-value&x=1", b"https://other.example/?key=REDACTED&x=1"),
        (b"x-echo", b"Basic dXNlcjpwYXNz", b"Basic REDACTED"),
        (b"x-echo", b"dXNlcjpwYXNz", b"REDACTED"),
        (b"set-cookie", b"t=t0ken-value", b"t=REDACTED; Secure; HttpOnly; SameSite=Lax"),
        (b"x-echo", b"nothing", b"nothing"),
    ],
)
def test_an_injected_secret_never_comes_back(name: bytes, value: bytes, masked: bytes) -> None:
    to = outbound()
    to.secrets = SECRETS
    assert answered((name, value), to=to) == [(name, masked)]


def test_the_framing_is_not_redacted() -> None:
    to = outbound()
    to.secrets = (Needles(b"12"),)
    assert answered((b"content-length", b"123"), (b"x", b"a12b"), to=to) == [(b"content-length", b"123"), (b"x", b"aREDACTEDb")]


@given(st.binary(min_size=1, max_size=6).filter(lambda word: word != b"Basic "), st.binary(max_size=30), st.binary(max_size=30))
def test_no_value_holds_a_secret(secret: bytes, before: bytes, after: bytes) -> None:
    to = outbound()
    to.secrets = (Needles(secret),)
    ((_, value),) = answered((b"x-echo", before + secret + after), to=to)
    assert secret not in value.replace(b"REDACTED", b"") or secret in b"REDACTED" or secret in before + after


MAPPINGS = [
    # upstream, asked path, sent target, given, passed
    ("https://api.example.com", "/gh/a", b"/a", b"https://api.example.com/b?c#d", b"/gh/b?c#d"),
    ("https://api.example.com", "/gh/a", b"/a?q", b"HTTPS://API.example.com:443/b", b"/gh/b"),
    ("https://api.example.com", "/gh/a", b"/a", b"//api.example.com/b", b"/gh/b"),
    ("https://api.example.com", "/gh/a", b"/a", b"/b", b"/gh/b"),
    ("https://api.example.com", "/gh", b"/", b"https://api.example.com", b"/gh/"),
    ("https://api.example.com", "/gh/", b"/", b"https://api.example.com?x", b"/gh/?x"),
    ("https://api.example.com", "/a", b"/a", b"https://api.example.com/b", b"/b"),
    ("https://api.example.com/v1", "/a", b"/v1/a", b"https://api.example.com/v1/b", b"/b"),
    ("https://api.example.com/v1", "/gh/a", b"/v1/a", b"/v1", b"/gh/"),
    ("https://api.example.com/v1", "/gh/a", b"/v1/a", b"/v10/b", b"/v10/b"),
    ("https://api.example.com/v1", "/gh/a", b"/v1/a", b"https://api.example.com/other", b"https://api.example.com/other"),
    ("https://api.example.com:8443", "/a", b"/a", b"https://api.example.com/b", b"https://api.example.com/b"),
    ("https://api.example.com", "/a", b"/a", b"http://api.example.com/b", b"http://api.example.com/b"),
    ("https://api.example.com", "/a", b"/a", b"https://api.example.com.evil.example/b", b"https://api.example.com.evil.example/b"),
    ("https://api.example.com", "/a", b"/a", b"https://api.example.com@evil.example/", b"https://api.example.com@evil.example/"),
    ("https://api.example.com", "/a", b"/a", b"https://evil.example/b", b"https://evil.example/b"),
    ("https://api.example.com", "/gh/a", b"/a", b"b/c", b"b/c"),
    ("https://api.example.com", "/gh/a", b"/a", b"?page=2", b"?page=2"),
    # Our own name must not become somebody else's.
    ("https://api.example.com", "/a", b"/a", b"https://api.example.com//evil.example/", b"/evil.example/"),
    ("https://api.example.com", "/a", b"/a", b"https://api.example.com/\\evil.example/", b"/evil.example/"),
    ("https://api.example.com", "/a", b"/a", b"https://api.example.com\\evil.example/", b"/evil.example/"),
]


@pytest.mark.parametrize("name", [b"location", b"content-location"], ids=bytes.decode)
@pytest.mark.parametrize(("url", "path", "target", "location", "passed"), MAPPINGS)
def test_a_reference_to_the_upstream_itself_leads_to_the_gateway(
    name: bytes, url: str, path: str, target: bytes, location: bytes, passed: bytes
) -> None:
    to = outbound("GET", target, path=path)
    assert answered((name, location), by=duty(url), to=to) == [(name, passed)]


def test_an_upstream_that_is_called_by_the_gateways_name_refers_to_it() -> None:
    to = outbound("GET", b"/a", path="/gh/a")
    location = (b"location", b"http://gateway.example/b")
    assert answered(location, by=duty(preserve=True), to=to) == [(b"location", b"/gh/b")]
    assert answered(location, by=duty(), to=to) == [location]
