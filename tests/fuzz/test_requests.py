"""For any bytes of a client: what is forwarded is one well-formed request equal to what was authorised, or nothing.

What the client said is read by the strict reader, and so is what the upstream received; in between stands what the gateway says it
authorised. The three must agree, request by request, and the client's answers must be the answers to its own requests.
"""

from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import h11

from gateway.core.exchange import Exchange
from gateway.core.message import Inbound, Request
from gateway.upstream.owned import FRAMING, HOP_BY_HOP, OWNED, Names
from tests.fuzz import strict
from tests.fuzz.explore import explore
from tests.fuzz.grammar import Conversation, conversations
from tests.fuzz.strict import Broken, Field, Message, Partial
from tests.fuzz.wireless import Caller, Far, Wireless

GONE = Names(HOP_BY_HOP | FRAMING | OWNED | {b"authorization"})
OURS = frozenset((b"host", b"via", b"x-request-id", b"content-length", b"transfer-encoding", b"max-forwards"))


def replying(*, early: bool) -> Any:
    """An upstream that answers each request with its id, once it is complete or as soon as its head is there."""

    def answer(far: Far) -> None:
        found, end = strict.requests(far.received)
        assert not isinstance(end, Broken), far.received
        if early and isinstance(end, Partial) and end.head is not None:
            found.append(end.head)
        while far.answered < len(found):
            message = found[far.answered]
            far.answered += 1
            (name,) = message.all(b"x-request-id")
            body = b"" if message.first == b"HEAD" else name
            far.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-Id: %b\r\n\r\n%b" % (len(name), name, body))

    return answer


async def converse(gateway: Wireless, conversation: Conversation) -> None:
    gateway.upstream.answer = replying(early=conversation.early)
    caller = gateway.call()
    for piece in [*conversation.earlier, *conversation.pieces]:
        caller.link.give(piece)
        await gateway.settled()
    judge(gateway, caller, conversation)


def judge(gateway: Wireless, caller: Caller, conversation: Conversation) -> None:
    said, end = strict.requests(conversation.said)
    begun = gateway.witness.begun
    places = {exchange.id.encode(): place for place, (exchange, _) in enumerate(begun)}
    forwarded: dict[int, Message] = {}
    for far in gateway.upstream.connections:
        complete, rest = strict.requests(far.received)
        assert not isinstance(rest, Broken), far.received
        second_opinion(complete, far.received)
        for message in complete:
            (name,) = message.all(b"x-request-id")
            assert places[name] not in forwarded, "sent twice"
            forwarded[places[name]] = message
    ended = {id(exchange): request for exchange, _, request in gateway.witness.ended}
    for place, message in forwarded.items():
        assert place < len(said), (message, end)
        exchange, inbound = begun[place]
        request = ended.get(id(exchange)) or inbound.claim.request
        agree(said[place], request, exchange, message)
    judge_answers(caller, begun, forwarded)


def agree(said: Message, request: Request, exchange: Exchange, message: Message) -> None:
    """What the client said, what was authorised, what was sent: one and the same request."""
    assert said.first == request.method.encode() == exchange.method.encode() == message.first
    asked = said.second.removeprefix(b"http://gw.test") or b"/"
    path, mark, query = asked.partition(b"?")
    authorised = request.path.encode() + (b"" if request.query is None else b"?" + request.query)
    assert message.second == authorised
    assert unquote_to_bytes(path) == unquote_to_bytes(request.path)
    assert request.query == (query if mark else None)
    assert exchange.path == request.path
    assert exchange.query == request.query
    assert said.body == message.body
    assert said.fields == request.head.headers
    assert [field for field in message.fields if field[0] not in OURS] == passed(said)


def passed(said: Message) -> list[Field]:
    """The client's fields that are for the upstream; cookies come last, where a credential may join them."""
    named = {option.strip(b" \t").lower() for option in b",".join(said.all(b"connection")).split(b",")}
    fields = [field for field in said.fields if field[0] not in GONE and field[0] not in named]
    return sorted(fields, key=lambda field: field[0] == b"cookie")


def second_opinion(complete: list[Message], received: bytes) -> None:
    """h11 reads what was forwarded as the strict reader does. It is the laxer one: bare LF, and whitespace where there is none."""
    peer = h11.Connection(h11.SERVER)
    peer.receive_data(received)
    for message in complete:
        event = peer.next_event()
        assert isinstance(event, h11.Request), event
        assert (event.method, event.target) == (message.first, message.second)
        assert list(event.headers) == message.fields
        body = b""
        while isinstance(event := peer.next_event(), h11.Data):
            body += event.data
        assert isinstance(event, h11.EndOfMessage)
        assert body == message.body
        peer.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
        peer.send(h11.EndOfMessage())
        peer.start_next_cycle()


def judge_answers(caller: Caller, begun: list[tuple[Exchange, Inbound]], forwarded: dict[int, Message]) -> None:
    """The client's answers are whole, in order, and to its own requests."""
    at = 0
    for place, (exchange, inbound) in enumerate(begun):
        try:
            answer = strict.answer(caller.received, at, bodiless=exchange.method == "HEAD", closed=caller.link.ended)
        except Partial:
            assert at == len(caller.received), caller.received[at:]
            assert exchange.status is None, "an answer that was given and never came"
            return
        at = answer.end
        assert answer.first == b"%d" % (exchange.status or 0)
        if exchange.source == "upstream":
            assert answer.all(b"x-id") == [exchange.id.encode()]
            assert exchange.method == "HEAD" or answer.body == exchange.id.encode()
        else:
            assert place not in forwarded or inbound.method in ("GET", "HEAD") or answer.first != b"200"
    assert caller.received[at:] == b""


def test_what_is_forwarded_is_what_was_authorised_or_nothing(tmp_path: Path) -> None:
    explore(tmp_path, conversations(), converse)
