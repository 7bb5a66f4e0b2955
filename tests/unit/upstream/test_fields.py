"""What a request carries to an upstream, and what it never does."""

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import BadRequest
from gateway.core.message import Field, Outbound
from gateway.core.names import folded
from gateway.core.reason import Reason
from gateway.upstream.fields import REMEMBERED, RequestFields
from gateway.upstream.model import Upstream
from gateway.upstream.owned import FRAMING, HOP_BY_HOP, OWNED
from tests.scripted import exchange, fields_of, principal, request

CREDENTIALS = frozenset({b"authorization", b"x-api-key", b"client-cert"})
COOKIES = frozenset({b"session"})
INTERNAL: dict[str, Any] = {"url": "http://10.0.0.5:9000", "internal": True, "allow_plaintext": True}
OWN = {
    b"host",
    b"via",
    b"x-request-id",
    b"forwarded",
    b"x-forwarded-for",
    b"x-forwarded-proto",
    b"x-forwarded-host",
    b"x-gateway-subject",
    b"traceparent",
}


def duties(*, strip: int = 0, cookies: frozenset[bytes] = COOKIES, owned: frozenset[bytes] = OWNED, **model: Any) -> RequestFields:
    return RequestFields(
        upstream=Upstream.model_validate({"url": "https://api.example.com", **model}),
        credential_headers=CREDENTIALS,
        credential_cookies=cookies,
        strip=strip,
        owned=owned,
    )


def sent(*headers: Field, duty: RequestFields | None = None, **keys: Any) -> Outbound:
    return (duty or duties()).outbound(request(*headers, **keys), principal(), exchange())


def values(outbound: Outbound, name: bytes) -> list[bytes]:
    return [value for key, value in fields_of(outbound) if key == name]


def test_a_third_party_sees_the_request_and_nothing_about_the_client() -> None:
    outbound = sent((b"accept", b"*/*"), (b"x-github-api", b"1"), query=b"a=%20&b", peer="192.0.2.1")
    assert fields_of(outbound) == [
        (b"host", b"api.example.com"),
        (b"accept", b"*/*"),
        (b"x-github-api", b"1"),
        (b"via", b"1.1 gateway"),
        (b"x-request-id", b"0192-id"),
    ]
    assert (outbound.method, outbound.target) == ("GET", b"/a?a=%20&b")


@pytest.mark.parametrize("name", sorted(HOP_BY_HOP | CREDENTIALS | {b"expect", b"content-length", b"host"}), ids=bytes.decode)
def test_hop_by_hop_framing_and_credential_fields_are_removed(name: bytes) -> None:
    outbound = sent((name, b"secret-value"), (b"x-kept", b"1"))
    assert b"secret-value" not in [value for _, value in fields_of(outbound)]
    assert values(outbound, b"x-kept") == [b"1"]


@pytest.mark.parametrize(
    "line", [b"close, x-own, X-Kept", b"x-own,\tx-kept", b"X-OWN , x-kept,", b"keep-alive, x-own, x-kept"], ids=range(4)
)
def test_what_connection_names_is_removed(line: bytes) -> None:
    outbound = sent((b"connection", line), (b"x-own", b"1"), (b"x-kept", b"2"), (b"x-other", b"3"))
    assert not {b"x-own", b"x-kept", b"connection"} & {name for name, _ in fields_of(outbound)}
    assert values(outbound, b"x-other") == [b"3"]


def test_several_connection_lines_count_together() -> None:
    outbound = sent((b"connection", b"close"), (b"connection", b"x-own"), (b"x-own", b"1"))
    assert values(outbound, b"x-own") == []


def spelled(name: bytes) -> st.SearchStrategy[bytes]:
    """The name with any separators between its letters and any case, as a legal token."""
    plain = folded(name.rstrip(b"*"))
    marks = st.lists(st.sampled_from(["", "-", "_", ".", "'", "~"]), min_size=len(plain) + 1, max_size=len(plain) + 1)
    return marks.map(
        lambda between: "".join(mark + chr(octet) for mark, octet in zip(between, plain, strict=False)).encode() or b"x"
    )


@given(
    st.sampled_from(sorted(OWNED | HOP_BY_HOP | FRAMING | CREDENTIALS)).flatmap(spelled),
    st.text(string.ascii_lowercase, max_size=5),
)
def test_no_spelling_of_an_owned_name_survives(name: bytes, tail: str) -> None:
    outbound = sent((name.lower(), b"spoofed"), (b"accept", b"1"))
    if folded(name) == b"maxforwards" and name.lower() == b"max-forwards":
        return
    assert b"spoofed" not in b" ".join(value for key, value in fields_of(outbound) if key != b"via")
    beginnings = [other for other in OWNED if other.endswith(b"*") and folded(name).startswith(folded(other))]
    if beginnings:
        again = sent((name.lower() + b"_" + tail.encode(), b"spoofed"))
        assert b"spoofed" not in [value for _, value in fields_of(again)]


