"""What the request line and the size of a head tell, before llhttp sees them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.reason import Reason
from gateway.server.head import head_fault, known
from tests.rawhttp import limits

LIMITS = limits(request_line=64, headers=128)


def reason(head: bytes) -> Reason | None:
    fault = head_fault(head, LIMITS)
    return None if fault is None else fault.reason


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", None),
        (b"GET / HTTP/1.0\r\nHost: a\r\n\r\n", None),
        (b"", None),
        (b"GET / HT", None),
        (b"GET /" + b"a" * 59, None),
        (b"GET /" + b"a" * 60, Reason.TARGET_TOO_LONG),
        (b"GET /" + b"a" * 50 + b" HTTP/1.1\r\n", None),
        (b"GET /" + b"a" * 51 + b" HTTP/1.1\r\n", Reason.TARGET_TOO_LONG),
        (b"GET / HTTP/1.1\r\n" + b"a" * 130, None),
        (b"GET / HTTP/1.1\r\n" + b"a" * 131, Reason.HEADERS_TOO_LARGE),
        (b"GET / HTTP/3.0\r\n", Reason.VERSION_NOT_SUPPORTED),
        (b"GET /\r\n", Reason.VERSION_NOT_SUPPORTED),
        (b"GET / / HTTP/1.1\r\n", Reason.MALFORMED_REQUEST),
        (b"GET / HTTP/1.1\nHost: a\r\n", Reason.MALFORMED_REQUEST),
        (b"HTTP/1.1\r\n", Reason.MALFORMED_REQUEST),
        (b"\r\n", Reason.MALFORMED_REQUEST),
        (b" HTTP/1.1\r\n", Reason.MALFORMED_REQUEST),
    ],
    ids=repr,
)
def test_a_head_is_judged_as_far_as_it_is_there(head: bytes, expected: Reason | None) -> None:
    assert reason(head) is expected


@given(st.binary(max_size=300))
def test_every_fault_ends_the_connection_and_none_is_a_crash(head: bytes) -> None:
    fault = head_fault(head, LIMITS)
    assert fault is None or fault.close


@given(st.binary(max_size=300))
def test_what_is_told_of_a_refused_head_is_printable(head: bytes) -> None:
    method, target = known(head)
    assert method == "-" or (method.isascii() and method.isalpha())
    assert target.decode("ascii").isprintable()
    assert len(target) <= 1024


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (b"DELETE /a?b HTTP/9.9\r\n", ("DELETE", b"/a?b")),
        (b"DELETE /a?b", ("DELETE", b"")),
        (b"GET /\x1b[31m HTTP/1.1\r\n", ("GET", b"")),
        (b"\x16\x03\x01 x\r\n", ("-", b"")),
        (b"", ("-", b"")),
    ],
    ids=repr,
)
def test_method_and_target_are_told_where_they_can_be(head: bytes, told: tuple[str, bytes]) -> None:
    assert known(head) == told
