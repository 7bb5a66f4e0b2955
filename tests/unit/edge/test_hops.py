"""Max-Forwards: which requests end here, and what such a one is told."""

import pytest

from gateway.core.message import Field
from gateway.edge.hops import ends_here, told
from tests.fakes import a_request


@pytest.mark.parametrize(
    ("fields", "ends"),
    [
        ([], False),
        ([(b"max-forwards", b"0")], True),
        ([(b"max-forwards", b"0" * 20)], True),
        ([(b"max-forwards", b"1")], False),
        ([(b"max-forwards", b"10")], False),
        ([(b"max-forwards", b"")], False),
        ([(b"max-forwards", b"-0")], False),
        ([(b"max-forwards", b"0x0")], False),
        ([(b"max-forwards", b"5"), (b"max-forwards", b"0")], True),
    ],
)
def test_a_request_ends_where_its_count_is_zero(fields: list[Field], ends: bool) -> None:
    assert ends_here(a_request("OPTIONS", headers=fields)) is ends


def test_the_methods_are_told_in_order() -> None:
    assert told({"POST", "OPTIONS", "GET"}).headers == [(b"allow", b"GET, OPTIONS, POST")]
    assert told(None).headers == [(b"allow", b"DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT")]