@given(
    st.lists(
        st.tuples(
            st.text(string.ascii_lowercase + string.digits + "-_.!~", min_size=1, max_size=24).map(str.encode),
            st.binary(max_size=12).map(lambda raw: raw.translate(None, b"\r\n\0")),
        ),
        max_size=12,
    )
)
def test_ours_are_there_once_whatever_else_is_sent(headers: list[Field]) -> None:
    outbound = sent(*[field for field in headers if field[0] != b"via"], duty=duties(**INTERNAL))
    for name in OWN - {b"traceparent"}:
        assert len(values(outbound, name)) == 1
    forbidden = {folded(name) for name in HOP_BY_HOP | CREDENTIALS}
    assert not forbidden & {folded(name) for name, _ in fields_of(outbound)}


def test_our_own_configured_names_are_removed_in_any_spelling_and_set_once() -> None:
    duty = duties(headers={"set": {"X-WebTeam": "ours"}, "remove": ["X-Debug"]})
    outbound = sent(
        (b"x_webteam", b"a"), (b"x-web-team", b"b"), (b"x-webteam", b"c"), (b"x.debug", b"d"), (b"xdebug", b"e"), duty=duty
    )
    assert [value for name, value in fields_of(outbound) if folded(name) in (b"xwebteam", b"xdebug")] == [b"ours"]


def test_names_an_injector_sets_are_removed_in_any_spelling() -> None:
    duty = duties(owned=OWNED | {b"x-legacy-key"})
    assert values(sent((b"x_legacy.key", b"a"), duty=duty), b"x_legacy.key") == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Host", "x"),
        ("content_length", "1"),
        ("Transfer-Encoding", "chunked"),
        ("X-Gateway-Subject", "x"),
        ("X-Forwarded-For", "1"),
        ("Authorization", "Bearer x"),
        ("Cookie", "a=b"),
        ("X-Ok", "a\r\nb"),
        ("X-Ok", "a\x00"),
        ("X-Ok", "é"),
    ],
)
def test_configuration_may_not_set_what_the_gateway_says_itself(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name):
        duties(headers={"set": {name: value}})


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (b"a=1; session=secret; b=2", [b"a=1; b=2"]),
        (b"session=secret", []),
        (b'"session"=secret;a=1', [b"a=1"]),
        (b"se%73sion=secret; a=1", [b"a=1"]),
        (b" session =secret", []),
        (b"sessions=other", [b"sessions=other"]),
    ],
)
def test_our_cookies_stay_and_others_pass(line: bytes, kept: list[bytes]) -> None:
    assert values(sent((b"cookie", line)), b"cookie") == kept


def test_cookies_pass_untouched_where_none_is_ours() -> None:
    assert values(sent((b"cookie", b"a=1;b=2"), duty=duties(cookies=frozenset())), b"cookie") == [b"a=1;b=2"]


@pytest.mark.parametrize(
    ("path", "strip", "url", "target"),
    [
        ("/github/repos/a", 7, "https://api.example.com", b"/repos/a"),
        ("/github", 7, "https://api.example.com", b"/"),
        ("/a", 0, "https://api.example.com/base/", b"/base/a"),
        ("/x/a%2Fb", 2, "https://api.example.com/v1", b"/v1/a%2Fb"),
    ],
)
def test_the_path_is_rewritten_as_configured(path: str, strip: int, url: str, target: bytes) -> None:
    assert sent(duty=duties(strip=strip, url=url), path=path).target == target


def test_a_prefix_ends_where_a_segment_ends() -> None:
    with pytest.raises(BadRequest) as caught:
        sent(duty=duties(strip=4), path="/api../admin")
    assert caught.value.reason is Reason.PATH_REFUSED


def test_the_host_is_the_upstreams_unless_it_is_to_be_preserved() -> None:
    assert values(sent(duty=duties(url="https://api.example.com:8443")), b"host") == [b"api.example.com:8443"]
    assert values(sent(duty=duties(preserve_host=True)), b"host") == [b"gateway.example"]
    assert values(sent(duty=duties(url="https://[2606:4700::1]")), b"host") == [b"[2606:4700::1]"]


