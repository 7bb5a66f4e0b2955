"""Client certificates as identities."""

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from gateway.authn.mtls import Certificates
from gateway.core.errors import Unauthenticated
from gateway.core.principal import Identity, Principal
from gateway.core.reason import Reason
from tests.issuer import NOW, FrozenClock, fingerprint, grant
from tests.unit.authn.certificates import client_certificate

DEFAULT = ("spiffe", "san_uri", "san_dns")
EVERY = (*DEFAULT, "san_email", "subject_cn")


def subject(der: bytes, *identity: str) -> str:
    return Certificates(identity or DEFAULT, grant, FrozenClock()).authenticate(der).id


def refused(der: bytes, *identity: str) -> Unauthenticated:
    with pytest.raises(Unauthenticated) as caught:
        subject(der, *identity)
    return caught.value


SPIFFE = "spiffe://example.org/ns/prod/sa/ci"


def test_the_first_type_present_in_the_configured_order_is_the_subject() -> None:
    der = client_certificate(dns=["Ci.Example.org"], email=["ci@example.org"], common=["ci"])
    assert subject(der) == "ci.example.org"
    assert subject(der, "san_email", "san_dns") == "ci@example.org"
    assert subject(der, "subject_cn") == "ci"
    assert subject(client_certificate(uri=[SPIFFE], dns=["ci.example.org"])) == SPIFFE
    assert subject(client_certificate(uri=["urn:uuid:0192"], dns=["ci.example.org"])) == "urn:uuid:0192"


def test_the_principal_carries_fingerprint_and_end() -> None:
    der = client_certificate(dns=["ci.example.org"])
    principal = Certificates(DEFAULT, grant, FrozenClock()).authenticate(der)
    assert (principal.issuer, principal.scheme, principal.credential_id) == ("mtls", "mtls", fingerprint(der))
    assert principal.expires == NOW + 3600


def test_the_common_name_counts_only_by_opting_in() -> None:
    refused(client_certificate(common=["ci.example.org"]))
    assert subject(client_certificate(common=["ci.example.org"]), "subject_cn") == "ci.example.org"


@pytest.mark.parametrize(
    "uris",
    [
        pytest.param([SPIFFE, "spiffe://example.org/other"], id="two ids"),
        pytest.param([SPIFFE, "https://example.org"], id="an id and another URI"),
        pytest.param(["spiffe://Example.org/ci"], id="capitals in the trust domain"),
        pytest.param(["SPIFFE://example.org/ci"], id="capitals in the scheme"),
        pytest.param(["spiffe://"], id="no trust domain"),
        pytest.param(["spiffe:///ci"], id="empty trust domain"),
        pytest.param(["spiffe://user@example.org/ci"], id="userinfo"),
        pytest.param(["spiffe://example.org:443/ci"], id="port"),
        pytest.param(["spiffe://example.org/ci?x=1"], id="query"),
        pytest.param(["spiffe://example.org/ci#x"], id="fragment"),
        pytest.param(["spiffe://example.org/a/../b"], id="dot segments"),
        pytest.param(["spiffe://example.org/."], id="dot segment"),
        pytest.param(["spiffe://example.org//ci"], id="empty segment"),
        pytest.param(["spiffe://example.org/ci/"], id="trailing slash"),
        pytest.param(["spiffe://example.org/%63i"], id="percent"),
        pytest.param(["spiffe:example.org"], id="no slashes"),
        pytest.param(["spiffe://example.org/" + "a" * 2048], id="too long"),
    ],
)
def test_a_bad_spiffe_id_makes_the_certificate_useless_whatever_else_it_says(uris: list[str]) -> None:
    refused(client_certificate(uri=uris, dns=["ci.example.org"]))


@pytest.mark.parametrize("name", ["spiffe://example.org", "spiffe://example.org/...", "spiffe://a_b-c.d/x.y/-_"])
def test_unusual_spiffe_ids_are_ids(name: str) -> None:
    assert subject(client_certificate(uri=[name])) == name


