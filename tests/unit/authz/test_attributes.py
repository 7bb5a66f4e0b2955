"""What conditions read of a request."""

from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authz.attributes import POLICIES
from gateway.authz.cel.errors import FAULTS
from gateway.core.errors import BadRequest
from gateway.core.form import decode_query
from gateway.core.reason import Reason
from tests.asking import a_subject, an_access, condition

CONTRACT = {
    "subject": ["claims", "groups", "id", "issuer", "permissions", "roles", "scheme", "scopes"],
    "resource": ["params", "path", "route", "upstream"],
    "request": ["body", "client_ip", "content_type", "headers", "host", "method", "query"],
    "env": ["now"],
}


def holds(source: str, **facts: Any) -> bool:
    return condition(source).test(a_subject(), an_access(**facts))


def test_the_names_are_those_of_the_contract() -> None:
    assert POLICIES.roots() == sorted(CONTRACT)
    assert {root: POLICIES.fields(root) for root in CONTRACT} == CONTRACT


def test_a_header_is_read_by_its_lower_case_name() -> None:
    assert holds("request.headers['x-role'] == 'admin'", headers=[(b"x-role", b"admin")])
    assert holds("has(request.headers.accept) && !('x-none' in request.headers)", headers=[(b"accept", b"*/*")])


@pytest.mark.parametrize(
    "source", ["request.headers['x-role'] == 'admin'", "has(request.headers['x-role'])", "'x-role' in request.headers"]
)
@pytest.mark.parametrize("values", [(b"user", b"admin"), (b"admin", b"user"), (b"admin", b"admin")], ids=["last", "first", "equal"])
def test_a_repeated_header_has_no_value(source: str, values: tuple[bytes, bytes]) -> None:
    with pytest.raises(FAULTS):
        holds(source, headers=[(b"x-role", value) for value in values])


def test_a_header_that_is_not_utf_8_has_no_value() -> None:
    assert holds("request.headers['x-name'] == '\u00e9'", headers=[(b"x-name", "\u00e9".encode())])
    with pytest.raises(FAULTS):
        holds("request.headers['x-name'] == '\u00e9'", headers=[(b"x-name", b"\xe9")])


@pytest.mark.parametrize(
    ("header", "value"),
    [(b"application/json", "application/json"), (b"Application/JSON; charset=utf-8", "application/json"), (b"", ""), (None, "")],
)
def test_the_content_type_is_the_media_type(header: bytes | None, value: str) -> None:
    headers = [] if header is None else [(b"content-type", header)]
    assert holds(f"request.content_type == '{value}'", headers=headers)


def test_two_content_types_have_no_value() -> None:
    with pytest.raises(FAULTS):
        holds("request.content_type == 'a/b'", headers=[(b"content-type", b"a/b"), (b"content-type", b"a/b")])


def test_a_client_without_an_address_is_in_no_network_and_outside_none() -> None:
    with pytest.raises(FAULTS):
        holds("cidr('0.0.0.0/0').containsIP(request.client_ip)", client="")


@pytest.mark.parametrize(
    ("raw", "decoded"),
    [
        (b"", {}),
        (b"a", {"a": [""]}),
        (b"a=1&a=2&b=%20+x", {"a": ["1", "2"], "b": ["  x"]}),
        (b"&&a=1&", {"a": ["1"]}),
        (b"a=b=c", {"a": ["b=c"]}),
        (b"a;b=1", {"a;b": ["1"]}),
        (b"%C3%A9=\xc3\xa9", {"\u00e9": ["\u00e9"]}),
        (b"a=%00", {"a": ["\0"]}),
        (b"=x", {"": ["x"]}),
        (b"a=%2541", {"a": ["%41"]}),
    ],
)
def test_a_query_is_form_data(raw: bytes, decoded: dict[str, list[str]]) -> None:
    assert decode_query(raw) == decoded


@pytest.mark.parametrize(
    "raw", [b"a=%", b"a=%4", b"a=%zz", b"%=1", b"a=%ff", b"a=\xff", b"a=%ed%a0%80", b"a=%c0%ae", b"a=% 41", b"ok=1&a=%+1"]
)
def test_an_undecodable_query_is_a_bad_request(raw: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        decode_query(raw)
    assert (caught.value.status, caught.value.reason) == (400, Reason.QUERY_INVALID)


@given(st.lists(st.tuples(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))))
def test_what_a_form_encodes_is_what_is_decoded(pairs: list[tuple[str, str]]) -> None:
    expected: dict[str, list[str]] = {}
    for name, value in pairs:
        expected.setdefault(name, []).append(value)
    assert decode_query(urlencode(pairs).encode()) == expected


def outcome(raw: bytes) -> Reason | dict[str, list[str]]:
    try:
        return decode_query(raw)
    except BadRequest as error:
        return error.reason


@given(st.binary(max_size=60))
def test_any_query_is_decoded_or_a_bad_request(raw: bytes) -> None:
    found = outcome(raw)
    assert found is Reason.QUERY_INVALID or (isinstance(found, dict) and all(found.values()))


def test_a_query_is_decoded_once() -> None:
    access = an_access(query=b"a=1")
    asked = condition("request.query.a[0] == '1'")
    assert asked.test(a_subject(), access)
    access.request.query = b"a=2"
    assert asked.test(a_subject(), access)
