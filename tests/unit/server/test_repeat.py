"""What a connection remembers of its requests is little."""

from typing import Any, cast

from gateway.core.message import Inbound
from gateway.server.origin import Origin
from gateway.server.repeat import LONGEST_TARGET, MOST_TARGETS, Repeat
from tests.rawhttp import limits

END = b" HTTP/1.1\r\nHost: a\r\n\r\n"


class Peer:
    """Makes requests as Origin does."""

    def inbound(self, method: str, target: bytes, version: str, headers: Any, *more: Any) -> Inbound:
        return Inbound(method, target, version, headers, "192.0.2.1", "main")


def repeat() -> tuple[Repeat, Any]:
    bounds = limits()
    made = Repeat(b"GET /" + END, "GET", [(b"host", b"a")], bounds)

    def ask(target: bytes) -> Inbound | None:
        return made.inbound(b"GET " + target + END, bounds, cast("Origin", Peer()))

    return made, ask


def test_the_same_request_is_the_same_object_and_another_is_not() -> None:
    _, ask = repeat()
    assert ask(b"/a") is ask(b"/a")
    assert ask(b"/b") is not ask(b"/a")
    assert ask(b"/b").target == b"/b"


def test_few_requests_are_remembered_and_only_short_ones() -> None:
    """What is made of a target takes many times as much, and nobody has said yet who is asking."""
    made, ask = repeat()
    long = b"/" + b"a/" * (LONGEST_TARGET // 2)
    assert ask(long) is not ask(long)
    assert made._came == {}
    for number in range(3 * MOST_TARGETS):
        assert ask(b"/%d" % number).target == b"/%d" % number
        assert len(made._came) <= MOST_TARGETS


def test_what_llhttp_would_read_otherwise_is_left_to_it() -> None:
    _, ask = repeat()
    assert [ask(target) for target in (b"/a b", b"/a\x7f", b"/\xff", b"/a#b", b'/"')] == [None] * 5


def test_a_longer_length_counts_against_the_limits_of_a_head() -> None:
    fields = b"Host: a\r\nContent-Length: "
    bounds = limits(request_line=len(b"POST /aa HTTP/1.1"), headers=len(fields) + 1 + 2)
    head = b"POST /a HTTP/1.1\r\n" + fields + b"1\r\n\r\n"
    made = Repeat(head, "POST", [(b"host", b"a"), (b"content-length", b"1")], bounds, sized=True)

    def taken(target: bytes, size: int) -> bool:
        data = b"POST %b HTTP/1.1\r\n%b%d\r\n\r\n%b" % (target, fields, size, b"x" * size)
        return made.inbound(data, bounds, cast("Origin", Peer())) is not None

    assert [taken(b"/", 9), taken(b"/aa", 9), taken(b"/aaa", 9), taken(b"/", 10)] == [True, True, False, False]
