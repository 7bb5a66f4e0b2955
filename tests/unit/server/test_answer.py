"""What of an answer may wait for the end of the turn: only what is its last piece."""

import pytest

from gateway.core.message import Inbound, Response
from gateway.server.answer import Answer


class Sender:
    """Where an answer goes to; remembers which pieces could wait."""

    is_full = False
    date = b"date: now"

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []

    def send(self, data: bytes) -> None:
        self.sent.append(("now", data))

    def send_soon(self, data: bytes) -> None:
        self.sent.append(("soon", data))

    async def drained(self) -> None:
        raise AssertionError("nobody is full")

    def cut(self) -> None:
        self.sent.append(("cut", b""))


class Turn:
    def give_away(self) -> None:
        raise AssertionError("nothing is given away")

    def reusable(self) -> bool:
        return True


def begun(method: str = "GET") -> tuple[Answer, Sender]:
    sender = Sender()
    return Answer(sender, Turn(), Inbound(method, b"/", "1.1", [], "192.0.2.1", "main"), False), sender


def whens(sender: Sender) -> list[str]:
    return [when for when, _ in sender.sent]


async def test_of_a_body_of_known_length_the_last_piece_may_wait() -> None:
    answer, sender = begun()
    await answer.start(Response(200, [(b"content-length", b"9")]), b"one", True)
    await answer.write(b"two")
    await answer.write(b"six")
    answer.end()
    assert whens(sender) == ["now", "now", "soon"]
    assert answer.complete


async def test_of_chunks_only_the_end_may_wait() -> None:
    answer, sender = begun()
    await answer.start(Response(200, []), b"one", True)
    await answer.write(b"two")
    answer.end()
    assert whens(sender) == ["now", "now", "soon"]
    assert sender.sent[-1][1] == b"0\r\n\r\n"


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
async def test_a_head_without_a_body_is_the_last_piece(method: str, status: int) -> None:
    answer, sender = begun(method)
    await answer.start(Response(status, [(b"content-length", b"9")]), b"", True)
    answer.end()
    assert whens(sender) == ["soon"]


async def test_a_body_that_comes_with_its_head_is_the_last_piece() -> None:
    answer, sender = begun()
    await answer.start(Response(200, [(b"content-length", b"3")]), b"one", True)
    answer.end()
    assert whens(sender) == ["soon"]
