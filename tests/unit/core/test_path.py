"""The canonical path, by example and by property."""

import re
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import BadRequest
from gateway.core.path import canonical, decode_segment, refuse_query
from gateway.core.reason import Reason

KEPT = [
    (b"/", "/"),
    (b"/a/b", "/a/b"),
    (b"/a/", "/a/"),
    (b"/a/...", "/a/..."),
    (b"/a.b;v=1/c", "/a.b;v=1/c"),
    (b"/%61dmin", "/admin"),
    (b"/%7euser", "/~user"),
    (b"/caf%c3%a9", "/caf%C3%A9"),
    (b"/a%2fb", "/a%2Fb"),
    (b"/a%20b", "/a%20b"),
    (b"/a%2520b", "/a%2520b"),
    (b"/file%2Etxt", "/file.txt"),
    (b"/a%3ab", "/a%3Ab"),
]

REFUSED = [
    b"", b"a", b"*", b"//", b"/a//b", b"///admin", b"/.", b"/..", b"/a/..", b"/a/../b", b"/a/./b", b"/%2e%2e/admin", b"/.%2e/admin",
    b"/%2E./admin", b"/a/..;/b", b"/a/..;x=1/b", b"/a/.%2e%3bx/b", b"/a/%2e%2e%2fadmin", b"/a%2F..%2Fb", b"/a%2F%2Fb", b"/a%5cb", b"/a%5Cb",
    b"/a\\b", b"/a%00b", b"/a%0ab", b"/a%7f", b"/a b", b"/a#b", b"/a?b", b"/a%", b"/a%2", b"/a%zz", b"/\xc3\xa9", b"/%ff", b"/%c3", b"/%c2%85",
    b"/%ed%a0%80", b"/a%252e%252e/b", b"/a%252fb", b"/a%25252fb", b"/a%255cb", b"/a%2500b", b"/a%2523", b'/a"b', b"/a<b>", b"/a{b}", b"/a|b", b"/a^b",
    b"/a`b", b"/a[b]",
]  # fmt: skip


@pytest.mark.parametrize(("raw", "expected"), KEPT, ids=repr)
def test_a_path_is_brought_to_its_one_form(raw: bytes, expected: str) -> None:
    assert canonical(raw) == expected


@pytest.mark.parametrize("raw", REFUSED, ids=repr)
def test_an_ambiguous_path_is_refused(raw: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        canonical(raw)
    assert caught.value.reason is Reason.PATH_REFUSED


def segments_seen_by_a_lax_server(path: str) -> list[str]:
    """What a server sees that decodes everything, and takes backslash for slash and cuts at semicolons."""
    text = unquote_to_bytes(path).decode("utf-8").replace("\\", "/")
    return [segment.partition(";")[0] for segment in text.split("/")]


@given(st.binary(max_size=60) | st.text(alphabet="/.%25eEfFcC0a;\\", max_size=40).map(lambda text: ("/" + text).encode()))
def test_whatever_is_accepted_is_stable_and_holds_no_traversal(raw: bytes) -> None:
    try:
        path = canonical(raw)
    except BadRequest:
        return
    assert canonical(path.encode()) == path
    assert path.startswith("/")
    assert re.fullmatch(r"(?:[/A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-F]{2})+", path)
    seen = segments_seen_by_a_lax_server(path)
    assert "." not in seen
    assert ".." not in seen
    twice = unquote_to_bytes(unquote_to_bytes(path))
    assert b".." not in twice.replace(b"\\", b"/").split(b"/")


@given(st.text(alphabet="/abc.%2F", max_size=30))
def test_an_escape_of_an_unreserved_character_means_the_character(text: str) -> None:
    raw = ("/" + text).encode()
    try:
        path = canonical(raw)
    except BadRequest:
        return
    assert unquote_to_bytes(path) == unquote_to_bytes(raw)


def test_published_traversal_payloads_never_become_a_traversal(vectors: Path) -> None:
    payloads = (vectors / "paths" / "patt_directory_traversal.txt").read_bytes().splitlines()
    assert len(payloads) > 100
    for payload in payloads:
        try:
            path = canonical(b"/public/" + payload.strip())
        except BadRequest:
            continue
        assert not {".", ".."} & set(segments_seen_by_a_lax_server(path)), payload


@pytest.mark.parametrize("query", [b"a=%", b"a=%2", b"a=%zz", b"a=%ff", b"a=%00"], ids=repr)
def test_a_query_that_does_not_decode_is_refused(query: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        refuse_query(query)
    assert caught.value.reason is Reason.QUERY_INVALID


@pytest.mark.parametrize("query", [b"", b"a=b", b"a=%20&b=%c3%a9", b"a=%2F..%2F", b"%25"], ids=repr)
def test_a_query_that_decodes_is_left_alone(query: bytes) -> None:
    refuse_query(query)


def test_a_segment_decodes_to_its_text() -> None:
    assert decode_segment("caf%C3%A9") == "café"
    assert decode_segment("plain") == "plain"
