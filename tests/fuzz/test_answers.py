"""For any bytes of an upstream: the client gets the one well-formed answer they are, or 502, or a cut; and the next client its own.

What the upstream sent is read by the strict reader, and so is what the client got.
"""

from pathlib import Path

from tests.fuzz import strict
from tests.fuzz.explore import explore
from tests.fuzz.grammar import Exchange, exchanges
from tests.fuzz.strict import Broken, Field, Message, Partial
from tests.fuzz.wireless import Caller, Far, Wireless

REQUEST = b"%b /public/%b HTTP/1.1\r\nHost: gw.test\r\n%b\r\n"
COMPARED = frozenset((b"x-a", b"x-b", b"x-empty", b"x-high", b"etag", b"content-type"))


class Script:
    """An upstream that answers `/public/fuzzed` once as it is told, and anything else with the id of who asked."""

    def __init__(self, usual: bytes) -> None:
        self.usual = usual
        self.asked: Far | None = None

    def answer(self, far: Far) -> None:
        found, end = strict.requests(far.received)
        assert not isinstance(end, Broken), far.received
        while far.answered < len(found):
            message = found[far.answered]
            far.answered += 1
            self._answer(far, message)

    def _answer(self, far: Far, message: Message) -> None:
        if message.second == b"/public/usual":
            far.send(self.usual)
        elif message.second == b"/public/fuzzed" and self.asked is None:
            self.asked = far
        else:
            (name,) = message.all(b"x-request-id")
            body = b"" if message.first == b"HEAD" else name
            far.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-Id: %b\r\n\r\n%b" % (len(name), name, body))


async def converse(gateway: Wireless, exchange: Exchange) -> None:
    script = Script(exchange.usual)
    gateway.upstream.answer = script.answer
    first, second = gateway.call(), gateway.call()
    for _ in range(exchange.before):
        await asked(gateway, first, b"GET", b"usual")
    first.received = b""
    await asked(gateway, first, exchange.method, b"fuzzed")
    far = script.asked
    assert far is not None
    sent = len(far.sent)
    pieces = exchange.pieces
    for place, piece in enumerate(pieces):
        if exchange.meanwhile and place == len(pieces) - 1:
            await asked(gateway, second, b"GET", b"meanwhile")
        if not far.link.ended:
            far.send(piece)
        await gateway.settled()
    if exchange.closes:
        far.link.hang_up()
        await gateway.settled()
    judge(gateway, first, exchange, far.sent[sent:])
    await asked(gateway, second, b"GET", b"after")
    judge_other(gateway, second)


async def asked(gateway: Wireless, caller: Caller, method: bytes, target: bytes) -> None:
    caller.link.give(REQUEST % (method, target, b"Content-Length: 0\r\n" if method == b"POST" else b""))
    await gateway.settled()


def judge(gateway: Wireless, caller: Caller, exchange: Exchange, sent: bytes) -> None:
    """The client's answer is the upstream's, or the gateway's own, or is seen to be cut."""
    told, _ = next(begun for begun in gateway.witness.begun if begun[0].path == "/public/fuzzed")
    head = exchange.method == b"HEAD"
    try:
        got = strict.answer(caller.received, 0, bodiless=head, closed=False)
    except Partial:
        assert told.status is None or told.error is not None or exchange_goes_on(gateway, told), caller.received
        return
    assert got.end == len(caller.received)
    assert got.first == b"%d" % (told.status or 0)
    if told.source != "upstream":
        assert got.first in (b"502", b"504")
        return
    if told.retries:
        assert got.all(b"x-id") == [told.id.encode()]
        return
    agree(strict.answer(sent, 0, bodiless=head, closed=exchange.closes), got)


def exchange_goes_on(gateway: Wireless, told: object) -> bool:
    return all(ended is not told for ended, _, _ in gateway.witness.ended)


def agree(sent: Message, got: Message) -> None:
    """One and the same answer."""
    assert got.first == sent.first
    assert got.body == sent.body
    assert compared(got) == [field for field in compared(sent) if field[0] not in options(sent)]


def compared(message: Message) -> list[Field]:
    return [field for field in message.fields if field[0] in COMPARED]


def options(message: Message) -> set[bytes]:
    return {option.strip(b" \t").lower() for option in b",".join(message.all(b"connection")).split(b",")}


def judge_other(gateway: Wireless, caller: Caller) -> None:
    """Whoever asks over the same pool gets the answers to what he asked."""
    others = [told for told, _ in gateway.witness.begun if told.path in ("/public/meanwhile", "/public/after")]
    at = 0
    for told in others:
        got = strict.answer(caller.received, at, bodiless=False, closed=False)
        assert (got.first, got.all(b"x-id"), got.body) == (b"200", [told.id.encode()], told.id.encode())
        at = got.end
    assert at == len(caller.received)


def test_what_a_client_gets_is_what_its_upstream_sent_or_nothing(tmp_path: Path) -> None:
    explore(tmp_path, exchanges(), converse)
