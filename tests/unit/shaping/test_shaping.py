"""The stage: what becomes of an answer as obligations made by hand demand, and that its upstream is let go in every ending."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gateway.authz.policy import enforce
from gateway.core.decision import AccessRequest, Decision, Permit
from gateway.core.errors import DependencyDown, GatewayError, UpstreamUnreachable, Withheld
from gateway.core.json_path import parse
from gateway.core.message import Field, Outbound, Response
from gateway.core.obligations import Answer, Obligations, Redaction, Requirement, Shaped, Style
from gateway.shaping import require
from gateway.shaping.shaping import Shaping
from tests.fakes import CountingMetrics, a_principal, a_request

JSON: tuple[Field, ...] = ((b"content-type", b"application/json"),)
MAIL = b'{"id": 1, "email": "alice@example.com"}'


class Upstream:
    """An answer's stream and what became of its connection."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self._pieces = list(pieces)
        self.left = 0
        self.taken = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._pieces:
            raise StopAsyncIteration
        self.taken += 1
        piece = self._pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        return piece

    def abandon(self) -> None:
        self.left += 1


def key_of(value: bytes | None) -> Callable[[], bytes]:
    """What gives a key, or may not have it."""

    def current() -> bytes:
        if value is None:
            raise DependencyDown("no key")
        return value

    return current


def redact(path: str, style: Style = Style.REMOVE) -> Obligations:
    return Obligations(redact=(Redaction(parse(path), style),))


def required(holds: Callable[[Any], bool], *, hidden: bool = False, **more: Any) -> Obligations:
    def asked(principal: Any, access: Any, answer: Answer) -> bool:
        return holds(answer.body)

    return Obligations(require=(Requirement(asked, hidden),), **more)


def answer(
    *pieces: bytes | Exception, status: int = 200, fields: tuple[Field, ...] = JSON, body: bytes = b""
) -> tuple[Response, Upstream]:
    """One that streams, or is there."""
    source = Upstream(*pieces)
    made = Response(status, fields, body, stream=source if pieces else None, abandon=source.abandon, own=False)
    return made, source


def permit(obligations: Obligations, method: str = "GET") -> Permit:
    access = AccessRequest(a_request(method), "r", "u", {}, 0.0)
    return enforce(a_principal(), access, Decision(True, "p/r", obligations=obligations))


async def shaped(
    obligations: Obligations,
    response: Response,
    *,
    method: str = "GET",
    told: Shaped | None = None,
    key: Callable[[], bytes] | None = None,
) -> tuple[Response, bytes]:
    """The answer's head and all of its body."""
    stage = Shaping(key, CountingMetrics())
    made = await stage.shape(response, obligations, permit(obligations, method), told or Shaped())
    body = made.body
    if made.stream is not None:
        body += b"".join([piece async for piece in made.stream])
    return made, body


async def test_a_stream_leaves_as_it_comes() -> None:
    response, source = answer(b'[{"email": 1, "a": 1}', b',{"a": 2}', b"]")
    made = await Shaping(None, CountingMetrics()).shape(response, redact("$..email"), permit(redact("$..email")), Shaped())
    assert (made.body, source.taken) == (b'[{ "a": 1}', 1)
    assert made.stream is not None
    assert await anext(made.stream) == b',{"a": 2}'
    assert source.taken == 2


async def test_what_was_replaced_is_counted() -> None:
    told = Shaped()
    _, body = await shaped(redact("$[*].a", Style.PARTIAL), answer(b'[{"a":"0123456789"},{"a":', b"null},{}]")[0], told=told)
    assert (body, told.redacted, told.outcome) == (b'[{"a":"01****89"},{"a":"****"},{}]', 2, "shaped")


async def test_equal_values_get_equal_tokens_that_a_key_decides() -> None:
    obligations = redact("$[*]", Style.HASH)
    tokens = [
        json.loads((await shaped(obligations, answer(body=b'["a","\\u0061","b",1,"1"]')[0], key=key_of(key)))[1])
        for key in (b"k", b"j")
    ]
    for a, escaped, b, number, text in tokens:
        assert a == escaped != b
        assert number == text
    assert tokens[0] != tokens[1]
    assert all(len(token) == 37 for each in tokens for token in each)


