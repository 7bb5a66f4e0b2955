"""Answers held against a description: what is counted, what is withheld, what passes as it came."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.core.errors import UpstreamTimeout, UpstreamUnreachable
from gateway.core.message import NO_BODY, Field, Outbound, Response
from gateway.edge.media import INSPECTED
from gateway.edge.model import OpenApi
from gateway.edge.openapi.answers import Answers
from gateway.edge.openapi.description import compiled
from gateway.edge.openapi.stage import Described
from tests.fakes import a_request, turns_during
from tests.unit.edge.openapi.descriptions import document

ISSUE = {
    "type": "object",
    "required": ["id"],
    "properties": {"id": {"type": "integer", "readOnly": True}, "secret": {"type": "string", "writeOnly": True}},
}
TEXT = document(
    {
        "/issues": {
            "get": {
                "responses": {
                    "200": {"content": {"application/json": {"schema": ISSUE}, "text/csv": {}}},
                    "4XX": {"content": {"application/problem+json": {"schema": {"required": ["title"]}}}},
                    "204": {"description": "nothing"},
                }
            }
        }
    }
)
JSON = (b"content-type", b"application/json")


class Upstream:
    """Answers once, and remembers what it was asked and whether it was let go."""

    def __init__(self, status: int, *fields: Field, pieces: tuple[bytes, ...] = (), broken: bool = False) -> None:
        self.asked: Outbound | None = None
        self.let_go = 0
        self._pieces, self._broken = pieces, broken
        streamed = len(pieces) > 1 or broken
        body = pieces[0] if pieces else b""
        self.response = Response(
            status, list(fields), body, stream=self._rest() if streamed else None, abandon=self._abandon, own=False
        )

    async def _rest(self) -> AsyncIterator[bytes]:
        for piece in self._pieces[1:]:
            yield piece
        if self._broken:
            raise UpstreamTimeout("gone")

    def _abandon(self) -> None:
        self.let_go += 1

    async def send(self, outbound: Outbound) -> Response:
        self.asked = outbound
        return self.response

    async def upgrade(self, outbound: Outbound, protocols: tuple[bytes, ...]) -> Response:
        return self.response


def outbound(method: str = "GET", target: str = "/issues") -> Outbound:
    made = Outbound(method, target.encode(), [], NO_BODY, a_request(method, path=target))
    made.lines = [b"accept: a/b\r\naccept-encoding: gzip\r\n", b"range: bytes=0-1\r\n"]
    return made


async def answered(upstream: Upstream, mode: str, asked: Outbound | None = None) -> tuple[str, list[str]]:
    """The whole body, or the reason of a refusal; and the parts that were counted."""
    parts: list[str] = []
    model = OpenApi.model_validate({"file": "api.json", "responses": mode})
    transport = Answers(upstream, Described(compiled(TEXT, model), model, note=parts.append), 0)
    try:
        response = await transport.send(asked or outbound())
        body = response.body
        async for piece in response.stream or NO_BODY:
            body += piece
    except UpstreamUnreachable as error:
        return f"withheld: {error.reason}" if upstream.let_go == 1 else "held", parts
    return body.decode()[:60], parts


GOOD = b'{"id": 1, "more": [1.0]}'


@pytest.mark.parametrize("mode", ["report", "enforce"])
@pytest.mark.parametrize(
    ("status", "fields", "pieces"),
    [
        (200, (JSON,), (GOOD,)),
        (200, (JSON,), (b"", GOOD[:5], GOOD[5:])),
        (200, ((b"content-type", b"text/csv"),), (b"a,b",)),
        (204, (), ()),
        (404, ((b"content-type", b"application/problem+json"),), (b'{"title": "x"}',)),
        (503, ((b"content-type", b"text/html"),), (b"<h1>overloaded</h1>",)),
        (301, (), ()),
    ],
    ids=str,
)
async def test_described_answers_pass_as_they_came(
    mode: str, status: int, fields: tuple[Field, ...], pieces: tuple[bytes, ...]
) -> None:
    assert await answered(Upstream(status, *fields, pieces=pieces), mode) == (b"".join(pieces).decode(), [])


WRONG: list[tuple[int, tuple[Field, ...], tuple[bytes, ...], str]] = [
    (200, (JSON,), (b'{"id": "1"}',), "answer"),
    (200, (JSON,), (b'{"id": 1, "sec', b'ret": "leaked"}'), "answer"),
    (200, (JSON,), (b"{", b""), "answer"),
    (200, (JSON,), (b'{"id": 1, "id": 2}',), "answer"),
    (200, ((b"content-type", b"text/html"),), (b"<p>",), "answer-type"),
    (200, (JSON, (b"content-type", b"text/csv")), (GOOD,), "answer-type"),
    (200, (), (GOOD,), "answer-type"),
    (201, (JSON,), (GOOD,), "answer-status"),
    (404, (JSON,), (b"{}",), "answer-type"),
    (404, ((b"content-type", b"application/problem+json"),), (b"{}",), "answer"),
    (200, (JSON, (b"content-encoding", b"gzip")), (b"\x1f\x8b", b""), "answer-uninspected"),
    (200, (JSON,), (b"[", b"1," * INSPECTED), "answer-uninspected"),
]


@pytest.mark.parametrize(("status", "fields", "pieces", "part"), WRONG, ids=range(len(WRONG)))
async def test_others_are_counted_and_withheld_only_where_the_route_says_so(
    status: int, fields: tuple[Field, ...], pieces: tuple[bytes, ...], part: str
) -> None:
    told = b"".join(pieces)[:60].decode("latin-1")
    reported, parts = await answered(
        Upstream(status, *fields, pieces=tuple(piece.decode("latin-1").encode() for piece in pieces)), "report"
    )
    assert (reported[: len(told)], parts) == (told, [part])
    assert await answered(Upstream(status, *fields, pieces=pieces), "enforce") == ("withheld: upstream-protocol", [part])


async def test_answers_to_unknown_requests_and_to_head_pass() -> None:
    assert await answered(Upstream(200, JSON, pieces=(b"{}",)), "enforce", outbound(target="/other")) == ("{}", [])
    assert await answered(Upstream(200, JSON), "enforce", outbound("HEAD")) == ("", [])
    assert await answered(Upstream(201, JSON), "enforce", outbound("HEAD")) == ("withheld: upstream-protocol", ["answer-status"])


@pytest.mark.parametrize("mode", ["report", "enforce"])
async def test_a_whole_answer_in_no_coding_is_asked_for_only_where_it_must_be_read(mode: str) -> None:
    upstream = Upstream(200, JSON, pieces=(GOOD,))
    await answered(upstream, mode)
    assert upstream.asked is not None
    asked = b"".join(upstream.asked.lines)
    assert asked == (b"accept: a/b\r\naccept-encoding: identity\r\n" if mode == "enforce" else b"".join(outbound().lines))


@pytest.mark.parametrize("mode", ["report", "enforce"])
async def test_an_answer_that_breaks_off_is_broken_as_before(mode: str) -> None:
    with pytest.raises(UpstreamTimeout):
        await answered(Upstream(200, JSON, pieces=(b"{",), broken=True), mode)


async def test_websockets_go_their_way() -> None:
    upstream = Upstream(101)
    model = OpenApi.model_validate({"file": "api.json", "responses": "enforce"})
    described = Described(compiled(TEXT, model), model, note=lambda _: None)
    assert await Answers(upstream, described, 0).upgrade(outbound(), ()) is upstream.response


@pytest.mark.parametrize("mode", ["report", "enforce"])
async def test_while_a_large_answer_is_judged_others_are_served(mode: str) -> None:
    """On the event loop itself it would take one turn."""
    large = b'{"id": 1, "more": [%s]}' % b",".join([b'{"b":1}'] * 10_000)
    assert await turns_during(answered(Upstream(200, JSON, pieces=(large,)), mode)) > 1
    assert await turns_during(answered(Upstream(200, JSON, pieces=(b"", large)), mode)) > 1


async def test_a_broken_off_answer_is_let_go_of_in_enforce_mode() -> None:
    upstream: Any = Upstream(200, JSON, pieces=(b"{",), broken=True)
    with pytest.raises(UpstreamTimeout):
        await answered(upstream, "enforce")
    assert upstream.let_go == 1
