"""Networks and sets of them."""

import random
from ipaddress import ip_address, ip_network

import pytest

from gateway.authz.cel.errors import EvaluationError
from gateway.authz.cel.networks import AddressSet, Network


@pytest.mark.parametrize(
    ("network", "address", "inside"),
    [
        ("10.0.0.0/8", "10.255.255.255", True),
        ("10.0.0.0/8", "11.0.0.0", False),
        ("10.0.0.0/8", "::ffff:10.1.2.3", True),
        ("10.0.0.0/8", "::ffff:0a01:0203", True),
        ("10.0.0.0/8", "::10.1.2.3", False),
        ("0.0.0.0/0", "::1", False),
        ("::/0", "10.0.0.1", False),
        ("2001:db8::/32", "2001:DB8::1", True),
        ("2001:db8::/32", "2001:db9::1", False),
        ("203.0.113.9/32", "203.0.113.9", True),
    ],
)
def test_a_network_contains_the_addresses_of_its_own_family(network: str, address: str, inside: bool) -> None:
    assert Network(network).contains(address) is inside


@pytest.mark.parametrize(
    "address",
    ["", "10.1", "010.0.0.1", "0x0a000001", "10.0.0.1 ", "10.0.0.1/32", "fe80::1%eth0", "10.0.0.1\0", "\u0661.0.0.1", "\ud800"],
)
def test_what_is_no_address_is_an_error_and_not_outside(address: str) -> None:
    with pytest.raises(EvaluationError):
        Network("10.0.0.0/8").contains(address)


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0.1/8",
        "10.0.0.0",
        "10.0.0.0/33",
        "010.0.0.0/8",
        "::/129",
        "",
        "/",
        "10.0.0.0/8 ",
        "fe80::%1/64",
        "10.0.0.0/-1",
        "::ffff:10.0.0.0/104",
        "10.0.0.0/08",
    ],
)
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Network(text)


def test_networks_are_equal_as_they_are_written() -> None:
    assert Network("10.0.0.0/8") == Network("10.0.0.0/8")
    assert Network("10.0.0.0/8") != Network("10.0.0.0/9")
    assert Network("10.0.0.1/8", exact=False) != Network("10.0.0.0/8")
    assert Network("10.0.0.1/8", exact=False).masked() == Network("10.0.0.0/8")
    assert len({Network("10.0.0.0/8"), Network("10.0.0.0/8")}) == 1


def a_set(*networks: str) -> AddressSet:
    return AddressSet([Network(text) for text in networks])


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("10.0.0.0", True),
        ("10.255.255.255", True),
        ("11.0.0.0", False),
        ("9.255.255.255", False),
        ("192.0.2.7", True),
        ("::ffff:192.0.2.7", True),
        ("2001:db8::1", True),
        ("::1", False),
        ("0.0.0.0", False),
        ("255.255.255.255", False),
    ],
)
def test_a_set_contains_what_one_of_its_networks_does(address: str, inside: bool) -> None:
    office = a_set("192.0.2.7/32", "10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32")
    assert office.contains(address) is inside


def test_an_empty_set_contains_nothing() -> None:
    assert a_set().contains("10.0.0.1") is False


@pytest.mark.parametrize("address", ["", "10.1", "10.0.0.1 ", "fe80::1%eth0", "10.0.0.1\0"])
def test_a_set_gives_no_answer_for_what_is_no_address(address: str) -> None:
    with pytest.raises(EvaluationError):
        a_set("10.0.0.0/8").contains(address)


def test_ten_thousand_networks_are_asked_like_the_standard_library_would() -> None:
    chance = random.Random(4)
    texts = [f"{chance.randrange(1, 224)}.{chance.randrange(256)}.{chance.randrange(256)}.0/24" for _ in range(10_000)]
    networks = [ip_network(text) for text in texts]
    found = a_set(*texts)
    for _ in range(20):
        address = ip_address(chance.randrange(2**24, 2**32))
        assert found.contains(str(address)) is any(address in network for network in networks)