@pytest.mark.parametrize(("key", "error"), [(None, Withheld), (key_of(None), DependencyDown)])
async def test_without_its_key_nothing_is_asked_of_the_upstream(key: Callable[[], bytes] | None, error: type[Exception]) -> None:
    outbound = Outbound("GET", b"/", [], a_request().body, a_request())
    with pytest.raises(error):
        Shaping(key, CountingMetrics()).prepare(outbound, redact("$.a", Style.HASH), switches=False)


async def test_a_handshake_for_another_protocol_is_refused() -> None:
    outbound = Outbound("GET", b"/", [], a_request().body, a_request())
    with pytest.raises(Withheld):
        Shaping(None, CountingMetrics()).prepare(outbound, redact("$.a"), switches=True)


# Requirements


async def test_an_answer_that_fulfils_its_requirement_passes_and_is_redacted_after() -> None:
    obligations = required(lambda body: body["email"] == "alice@example.com", redact=(Redaction(parse("$.email"), Style.REMOVE),))
    made, body = await shaped(obligations, answer(MAIL[:10], MAIL[10:])[0])
    assert (made.status, body) == (200, b'{"id": 1}')


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize(
    "body", [MAIL, b'"x"', b"", b"{", b"1 2", b'{"id": 2, "id": 7}', b'{"id": 7, "ID": 2}', b"[" * 65 + b"]" * 65, b'{"id": 1e999}'],
)  # fmt: skip
async def test_any_other_is_withheld_or_hidden(body: bytes, hidden: bool) -> None:
    """A condition that has no value is one that does not hold; what is not JSON to everybody is not asked about."""
    response, source = answer(body)
    with pytest.raises(Withheld) as refused:
        await shaped(required(lambda body: body["id"] == 7, hidden=hidden), response)
    assert refused.value.reason == ("not-found" if hidden else "response-withheld")
    assert refused.value.status == (404 if hidden else 403)
    assert source.left == 1


async def test_it_is_hidden_only_where_every_failing_requirement_says_so() -> None:
    def no(*_: Any) -> bool:
        return False

    for hidden, reason in (((True, True), "not-found"), ((True, False), "response-withheld")):
        obligations = Obligations(require=tuple(Requirement(no, each) for each in hidden))
        with pytest.raises(Withheld) as refused:
            await shaped(obligations, answer(MAIL)[0])
        assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("document", "left"),
    [
        (b' [ {"org":1} , {"org": 2} ,3, {"org":1.0, "x": "\xc3\xa9\\u00e9"}] ', b'[{"org":1},{"org":1.0, "x": "\xc3\xa9\\u00e9"}]'),
        (b'[{"org":1} ,\n{"org":1}]', b'[{"org":1} ,\n{"org":1}]'),
        (b"[ ]", b"[ ]"),
        (b"[null,[]]", b"[]"),
        (b'[{"org":true},{"org":"1"},{}]', b"[]"),
    ],
)  # fmt: skip
async def test_of_an_array_the_items_that_fulfil_it_stay_byte_for_byte(document: bytes, left: bytes) -> None:
    obligations = required(lambda body: body["org"] == 1 and body["org"] is not True)
    assert (await shaped(obligations, answer(document)[0]))[1] == left


async def test_a_condition_must_be_true_and_not_just_something() -> None:
    with pytest.raises(Withheld):
        await shaped(required(lambda body: body), answer(MAIL)[0])


async def test_a_large_array_is_asked_about_without_holding_others_up() -> None:
    document = json.dumps([{"org": number % 2, "text": "x" * 20} for number in range(8000)]).encode()
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    beside = asyncio.create_task(others())
    _, body = await shaped(required(lambda body: body["org"] == 1), answer(document)[0])
    beside.cancel()
    assert len(json.loads(body)) == 4000
    assert turns > 100


