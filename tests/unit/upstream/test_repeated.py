"""Answers whose head came before: the same answer as if llhttp had read it, or llhttp reads it."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core.errors import GatewayError
from gateway.core.message import Field, Response
from gateway.core.shape import MOST, split
from gateway.scrub.needles import Needles
from gateway.upstream.answer import ResponseFields
from gateway.upstream.repeated import LONGEST, MISSES, REST, Replies
from gateway.upstream.target import parse_target
from tests.scripted import outbound
from tests.unit.upstream.test_connection import Owner, Wire, connected

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nEtag: 1\r\n\r\nok"
LINES = [
    b"Content-Length: 2",
    b"Content-Length: 4",
    b"content-length: 0",
    b"Content-Length: 2, 2",
    b"Content-Length: 02",
    b"Transfer-Encoding: chunked",
    b"Connection: close",
    b"Connection: keep-alive",
    b"Set-Cookie: a=b",
    b"WWW-Authenticate: Negotiate",
    b"X-A: 1\r\n folded",
    b"X-B: 1\nX-C: 2",
    b"X-D: \r\n\r\n",
    b"Etag: 1",
]
STARTS = [
    b"HTTP/1.1 304 Not Modified",
    b"HTTP/1.1 200 OK",
    b"HTTP/1.0 200 OK",
    b"HTTP/1.1 204 No Content",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK",
    b"\r\nHTTP/1.1 200 OK",
]
ENDS = [b"\r\n\r\n", b"\n\n", b"\r\n\n"]
BODIES = [b"", b"ok", b"\r\n\r\n", b"okok", b"2\r\nok\r\n0\r\n\r\n", b"ok" + OK, b"o"]
ANSWERS = st.builds(
    lambda start, lines, end, body: b"\r\n".join([start, *lines]) + end + body,
    st.sampled_from(STARTS),
    st.lists(st.sampled_from(LINES), max_size=3),
    st.sampled_from(ENDS),
    st.sampled_from(BODIES),
)


class Heard:
    """What came of one answer: the answer or its error, and what became of the connection."""

    def __init__(self, replies: Replies) -> None:
        self._replies = replies

    def of(self, pieces: Sequence[bytes], *, bodiless: bool = False) -> tuple[object, ...]:
        pool, wire = Owner(), Wire()
        connection = connected(pool, wire, self._replies)
        owner = connection.begin(b"asked", 30, 30, bodiless)
        for piece in pieces:
            if not wire.is_closing():
                connection.data_received(piece)
        came: object = None
        if owner.done():
            error = owner.exception()
            if isinstance(error, GatewayError):
                came = error.reason, error.detail
            else:
                response: Response = owner.result()
                came = response.status, response.headers, response.body, response.stream is not None
        connection.connection_lost(None)
        return came, bool(pool.released), pool.poisonings > 0, connection.seen


@given(st.lists(st.tuples(ANSWERS, st.booleans(), st.integers(0, 200)), min_size=1, max_size=4))
@example([(OK, False, 0), (OK, False, 0)])
@example([(OK, False, 0), (OK, True, 0), (OK, False, 0)])
@example([(OK, False, 0), (OK + OK, False, 0), (OK[:-1], False, 0)])
@example([(b"HTTP/1.1 200 OK\nContent-Length: 8\n\n\r\n\r\nHTTP", False, 0)] * 2)
def test_an_answer_means_the_same_whether_its_head_came_before_or_not(answers: list[tuple[bytes, bool, int]]) -> None:
    async def hear() -> None:
        known = Heard(Replies())
        for answer, bodiless, cut in [*answers, *answers]:
            pieces = [piece for piece in (answer[:cut], answer[cut:]) if piece]
            assert known.of(pieces, bodiless=bodiless) == Heard(Replies()).of(pieces, bodiless=bodiless)

    asyncio.run(hear())


async def test_llhttp_is_not_asked_twice() -> None:
    replies = Replies()
    assert replies.again(OK) is None
    heard = Heard(replies).of([OK])
    known = replies.again(OK.replace(b"ok", b"no"))
    assert known is not None
    assert (known.status, known.body) == (200, b"no")
    assert Heard(replies).of([OK]) == heard


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: sid=canary\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nWWW-Authenticate: NTLM\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Long: " + b"x" * LONGEST + b"\r\n\r\nok",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n\r\n\r\n",
    ],
    ids=["cookie", "last answer", "bound to the connection", "chunked", "long", "bodiless", "bodiless, with empty lines behind"],
)
async def test_heads_that_are_not_kept(answer: bytes) -> None:
    replies = Replies()
    Heard(replies).of([answer])
    assert replies.again(answer) is None


async def test_a_hostile_upstream_cannot_make_us_keep_more_than_a_table_and_is_soon_not_looked_at() -> None:
    replies = Replies()
    for number in range(2 * MISSES):
        Heard(replies).of([OK.replace(b"Etag: 1", b"Etag: %d" % number)])
        assert len(replies._known) <= MOST
    kept = dict(replies._known)
    Heard(replies).of([OK])
    assert replies._known == kept
    for _ in range(REST):
        replies.again(b"")
    Heard(replies).of([OK])
    assert replies.again(OK) is not None


def test_a_secret_is_scrubbed_from_a_head_that_was_harmless_with_another_secret() -> None:
    """Two routes, two credentials, one upstream that says the same to both: a note of one is no answer for the other."""
    fields = ResponseFields(
        [parse_target("https://up.example")], drop_cookies=True, reserved_cookies=frozenset(), preserve_host=False
    )
    memo: dict[object, Any] = {}
    given: list[Field] = [(b"x-echo", b"canary-two"), (b"connection", b"keep-alive")]
    for secrets, told in [
        ((b"canary-one",), b"canary-two"),
        ((b"canary-two",), b"REDACTED"),
        ((), b"canary-two"),
        ((b"canary-two",), b"REDACTED"),
    ]:
        for _ in range(2):
            response, asked = Response.passed(200, *split(given)), outbound()
            response.memo = memo
            asked.secrets = tuple(Needles(secret) for secret in secrets)
            fields.complete(response, asked)
            assert response.headers == [(b"x-echo", told)]


def test_a_note_does_not_keep_the_secret_it_was_made_for() -> None:
    fields = ResponseFields(
        [parse_target("https://up.example")], drop_cookies=True, reserved_cookies=frozenset(), preserve_host=False
    )
    response, asked = Response.passed(200, *split([(b"etag", b"1")])), outbound()
    response.memo, asked.secrets = {}, (Needles(b"canary-secret"),)
    fields.complete(response, asked)
    assert response.memo
    assert "canary-secret" not in repr(response.memo)