def test_via_is_continued_and_a_loop_is_seen() -> None:
    assert values(sent((b"via", b"1.0 edge (x)"), (b"via", b"1.1 b")), b"via") == [b"1.0 edge (x), 1.1 b, 1.1 gateway"]
    for line in (b"1.1 gateway", b"1.1 edge, 1.1 GATEWAY (comment)", b", ".join([b"1.1 other"] * 21)):
        with pytest.raises(BadRequest) as caught:
            sent((b"via", line))
        assert (caught.value.status, caught.value.reason) == (508, Reason.LOOP_DETECTED)


def test_max_forwards_counts_down_for_options_only() -> None:
    assert values(sent((b"max-forwards", b"3"), method="OPTIONS"), b"max-forwards") == [b"2"]
    assert values(sent((b"max-forwards", b"3")), b"max-forwards") == [b"3"]
    with pytest.raises(BadRequest):
        sent((b"max-forwards", b"0"), method="OPTIONS")


def internal(**keys: Any) -> Outbound:
    return sent(duty=duties(**INTERNAL), **keys)


def test_an_internal_upstream_is_told_who_and_from_where() -> None:
    made = duties(**INTERNAL).outbound(
        request(peer="2001:db8::1", secure=True, authority="gateway.example:8443"),
        principal("corp", "alice"),
        exchange("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", sampled=True),
    )
    assert values(made, b"forwarded") == [b'for="[2001:db8::1]";host="gateway.example:8443";proto=https']
    assert values(made, b"x-forwarded-for") == [b"2001:db8::1"]
    assert values(made, b"x-forwarded-proto") == [b"https"]
    assert values(made, b"x-forwarded-host") == [b"gateway.example:8443"]
    assert values(made, b"x-gateway-subject") == [b"corp:alice"]
    assert values(made, b"traceparent") == [b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]


@pytest.mark.parametrize(
    ("subject", "written"),
    [
        ("a b", b"corp:a%20b"),
        ("admin ", b"corp:admin%20"),
        ("50%", b"corp:50%25"),
        ("a\r\nx: y", b"corp:a%0D%0Ax:%20y"),
        ("jürgen", b"corp:j%C3%BCrgen"),
        ("spiffe://x/y", b"corp:spiffe://x/y"),
    ],
)
def test_a_subject_is_written_so_that_it_names_one_only(subject: str, written: bytes) -> None:
    made = duties(**INTERNAL).outbound(request(), principal("corp", subject), exchange())
    assert values(made, b"x-gateway-subject") == [written]


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20), st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
)
def test_two_subjects_never_look_alike(one: str, two: str) -> None:
    def written(subject: str) -> bytes:
        made = duties(**INTERNAL).outbound(request(), principal("corp", subject), exchange())
        (value,) = values(made, b"x-gateway-subject")
        assert all(0x21 <= octet < 0x7F for octet in value)
        return value

    assert (written(one) == written(two)) == (one == two)


def test_what_a_stranger_says_about_its_way_is_replaced() -> None:
    spoofed = [(b"x-forwarded-for", b"10.0.0.1"), (b"x-forwarded-proto", b"https"), (b"forwarded", b"for=10.0.0.1")]
    made = sent(*spoofed, duty=duties(**INTERNAL), peer="192.0.2.7")
    assert values(made, b"x-forwarded-for") == [b"192.0.2.7"]
    assert values(made, b"x-forwarded-proto") == [b"http"]
    assert values(made, b"forwarded") == [b"for=192.0.2.7;host=gateway.example;proto=http"]


def test_what_a_trusted_proxy_says_is_continued() -> None:
    line = (b"x-forwarded-for", b"203.0.113.9, 198.51.100.2")
    made = internal(peer="10.0.0.2", client="198.51.100.2", trusted=True, forwarded=(line,))
    assert values(made, b"x-forwarded-for") == [b"203.0.113.9, 198.51.100.2, 10.0.0.2"]
    assert values(made, b"forwarded") == [b"for=198.51.100.2, for=10.0.0.2;host=gateway.example;proto=http"]
    line = (b"forwarded", b"for=198.51.100.2;proto=https")
    made = internal(peer="10.0.0.2", client="198.51.100.2", trusted=True, forwarded=(line,), secure=True)
    assert values(made, b"forwarded") == [b"for=198.51.100.2;proto=https, for=10.0.0.2;host=gateway.example;proto=https"]
    assert values(made, b"x-forwarded-for") == [b"198.51.100.2, 10.0.0.2"]


def test_a_unix_socket_has_no_address() -> None:
    made = internal(peer="")
    assert values(made, b"forwarded") == [b"for=unknown;host=gateway.example;proto=http"]


def test_what_is_remembered_about_names_is_bounded() -> None:
    duty = duties()
    for number in range(REMEMBERED * 2):
        assert values(sent((b"x-%d" % number, b"1"), duty=duty), b"x-%d" % number) == [b"1"]
    assert len(duty._verdicts) <= REMEMBERED