async def test_what_is_too_much_to_ask_about_is_withheld_and_not_read_on() -> None:
    piece = b" " * (256 * 1024)
    response, source = answer(*[piece] * 100)
    with pytest.raises(Withheld, match="bytes cannot be asked about"):
        await shaped(required(lambda body: True), response)
    assert source.taken == require.MOST // len(piece) + 1
    assert source.left == 1


@pytest.mark.parametrize("kind", [b"text/event-stream", b"application/x-ndjson", b"text/html"])
async def test_only_one_document_can_be_asked_about(kind: bytes) -> None:
    with pytest.raises(Withheld):
        await shaped(required(lambda body: True), answer(b"data: {}\n\n", fields=((b"content-type", kind),))[0])


@pytest.mark.parametrize(
    ("status", "method", "hidden", "outcome"),
    [
        (404, "GET", False, 404),
        (404, "GET", True, "not-found"),
        (410, "GET", True, 410),
        (500, "GET", False, 500),
        (302, "GET", False, "response-withheld"),
        (304, "GET", True, "not-found"),
        (206, "GET", False, "response-withheld"),
        (200, "HEAD", False, "response-withheld"),
        (200, "HEAD", True, "not-found"),
        (404, "HEAD", True, "not-found"),
        (404, "HEAD", False, 404),
    ],
)
async def test_what_a_requirement_cannot_be_asked_about_tells_a_failure_at_most(
    status: int, method: str, hidden: bool, outcome: int | str
) -> None:
    """Where it may not be known what there is, an upstream's 404 is told in the gateway's own words, as what is hidden is."""
    obligations = required(lambda body: True, hidden=hidden)
    response, source = answer(b'{"why": "secret"}', status=status)
    if isinstance(outcome, str):
        with pytest.raises(Withheld) as refused:
            await shaped(obligations, response, method=method)
        assert refused.value.reason == outcome
    else:
        made, body = await shaped(obligations, response, method=method)
        assert (made.status, body, made.shape.present & {b"content-type"}) == (outcome, b"", frozenset())
    assert source.left >= 1


# Endings


async def test_what_breaks_before_anything_left_is_told_as_it_is() -> None:
    response, source = answer(b"", UpstreamUnreachable("gone"))
    told = Shaped()
    with pytest.raises(UpstreamUnreachable):
        await shaped(redact("$.email"), response, told=told)
    assert (source.left, told.outcome) == (1, "")


async def test_a_client_that_leaves_while_the_first_piece_is_waited_for_lets_the_upstream_go() -> None:
    source = Upstream()

    async def never() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    response = Response(200, JSON, stream=never(), abandon=source.abandon, own=False)
    waiting = asyncio.create_task(shaped(redact("$.email"), response))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert source.left == 1


async def test_what_turns_out_unreadable_later_is_an_error_of_the_stream() -> None:
    response, _ = answer(MAIL, b"x")
    told, counted = Shaped(), CountingMetrics()
    made = await Shaping(None, counted).shape(response, redact("$.email"), permit(redact("$.email")), told)
    assert made.stream is not None
    with pytest.raises(GatewayError) as cut:
        await anext(made.stream)
    assert (cut.value.reason, told.outcome) == ("response-withheld", "cut")
    assert "byte 39" in cut.value.detail
    assert counted.counted("gateway.answers.shaped", outcome="cut") == 1
    assert made.abandon is not None, "who delivers it lets the upstream go"


async def test_paths_made_to_have_endless_states_withhold_and_do_not_grow() -> None:
    """Which of the last levels were called `a` is what such a path would have to remember."""
    obligations = redact("$..a" + ".*" * 25)
    stage = Shaping(None, CountingMetrics())

    def tree(depth: int) -> str:
        return f'{{"a":{tree(depth - 1)},"b":{tree(depth - 1)}}}' if depth else "1"

    for _ in range(2):
        with pytest.raises(Withheld, match="too many states"):
            await stage.shape(answer(body=tree(13).encode())[0], obligations, permit(obligations), Shaped())
        made = await stage.shape(answer(body=b'{"a":[1]}')[0], obligations, permit(obligations), Shaped())
        assert made.body == b'{"a":[1]}'
