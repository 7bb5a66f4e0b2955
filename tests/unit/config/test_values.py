"""The value types of configuration."""

import ipaddress
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from gateway.config.address import Address, parse_address
from gateway.config.values import (
    Name,
    Network,
    Rate,
    Token,
    parse_duration,
    parse_rate,
    parse_size,
    write_duration,
    write_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("0s", 0), ("10s", 10), ("5m", 300), ("24h", 86400), ("90d", 7776000)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "10", 10, 1.5, "1.5s", "-1s", "1 s", "1S", "01s", "1w", "s", None, True, "٣s", "1s\n", "9999999999s"]
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="a duration is written like"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"), [("64KiB", 65536), ("1MiB", 1048576), ("2GiB", 2147483648), ("7B", 7), ("9", 9), (9, 9), (0, 0)]
)
def test_sizes(text: object, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "1KB", "1kib", "1.5MiB", -1, "-1", True, None, 1.0, "1 MiB", "1MiB\n"])
def test_what_is_no_size_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="a size is written like"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("100/second", Rate(100, 1)),
        ("300/minute", Rate(300, 60)),
        ("1000/hour", Rate(1000, 3600)),
        ("5000/day", Rate(5000, 86400)),
        ("20/10s", Rate(20, 10)),
        ("100/15m", Rate(100, 900)),
    ],
)
def test_rates(text: str, rate: Rate) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    "text", ["", "100", 100, "0/second", "100/0s", "100/week", "100 / minute", "1/500ms", "-1/minute", None, "100/minute\n"]
)
def test_what_is_no_rate_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="a rate is written like"):
        parse_rate(text)


@given(st.integers(0, 10**8).map(lambda millis: millis / 1000))
def test_a_duration_that_was_written_is_read_back(seconds: float) -> None:
    assert parse_duration(write_duration(seconds)) == pytest.approx(seconds)


@given(st.integers(0, 10**12 - 1))
def test_a_size_that_was_written_is_read_back(size: int) -> None:
    assert parse_size(write_size(size)) == size


@pytest.mark.parametrize(
    ("text", "network"), [("10.0.0.0/8", "10.0.0.0/8"), ("192.0.2.1", "192.0.2.1/32"), ("2001:db8::/32", "2001:db8::/32")]
)
def test_networks(text: str, network: str) -> None:
    assert TypeAdapter(Network).validate_python(text) == ipaddress.ip_network(network)


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0/8", "", "x", 5, None, "10.0.0.0/33", "0x7f.1", "010.0.0.1"])
def test_what_is_no_network_is_refused(text: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Network).validate_python(text)


@pytest.mark.parametrize("text", ["", ".a", "-a", "a b", "a/b", "a\n", "ä", "a" * 64, "a:b"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Name).validate_python(text)


@pytest.mark.parametrize("text", ["", "a b", "a:b", "a\n", "ä", "a\r\nb: c"])
def test_what_is_no_header_name_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Token).validate_python(text)


ADDRESSES = {
    "127.0.0.1:8080": (Address("127.0.0.1", 8080), True),
    "[::1]:8080": (Address("::1", 8080), True),
    "localhost:0": (Address("127.0.0.1", 0), True),
    "0.0.0.0:443": (Address("0.0.0.0", 443), False),
    "[::]:443": (Address("::", 443), False),
    "192.0.2.1:65535": (Address("192.0.2.1", 65535), False),
    "unix:/run/gateway.sock": (Address(path="/run/gateway.sock"), True),
}


@pytest.mark.parametrize(("text", "address", "local"), [(text, *found) for text, found in ADDRESSES.items()], ids=ADDRESSES.keys())
def test_addresses(text: str, address: Address, local: bool) -> None:
    assert parse_address(text) == address
    assert address.is_local is local
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "text",
    ["", ":8080", "*:8080", "8080", "127.0.0.1", "127.1:80", "::1:80", "[127.0.0.1]:80", "example.com:80", "127.0.0.1:65536",
     "127.0.0.1:-1", "127.0.0.1:80\n", "unix:run/x", "unix:", "unix:/a\0b", "unix:/" + "x" * 108, "http://127.0.0.1:80", "[fe80::1%eth0]:80"],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"address|socket|port"):
        parse_address(text)


@given(st.text(max_size=30))
def test_whatever_is_written_is_an_address_or_refused(text: str) -> None:
    for candidate in (text, f"unix:{text}", f"[{text}]:80", f"{text}:80"):
        with suppress(ValueError):
            assert parse_address(str(parse_address(candidate))) == parse_address(candidate)
