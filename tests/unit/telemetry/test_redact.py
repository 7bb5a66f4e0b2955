"""What may not be printed."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.telemetry.names import Names
from gateway.telemetry.redact import QUERY_NAMES, is_sensitive, masked, redact_query, scrub, sealed, visible

CONVENTIONS = [
    "X-Amz-Signature",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
    "AWSAccessKeyId",
    "Signature",
    "sig",
    "X-Goog-Signature",
]
OURS = ["access_token", "id_token", "refresh_token", "token", "api_key", "apikey", "key", "code", "state", "client_secret"]
OURS += ["password", "secret", "X-Goog-Credential", "se", "sp", "sv", "API-KEY", "%73ig", "%2573ig", "sig%20", "token[0]"]


@pytest.mark.parametrize("name", [*CONVENTIONS, *OURS])
def test_values_of_known_secret_parameters_are_masked_and_their_keys_kept(name: str) -> None:
    assert redact_query(f"color=blue&{name}=canary&x=1".encode()) == f"color=blue&{name}=REDACTED&x=1"


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        (b"page=2&per_page=50", "page=2&per_page=50"),
        (b"a=1;sig=canary", "a=1;sig=REDACTED"),
        (b"sig=ca=na=ry", "sig=REDACTED"),
        (b"sig", "sig"),
        (b"", ""),
        (b"x=Bearer%20canarycanary", "x=REDACTED"),
        (b"x=eyJhbGciOiJub25lIn0.eyJzdWIiOiJjIn0.", "x=REDACTED"),
        (b"eyJhbGciOiJub25lIn0.eyJzdWIiOiJjIn0.", "REDACTED"),
        (b"x=a\r\nb", "x=a\\u000d\\u000ab"),
    ],
    ids=["plain", "semicolon", "equals", "no-value", "empty", "scheme", "jwt", "bare-jwt", "line-break"],
)
def test_a_query_is_redacted_by_name_and_by_shape(query: bytes, shown: str) -> None:
    assert redact_query(query) == shown


def test_parameters_that_credentials_travel_in_are_hidden_too() -> None:
    names = Names.of({}, {}, ["MapKey"])
    assert redact_query(b"mapkey=canary&MapKey=canary&q=1", names.hidden) == "mapkey=REDACTED&MapKey=REDACTED&q=1"
    assert names.hidden > QUERY_NAMES


words = st.sampled_from(["Bearer", "basic", "DPoP", "eyJhbGci", "https:", "b\u0131sic", "ba\u017fic", "x"])
between = st.sampled_from(["", " ", "%20", "+", "\t", "\u2003", "://", ".", "/"])
rest = st.sampled_from(["abcdefgh", "user:password@host", "eyJzdWIi.", ""]) | st.text(max_size=3)


@given(st.lists(st.tuples(words, between, rest).map("".join), max_size=3).map("/".join))
def test_what_looks_harmless_has_nothing_to_mask(text: str) -> None:
    assert scrub(text) == masked(text)


@given(st.binary(max_size=200), st.sampled_from(sorted(QUERY_NAMES)))
def test_no_neighbour_brings_a_secret_parameter_to_light(noise: bytes, name: str) -> None:
    assert "canary" not in redact_query(noise.replace(b"canary", b"") + b"&" + name.encode() + b"=canary")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("token eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln expired", "token REDACTED expired"),
        ("eyJhbGciOiJkaXIifQ..aXY.Y2lwaGVy.dGFn", "REDACTED"),
        ("Authorization: Bearer abcdef123456", "Authorization: Bearer REDACTED"),
        ("basic dXNlcjpwYXNz", "basic REDACTED"),
        ("https://user:pass@host/path", "https://REDACTED:REDACTED@host/path"),
        ("redis://:pw@host:1", "redis://REDACTED:REDACTED@host:1"),
        ("a basic rule, bearer of news", "a basic rule, bearer of news"),
    ],
    ids=["jws", "jwe", "bearer", "basic", "userinfo", "password-only", "prose"],
)
def test_text_loses_what_is_shaped_like_a_credential(text: str, shown: str) -> None:
    assert scrub(text) == shown


@pytest.mark.parametrize(
    "text", ["eyJ" * 50_000, "bearer" + " " * 100_000, "://" * 50_000, "eyJa." * 30_000], ids=lambda text: text[:6]
)
def test_hostile_text_is_scrubbed_in_linear_work(text: str) -> None:
    assert len(scrub(text)) <= 2 * len(text)


@pytest.mark.parametrize(
    "name",
    ["authorization", "Proxy-Authorization", "cookie", "set_cookie", "token", "id_token", "client-secret", "PASSWORD", "x_api_key"],
)
def test_sensitive_names_are_known_in_any_spelling(name: str) -> None:
    assert is_sensitive(name)


@pytest.mark.parametrize("name", ["issuer", "route", "upstream", "credential", "request_id", "rule"])
def test_ordinary_names_are_not_sensitive(name: str) -> None:
    assert not is_sensitive(name)


@given(st.text(st.characters(codec=None)))
def test_visible_text_is_one_line_without_controls(text: str) -> None:
    shown = visible(text)
    assert len(shown.splitlines()) <= 1
    assert not any(ord(letter) < 32 or 0x7F <= ord(letter) < 0xA0 for letter in shown)
    shown.encode("utf-8")


@given(st.text())
def test_a_sealed_line_says_the_same_without_what_displays_obey(text: str) -> None:
    line = sealed(orjson.dumps({"x": text}))
    assert json.loads(line) == {"x": text}
    assert len(line.decode().splitlines()) == 1
