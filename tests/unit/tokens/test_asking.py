"""What clients ask people for: where an answer may go, and what is judged before anybody is asked."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import BadRequest
from gateway.tokens.asking import judged, leads, whither
from gateway.tokens.model import Client
from gateway.tokens.refusals import Refused

CALLBACK = "https://app.test/cb?x=1"
LOOPBACK = "http://127.0.0.1/cb"


REGISTERED = {"redirect_uris": [CALLBACK, LOOPBACK], "scopes": ["notes:read", "notes:write", "offline_access"]}
REGISTERED |= {"audiences": ["https://gw.test/a", "https://gw.test/b"], "grants": ["authorization_code"]}
PUBLIC = Client.model_validate(REGISTERED | {"auth": "none"})
SERVER = REGISTERED | {"redirect_uris": [CALLBACK], "secret": {"env": "SECRET"}}
CLIENTS = {"app": PUBLIC, "server": Client.model_validate(SERVER)}
PLAIN = {"client_id": "app", "redirect_uri": CALLBACK, "state": "s1", "response_type": "code", "scope": "notes:read"}
PLAIN |= {"code_challenge": "c" * 43, "code_challenge_method": "S256", "resource": "https://gw.test/a"}


def query(**over: Any) -> dict[str, list[str]]:
    told = PLAIN | over
    return {name: value if isinstance(value, list) else [value] for name, value in told.items() if value is not None}


def test_an_answer_goes_back_with_our_name_and_the_clients_state() -> None:
    to = whither(CLIENTS, query())
    asking = judged(CLIENTS["app"], to, query(), "https://gw.test")
    assert (asking.scopes, asking.audiences) == (("notes:read",), ("https://gw.test/a",))
    parts = urlsplit(to.location("https://gw.test", {"code": "a b&c"}))
    assert (parts.scheme, parts.netloc, parts.path) == ("https", "app.test", "/cb")
    assert parse_qs(parts.query) == {"x": ["1"], "code": ["a b&c"], "iss": ["https://gw.test"], "state": ["s1"]}


@pytest.mark.parametrize(
    "over",
    [
        {"client_id": "nobody"}, {"client_id": None}, {"redirect_uri": None}, {"redirect_uri": ""},
        {"redirect_uri": "https://app.test/cb"}, {"redirect_uri": "https://app.test/cb?x=1&y"}, {"redirect_uri": "https://evil.test/"},
        {"redirect_uri": "https://app.test.evil/cb?x=1"}, {"redirect_uri": "https://app.test@evil/cb?x=1"},
        {"redirect_uri": "HTTPS://app.test/cb?x=1"}, {"redirect_uri": CALLBACK + "#"}, {"redirect_uri": CALLBACK + "\r\nX: y"},
        {"redirect_uri": "https://app.test/./cb?x=1"}, {"redirect_uri": "https://app.test/cb?x=%31"}, {"redirect_uri": "javascript:1"},
        {"redirect_uri": "http://127.0.0.1:80@evil.test/cb"}, {"redirect_uri": "http://127.0.0.1.evil.test/cb"},
        {"redirect_uri": "http://127.0.0.1:1:2/cb"}, {"redirect_uri": "http://127.0.0.1:8080/cb/"}, {"redirect_uri": "http://127.0.0.2/cb"},
        {"redirect_uri": "http://localhost:8080/cb"}, {"redirect_uri": "http://[::1]:8080/cb"}, {"redirect_uri": "https://127.0.0.1:8080/cb"},
        {"redirect_uri": "http://127.0.0.1:\u0668/cb"}, {"redirect_uri": "http://127.0.0.1:8080\\evil.test/cb"},
        {"redirect_uri": [CALLBACK, "https://evil.test/"]}, {"redirect_uri": [CALLBACK, CALLBACK]}, {"client_id": ["app", "server"]},
        {"state": ["a", "b"]}, {"state": "a\r\nX: y"}, {"state": "x" * 513}, {"client_id": "server", "redirect_uri": "http://127.0.0.1:8080/cb"},
    ],
)  # fmt: skip
def test_open_redirect_nothing_is_sent_to_what_is_not_registered(over: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        whither(CLIENTS, query(**over))


def test_an_application_takes_any_port_of_its_own_machine() -> None:
    for port in ("", ":0", ":8080", ":65535"):
        assert whither(CLIENTS, query(redirect_uri=f"http://127.0.0.1{port}/cb")).redirect_uri == f"http://127.0.0.1{port}/cb"
    assert whither(CLIENTS, query(redirect_uri="http://127.0.0.1:5/cb")).host == "127.0.0.1:5"


@given(st.text(max_size=40))
def test_what_any_port_lets_in_differs_in_the_port_only(tail: str) -> None:
    asked = "http://127.0.0.1" + tail
    if leads(LOOPBACK, asked, any_port=True):
        parts = urlsplit(asked)
        assert (parts.scheme, parts.hostname, parts.path, parts.query, parts.fragment) == ("http", "127.0.0.1", "/cb", "", "")
        assert parts.username is None


@pytest.mark.parametrize(
    ("over", "error"),
    [
        ({"response_type": None}, "invalid_request"), ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"), ({"response_mode": "fragment"}, "invalid_request"),
        ({"response_mode": "form_post"}, "invalid_request"), ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "c" * 42}, "invalid_request"), ({"code_challenge": "c" * 42 + "="}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"), ({"code_challenge_method": None}, "invalid_request"),
        ({"scope": "notes:read admin"}, "invalid_scope"), ({"scope": 'a"b'}, "invalid_scope"), ({"scope": ["a", "b"]}, "invalid_request"),
        ({"resource": "https://evil.test/"}, "invalid_target"), ({"resource": ["https://gw.test/a", "x"]}, "invalid_target"),
        ({"request": "eyJ"}, "request_not_supported"), ({"request_uri": "https://app.test/r"}, "request_uri_not_supported"),
        ({"prompt": "none login"}, "invalid_request"), ({"prompt": "create"}, "invalid_request"), ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "\u0661"}, "invalid_request"), ({"dpop_jkt": "x"}, "invalid_request"), ({"nonce": ["1", "2"]}, "invalid_request"),
        ({"acr_values": " ".join(map(str, range(65)))}, "invalid_request"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_to_the_client_in_its_own_words(over: dict[str, Any], error: str) -> None:
    asked = query(**over)
    with pytest.raises(Refused) as found:
        judged(CLIENTS["app"], whither(CLIENTS, asked), asked, "https://gw.test")
    assert found.value.error == error


def test_who_names_nothing_gets_all_but_what_outlives_the_login() -> None:
    asked = query(scope=None, resource=None)
    asking = judged(CLIENTS["app"], whither(CLIENTS, asked), asked, "https://gw.test")
    assert asking.scopes == ("notes:read", "notes:write")
    assert asking.audiences == ("https://gw.test/a", "https://gw.test/b")


def test_a_client_that_names_no_audience_has_the_default_one() -> None:
    asked = query(resource=None)
    plain = PUBLIC.model_copy(update={"audiences": []})
    assert judged(plain, whither(CLIENTS, asked), asked, "https://gw.test").audiences == ("https://gw.test",)