@pytest.mark.parametrize(
    ("der", "kind"),
    [
        pytest.param(client_certificate(dns=["a.example", "b.example"]), "san_dns", id="two DNS names"),
        pytest.param(client_certificate(dns=["*.example.org"]), "san_dns", id="wildcard"),
        pytest.param(client_certificate(dns=["a..b"]), "san_dns", id="empty label"),
        pytest.param(client_certificate(dns=["a b"]), "san_dns", id="space in a DNS name"),
        pytest.param(client_certificate(dns=["ci.example.org."]), "san_dns", id="trailing dot"),
        pytest.param(client_certificate(uri=["https://a", "https://b"]), "san_uri", id="two URIs"),
        pytest.param(client_certificate(uri=["no-scheme"]), "san_uri", id="URI without scheme"),
        pytest.param(client_certificate(email=["a@x.example", "b@x.example"]), "san_email", id="two addresses"),
        pytest.param(client_certificate(email=["example.org"]), "san_email", id="an address like a DNS name"),
        pytest.param(client_certificate(email=["evil@x.com@corp.com"]), "san_email", id="two @"),
        pytest.param(client_certificate(email=['"a@b"@corp.com']), "san_email", id="quoted local part"),
        pytest.param(client_certificate(email=["a@corp.com."]), "san_email", id="address with a trailing dot"),
        pytest.param(client_certificate(common=["a", "b"]), "subject_cn", id="two common names"),
        pytest.param(client_certificate(common=[SPIFFE]), "subject_cn", id="common name like a SPIFFE id"),
        pytest.param(client_certificate(common=["a@corp.com"]), "subject_cn", id="common name like an address"),
        pytest.param(client_certificate(common=["a\nb"]), "subject_cn", id="line break in a common name"),
        pytest.param(client_certificate(), "san_dns", id="no names at all"),
        pytest.param(b"", "san_dns", id="no certificate"),
        pytest.param(b"\x30\x03\x02\x01\x00", "san_dns", id="other DER"),
    ],
)
def test_what_could_mean_several_is_refused(der: bytes, kind: str) -> None:
    error = refused(der, kind)
    assert error.reason is Reason.CREDENTIAL_INVALID


@pytest.mark.parametrize("text", ["ci.example.org\x00.evil.example", "ci\r\n", "ci\x7f"], ids=repr)
def test_control_characters_in_any_name_make_the_certificate_useless(text: str) -> None:
    refused(client_certificate(dns=[text]))
    refused(client_certificate(uri=["https://" + text]))
    refused(client_certificate(uri=["https://a"], dns=[text]))
    refused(client_certificate(uri=["https://a"], email=[text]))
    refused(client_certificate(uri=["https://a"], common=[text]))


def test_a_name_of_one_type_never_stands_for_one_of_another() -> None:
    der = client_certificate(
        email=["ci.example.org"], other=[x509.OtherName(x509.ObjectIdentifier("1.2.3"), b"\x0c\x0eci.example.org")]
    )
    refused(der)
    refused(der, "san_dns", "subject_cn")


def test_a_certificate_counts_only_while_it_is_valid() -> None:
    clock = FrozenClock()
    certificates = Certificates(DEFAULT, grant, clock)
    der = client_certificate(dns=["ci.example.org"])
    certificates.authenticate(der)
    clock.time = NOW + 3601
    with pytest.raises(Unauthenticated) as caught:
        certificates.authenticate(der)
    assert caught.value.reason is Reason.CREDENTIAL_EXPIRED
    clock.time = NOW - 3601
    with pytest.raises(Unauthenticated, match="not valid yet"):
        certificates.authenticate(der)


def test_each_certificate_is_read_once() -> None:
    asked: list[str] = []

    def counting(identity: Identity) -> Principal:
        asked.append(identity.id)
        return grant(identity)

    certificates = Certificates(DEFAULT, counting, FrozenClock())
    first, second = client_certificate(dns=["a.example"]), client_certificate(dns=["b.example"])
    for _ in range(3):
        assert certificates.authenticate(first).id == "a.example"
        assert certificates.authenticate(second).id == "b.example"
    assert asked == ["a.example", "b.example"]


WHOLE = client_certificate(uri=[SPIFFE], dns=["ci.example.org"], common=["ci"])


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning", "ignore::UserWarning")
@given(
    st.binary(max_size=100)
    | st.builds(lambda at, byte: WHOLE[:at] + bytes([byte]) + WHOLE[at + 1 :], st.integers(0, len(WHOLE) - 1), st.integers(0, 255))
)
def test_any_bytes_are_a_principal_or_a_refusal(der: bytes) -> None:
    try:
        principal = Certificates(EVERY, grant, FrozenClock()).authenticate(der)
    except Unauthenticated:
        return
    assert principal.id.isprintable()
