"""Admission: who the client is, which host, which framing."""

import base64
from typing import Any

import pytest

from gateway.core.errors import BadRequest, UpstreamTimeout
from gateway.core.message import Inbound, Request
from gateway.core.reason import Reason
from gateway.edge.intake import Intake
from gateway.edge.model import Listen
from gateway.server.body import WholeBody


def listen(**keys: Any) -> Listen:
    return Listen.model_validate(keys)


def inbound(
    target: bytes = b"/a?b=c", method: str = "GET", host: bytes | None = b"api.example.com", peer: str = "198.51.100.9", **more: Any
) -> Inbound:
    headers = ([(b"host", host)] if host is not None else []) + more.pop("headers", [])
    return Inbound(
        method=method, target=target, version=more.pop("version", "1.1"), headers=headers, peer=peer, listener="main", **more
    )


def admit(arrived: Inbound, **keys: Any) -> Request:
    return Intake("main", listen(**keys)).admit(arrived)


def refused(arrived: Inbound, **keys: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        admit(arrived, **keys)
    return caught.value


def test_a_plain_request_is_admitted_with_its_parts() -> None:
    request = admit(inbound(b"/a/b?x=1&y=%20"))
    assert (request.path, request.segments, request.query) == ("/a/b", ("a", "b"), b"x=1&y=%20")
    assert (request.head.host, request.head.authority, request.head.client, request.head.secure) == (
        "api.example.com",
        "api.example.com",
        "198.51.100.9",
        False,
    )


def test_no_query_and_an_empty_query_differ() -> None:
    assert admit(inbound(b"/a")).query is None
    assert admit(inbound(b"/a?")).query == b""


@pytest.mark.parametrize(
    "host", [b"", b" ", b"a b", b"a/b", b"x, evil", b"example.com/public?x=", b'a";for=1.2.3.4', b"a:b", b"a:99999", b"a@b", b"[::1", b"a..b", b"-a", "é".encode()], ids=repr
)  # fmt: skip
def test_a_host_that_is_no_host_is_refused(host: bytes) -> None:
    assert refused(inbound(host=host)).reason is Reason.MALFORMED_REQUEST


def test_a_missing_host_is_refused() -> None:
    assert refused(inbound(host=None)).status == 400


def test_two_hosts_are_refused() -> None:
    assert refused(inbound(headers=[(b"host", b"api.example.com")])).status == 400


@pytest.mark.parametrize(
    "host", [b"API.Example.COM", b"api.example.com.", b"api.example.com:443", b"Api.Example.Com.:8443"], ids=repr
)
def test_spellings_of_one_host_are_one_host(host: bytes) -> None:
    assert admit(inbound(host=host), hosts=["api.example.com"]).head.host == "api.example.com"


@pytest.mark.parametrize("host", [b"evil.example.com", b"example.com", b"xapi.example.com", b"tools.example.org"], ids=repr)
def test_a_host_not_served_is_misdirected(host: bytes) -> None:
    assert refused(inbound(host=host), hosts=["api.example.com", "*.tools.example.org"]).status == 421


def test_a_wildcard_host_serves_what_is_beneath_it() -> None:
    assert admit(inbound(host=b"a.b.tools.example.org"), hosts=["*.tools.example.org"]).head.host == "a.b.tools.example.org"


def test_an_absolute_target_must_agree_with_host() -> None:
    assert admit(inbound(b"http://API.example.com/x?y")).path == "/x"
    assert admit(inbound(b"http://api.example.com")).path == "/"
    assert refused(inbound(b"http://other.example.com/x")).status == 400


@pytest.mark.parametrize("target", [b"*", b"a/b", b"/a#x", b"/a?b#c", b"ftp://api.example.com/", b"api.example.com:443"], ids=repr)
def test_other_forms_of_target_are_refused(target: bytes) -> None:
    assert refused(inbound(target)).status == 400


@pytest.mark.parametrize(
    ("headers", "version"),
    [
        ([(b"content-length", b"3"), (b"transfer-encoding", b"chunked")], "1.1"),
        ([(b"content-length", b"3"), (b"content-length", b"3")], "1.1"),
        ([(b"content-length", b"+3")], "1.1"),
        ([(b"content-length", b"0x3")], "1.1"),
        ([(b"content-length", b"3, 3")], "1.1"),
        ([(b"content-length", b"")], "1.1"),
        ([(b"content-length", "٣".encode())], "1.1"),
        ([(b"transfer-encoding", b"gzip, chunked")], "1.1"),
        ([(b"transfer-encoding", b"identity")], "1.1"),
        ([(b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"chunked")], "1.1"),
        ([(b"transfer-encoding", b"chunked")], "1.0"),
    ],
    ids=repr,
)
def test_ambiguous_framing_is_refused_and_ends_the_connection(headers: list[tuple[bytes, bytes]], version: str) -> None:
    error = refused(inbound(method="POST", headers=headers, version=version))
    assert (error.status, error.close) == (400, True)


def test_a_declared_body_over_the_limit_is_refused_unread() -> None:
    error = refused(inbound(method="POST", headers=[(b"content-length", b"11")]), limits={"body": "10B"})
    assert (error.reason, error.close) == (Reason.BODY_TOO_LARGE, True)


def test_an_unknown_expectation_is_refused() -> None:
    assert refused(inbound(headers=[(b"expect", b"200-maybe")])).status == 417
    assert admit(inbound(headers=[(b"expect", b"100-Continue")])).method == "GET"


@pytest.mark.parametrize("method", ["CONNECT", "TRACE"])
def test_methods_that_turn_a_gateway_into_something_else_are_not_implemented(method: str) -> None:
    assert refused(inbound(method=method)).status == 501


def test_another_http_version_is_refused() -> None:
    assert refused(inbound(version="2.0")).status == 505


def test_what_the_server_found_wrong_is_what_is_answered() -> None:
    fault = UpstreamTimeout()
    with pytest.raises(UpstreamTimeout) as caught:
        admit(inbound(fault=fault))
    assert caught.value is fault


def test_two_authorization_fields_are_ambiguous() -> None:
    fields = [(b"authorization", b"Bearer a"), (b"authorization", b"Bearer b")]
    assert refused(inbound(headers=fields)).reason is Reason.CREDENTIAL_AMBIGUOUS


PROXY = {"trusted_proxies": ["10.0.0.0/8"], "client_address": "x-forwarded-for"}
RFC7239 = {"trusted_proxies": ["10.0.0.0/8"], "client_address": "forwarded"}


@pytest.mark.parametrize(
    ("line", "client"),
    [
        (b"203.0.113.7", "203.0.113.7"),
        (b"1.1.1.1, 203.0.113.7", "203.0.113.7"),
        (b"1.1.1.1, 203.0.113.7, 10.9.9.9", "203.0.113.7"),
        (b", ".join([b"6.6.6.6"] * 20 + [b"203.0.113.7"]), "203.0.113.7"),
        (b"10.1.1.1, 10.2.2.2", "10.1.1.1"),
        (b"203.0.113.7:4711", "203.0.113.7"),
        (b"[2001:db8::1]:4711", "2001:db8::1"),
        (b"::ffff:203.0.113.7", "203.0.113.7"),
        (b"fe80::1%eth0", "fe80::1"),
        (b"", "10.0.0.1"),
    ],
    ids=repr,
)
def test_the_client_is_the_right_most_hop_that_is_not_trusted(line: bytes, client: str) -> None:
    assert admit(inbound(peer="10.0.0.1", headers=[(b"x-forwarded-for", line)]), **PROXY).head.client == client


@pytest.mark.parametrize("line", [b"unknown", b"localhost", b"0x7f.1", b"010.0.0.1", b"1.2.3"], ids=repr)
def test_a_trusted_proxy_that_names_nonsense_is_refused(line: bytes) -> None:
    assert refused(inbound(peer="10.0.0.1", headers=[(b"x-forwarded-for", line)]), **PROXY).status == 400


def test_a_stranger_cannot_say_who_he_is() -> None:
    headers = [(b"x-forwarded-for", b"10.0.0.1"), (b"x-forwarded-proto", b"https"), (b"forwarded", b"for=10.0.0.1;proto=https")]
    for keys in (PROXY, RFC7239, {}):
        request = admit(inbound(peer="198.51.100.9", headers=headers), **keys)
        assert (request.head.client, request.head.secure, request.head.trusted, request.head.forwarded) == (
            "198.51.100.9",
            False,
            False,
            (),
        )


def test_only_the_configured_family_is_believed() -> None:
    headers = [(b"forwarded", b"for=203.0.113.8"), (b"x-forwarded-for", b"203.0.113.7")]
    assert admit(inbound(peer="10.0.0.1", headers=headers), **PROXY).head.client == "203.0.113.7"
    assert admit(inbound(peer="10.0.0.1", headers=headers), **RFC7239).head.client == "203.0.113.8"


@pytest.mark.parametrize(
    ("line", "client", "secure"),
    [
        (b"for=203.0.113.7;proto=https", "203.0.113.7", True),
        (b'for="[2001:db8::1]:4711"', "2001:db8::1", False),
        (b"for=6.6.6.6, for=203.0.113.7;proto=http, for=10.3.3.3", "203.0.113.7", False),
        (b'for="203.0.113.7:80";by=_gw;host="a,b"', "203.0.113.7", False),
        (b"for=unknown", "10.0.0.1", False),
        (b"for=_hidden", "10.0.0.1", False),
    ],
    ids=repr,
)
def test_rfc_7239_is_read_as_written(line: bytes, client: str, secure: bool) -> None:
    request = admit(inbound(peer="10.0.0.1", headers=[(b"forwarded", line)]), **RFC7239)
    assert (request.head.client, request.head.secure) == (client, secure)


@pytest.mark.parametrize("line", [b'for="1.1.1.1', b"for=1.1.1.1;for=2.2.2.2", b"for", b"for=1.1.1.1;proto=ftp"], ids=repr)
def test_a_broken_forwarded_field_is_refused(line: bytes) -> None:
    assert refused(inbound(peer="10.0.0.1", headers=[(b"forwarded", line)]), **RFC7239).status == 400


def test_the_scheme_is_the_trusted_proxys_word() -> None:
    headers = [(b"x-forwarded-for", b"203.0.113.7"), (b"x-forwarded-proto", b"https")]
    assert admit(inbound(peer="10.0.0.1", headers=headers), **PROXY).head.secure is True
    assert admit(inbound(peer="10.0.0.1", headers=headers[:1], secure=True), **PROXY).head.secure is True


DER = b"\x30\x03\x02\x01\x01"
CONVEYED = (b"client-cert", b":" + base64.b64encode(DER) + b":")


def test_a_conveyed_certificate_counts_only_from_a_proxy_that_proved_itself() -> None:
    keys = {"trusted_proxies": ["10.0.0.0/8"], "client_certificate": "client-cert"}
    believed = inbound(peer="10.0.0.1", headers=[CONVEYED], certificate=b"proxy", secure=True)
    assert admit(believed, **keys).head.certificate == DER
    over_plaintext = inbound(peer="10.0.0.1", headers=[CONVEYED])
    assert admit(over_plaintext, **keys).head.certificate is None
    stranger = inbound(peer="198.51.100.9", headers=[CONVEYED], certificate=b"own", secure=True)
    assert admit(stranger, **keys).head.certificate == b"own"


def test_a_proxys_own_certificate_never_stands_for_its_client() -> None:
    keys = {"trusted_proxies": ["10.0.0.0/8"], "client_certificate": "client-cert"}
    assert admit(inbound(peer="10.0.0.1", certificate=b"proxy", secure=True), **keys).head.certificate is None


def test_the_nearest_element_of_xfcc_is_the_certificate() -> None:
    keys = {"trusted_proxies": ["10.0.0.0/8"], "client_certificate": "xfcc"}
    pem = b"-----BEGIN%20CERTIFICATE-----%0A" + base64.b64encode(DER).replace(b"+", b"%2B") + b"%0A-----END%20CERTIFICATE-----%0A"
    line = b'By=spiffe://a;Cert="old";Subject="CN=a,O=b",By=spiffe://b;Hash=00;Cert="' + pem + b'"'
    request = admit(
        inbound(peer="10.0.0.1", headers=[(b"x-forwarded-client-cert", line)], certificate=b"proxy", secure=True), **keys
    )
    assert request.head.certificate == DER


@pytest.mark.parametrize("value", [b"abc", b":abc", b":!!!!:", b"::::"], ids=repr)
def test_a_conveyed_certificate_that_is_none_is_refused(value: bytes) -> None:
    keys = {"trusted_proxies": ["10.0.0.0/8"], "client_certificate": "client-cert"}
    arrived = inbound(peer="10.0.0.1", headers=[(b"client-cert", value)], certificate=b"proxy", secure=True)
    assert refused(arrived, **keys).status == 400


def test_with_client_certificates_host_must_be_the_name_the_connection_was_made_for() -> None:
    tls = {"certificate": "a", "key": {"file": "b"}, "client_ca": "c", "client_auth": "require"}
    assert admit(inbound(server_name="API.example.com"), tls=tls).head.host == "api.example.com"
    assert refused(inbound(server_name="other.example.com"), tls=tls).status == 421


def test_behind_a_load_balancer_a_unix_socket_is_nobodys_word() -> None:
    """Who may open the file may say for whom he connects; what that client says in HTTP is a stranger's."""
    said = [(b"x-forwarded-for", b"192.0.2.1")]
    keys = {"address": "unix:/x", "client_address": "x-forwarded-for", "trusted_proxies": ["203.0.113.1"]}
    proxied: dict[str, Any] = {"proxy_protocol": {}} | keys
    assert admit(inbound(peer="", headers=said), **keys).head.client == "192.0.2.1"
    assert admit(inbound(peer="", headers=said), **proxied).head.client == ""
    assert admit(inbound(peer="198.51.100.9", headers=said), **proxied).head.client == "198.51.100.9"
    assert admit(inbound(peer="203.0.113.1", headers=said), **proxied).head.client == "192.0.2.1"


def test_a_head_that_differs_in_the_length_of_its_body_is_not_taken_for_the_one_before() -> None:
    """What is known of a head is kept while a connection repeats it: its length is judged, and shown to policies, each time."""
    intake = Intake("main", listen(limits={"body": 100}))
    memo: dict[object, Any] = {}
    for length in (5, 7, 100):
        headers = [(b"content-length", b"%d" % length), (b"x", b"1"), (b"x", b"2")]
        head = intake.admit(inbound(method="POST", headers=headers, body=WholeBody(b"x" * length, 100), memo=memo)).head
        assert head.fields == {b"host": b"api.example.com", b"content-length": b"%d" % length, b"x": b"1"}
        assert (head.headers[1][1], head.repeated) == (b"%d" % length, frozenset({b"x"}))
        assert head.memo is memo
    headers = [(b"content-length", b"101"), (b"x", b"1"), (b"x", b"2")]
    with pytest.raises(BadRequest) as caught:
        intake.admit(inbound(method="POST", headers=headers, body=WholeBody(b"x" * 101, 100), memo=memo))
    assert caught.value.reason == Reason.BODY_TOO_LARGE
