"""Database URLs: what they may hold, and that a wrong one is refused without being repeated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.store.sql.address import Address, parse


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("postgresql://db.example.com/latchgate", Address("db.example.com", 5432, "latchgate")),
        ("postgresql://db.example.com:6432/a%20b", Address("db.example.com", 6432, "a b")),
        ("postgresql://[2001:db8::1]:5433/x", Address("2001:db8::1", 5433, "x")),
        ("postgresql:///latchgate?host=/run/postgresql", Address("/run/postgresql", 5432, "latchgate")),
        ("postgresql://:5433/latchgate?host=/run/postgresql", Address("/run/postgresql", 5433, "latchgate")),
    ],
    ids=["host", "port", "ipv6", "socket", "socket-port"],
)
def test_url_says_where_the_server_listens(url: str, address: Address) -> None:
    assert parse(url) == address
    assert address.local == address.host.startswith("/")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:canary@db/x",
        "postgresql://canary@db/x",
        "postgresql://db",
        "postgresql://db/",
        "postgresql://db/a/b",
        "postgresql:///x",
        "postgresql:///x?host=db",
        "postgresql://db/x?sslmode=disable",
        "postgresql://db/x?host=/run",
        "postgresql://db/x#canary",
        "postgresql://db:99999/x",
        "postgresql://[canary/x",
        "mysql://db/x",
        "canary",
        "",
    ],
)
def test_other_urls_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match=r"URL") as caught:
        parse(url)
    assert "canary" not in str(caught.value)


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_a_value_error(text: str) -> None:
    for url in (text, f"postgresql://{text}"):
        try:
            found = parse(url)
        except ValueError:
            continue
        assert found.host
        assert found.database
        assert 1 <= found.port <= 65535
