"""Who is counted together, and who never is."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.ratelimit import keys
from tests.fakes import a_principal, a_request


def address(client: str) -> str:
    return keys.address(a_request(client=client))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff"),
        ("2001:db8:0:0:1::", "2001:db8::2"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::2"),
    ],
    ids=["one /64", "written differently", "IPv4-mapped", "with a zone"],
)
def test_addresses_of_one_subscriber_share_a_counter(one: str, other: str) -> None:
    assert address(one) == address(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("2001:db8::1", "2001:db8:0:1::1"), ("192.0.2.1", "192.0.2.2"), ("::ffff:192.0.2.1", "::ffff:192.0.2.2"), ("192.0.2.1", "")],
    ids=["neighbouring /64", "IPv4", "IPv4-mapped", "unix socket"],
)
def test_addresses_of_different_subscribers_do_not(one: str, other: str) -> None:
    assert address(one) != address(other)


def test_text_that_is_no_address_is_bounded() -> None:
    assert len(address("x:" * 10_000)) <= keys.MAX_KEY


def test_subject_is_issuer_and_id() -> None:
    key = keys.build(["subject"], "r")
    one = key(a_request(), a_principal("ada", issuer="corp"))
    other = key(a_request(), a_principal("ada", issuer="partner"))
    assert one != other


def test_anonymous_requests_are_counted_by_address() -> None:
    key = keys.build(["subject"], "r")
    nobody = a_principal("anonymous", issuer="", scheme="anonymous")
    assert key(a_request(client="192.0.2.1"), nobody) != key(a_request(client="192.0.2.2"), nobody)


@pytest.mark.parametrize("parts", [["subject"], ["subject", "route"], ["client.address", "subject", "route"]], ids=str)
def test_subject_of_kilobytes_makes_a_short_key(parts: list[str]) -> None:
    key = keys.build(parts, "route")
    assert len(key(a_request(), a_principal("x" * 100_000))) < 256
    assert key(a_request(), a_principal("x" * 100_000)) != key(a_request(), a_principal("x" * 99_999 + "y"))


def test_order_of_the_parts_does_not_matter() -> None:
    request, principal = a_request(), a_principal()
    assert keys.build(["route", "subject"], "r")(request, principal) == keys.build(["subject", "route"], "r")(request, principal)


def test_route_alone_counts_everybody_together() -> None:
    key = keys.build(["route"], "github.issues")
    assert key(a_request(client="192.0.2.1"), None) == key(a_request(client="192.0.2.2"), a_principal())


names = st.text(st.sampled_from("a:1@{}"), max_size=6)


@given(one=st.tuples(names, names, names), other=st.tuples(names, names, names))
def test_no_two_combinations_of_subject_and_route_are_equal(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    def key(issuer: str, id: str, route: str) -> str:
        return keys.build(["subject", "route"], route)(a_request(), a_principal(id, issuer=issuer))

    assert (key(*one) == key(*other)) == (one == other)


@given(one=st.tuples(names, names), other=st.tuples(names, names))
def test_no_two_combinations_of_address_and_route_are_equal(one: tuple[str, str], other: tuple[str, str]) -> None:
    def key(client: str, route: str) -> str:
        return keys.build(["client.address", "route"], route)(a_request(client=client.replace(":", ".")), None)

    expected = (one[0].replace(":", "."), one[1]) == (other[0].replace(":", "."), other[1])
    assert (key(*one) == key(*other)) == expected


@given(st.text(max_size=50))
@example(":\x00")
def test_any_text_as_client_address_gives_a_key(client: str) -> None:
    assert len(address(client)) <= max(keys.MAX_KEY, 50)
