"""Which addresses are public, which are a cloud's metadata service, in whatever spelling."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.addresses import is_link_local, is_metadata, is_public, normalise, vet
from gateway.core.names import folded

INSIDE = [
    "0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.1.1", "172.16.0.1", "192.0.0.1", "192.0.2.1", "192.88.99.1",
    "192.168.0.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "168.63.129.16",
    "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:0:7f00:1", "64:ff9b::808:808", "64:ff9b:1::1", "100::1", "2001::1",
    "2001:db8::1", "2002:808:808::", "3fff::1", "fc00::1", "fd00::1", "fe80::1", "fec0::1", "ff02::1", "5f00::1",
]  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
def test_what_is_not_the_public_internet_is_known(address: str) -> None:
    assert not is_public(address)
    with pytest.raises(ValueError):
        vet(address, private=False, literal=True)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "140.82.112.3", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses_pass(address: str) -> None:
    assert is_public(address)
    vet(address, private=False)


METADATA = [
    "169.254.169.254", "::ffff:169.254.169.254", "::a9fe:a9fe", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "fd00:ec2::254",
    "fd00:0ec2:0:0::0254", "100.100.100.200", "168.63.129.16", "fe80::a9fe:a9fe%eth0", "169.254.170.2",
]  # fmt: skip


@pytest.mark.parametrize("address", METADATA)
def test_metadata_services_need_to_be_named_literally(address: str) -> None:
    assert is_metadata(address)
    for private, literal in ((False, False), (True, False), (False, True)):
        with pytest.raises(ValueError):
            vet(address, private=private, literal=literal)
    vet(address, private=True, literal=True)


@pytest.mark.parametrize(
    ("given_", "normal"), [("::ffff:10.0.0.1", "10.0.0.1"), ("FE80::1%eth0", "fe80::1"), ("2001:DB8:0::1", "2001:db8::1")]
)
def test_there_is_one_spelling(given_: str, normal: str) -> None:
    assert normalise(given_) == normal


@pytest.mark.parametrize("text", ["127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "", "a", "1.2.3.4:80", "[::1]"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        normalise(text)


@given(st.integers(0, 2**32 - 1))
def test_no_wrapping_of_a_private_address_is_public(number: int) -> None:
    inner = ipaddress.IPv4Address(number)
    for wrapped in (f"::ffff:{inner}", f"::{inner}", f"64:ff9b::{inner}", f"2002:{number >> 16:x}:{number & 0xFFFF:x}::"):
        assert not is_public(wrapped) or (is_public(str(inner)) and wrapped.startswith("::ffff"))
        assert is_link_local(wrapped) == is_link_local(str(inner)) or inner == ipaddress.IPv4Address(0)


@pytest.mark.parametrize("name", [b"X_Gateway.Subject", b"x-gateway-subject", b"XGATEWAYSUBJECT", b"x'gateway~subject"])
def test_names_are_compared_by_letters_and_digits(name: bytes) -> None:
    assert folded(name) == b"xgatewaysubject"
