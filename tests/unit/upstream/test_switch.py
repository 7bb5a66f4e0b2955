"""The gateway's handshake with an upstream: one meaning in whatever pieces the answer arrives."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import UpstreamUnreachable
from gateway.core.handshake import accept_of
from gateway.core.message import Response
from gateway.core.reason import Reason
from gateway.upstream.connection import Connection
from gateway.upstream.repeated import Replies
from gateway.upstream.switch import Switching, asking
from tests.frames import KEY, switching
from tests.scripted import OK
from tests.unit.upstream.test_connection import Owner, Wire, connected

INTERIM = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
PIECES = st.lists(st.integers(1, 60), max_size=30)


class Switch(Wire):
    """A transport that hands bytes to whoever listens now."""

    def __init__(self) -> None:
        super().__init__()
        self.protocol: Any = None

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def pause_reading(self) -> None: ...


class Asked:
    """A handshake under way."""

    def __init__(self, protocols: tuple[bytes, ...] = ()) -> None:
        self.pool, self.wire = Owner(), Switch()
        self.connection: Connection = connected(self.pool, self.wire, Replies())
        self.owner = self.connection.begin(b"", 30, 30)
        self.switching = Switching(self.connection, self.owner, protocols, accept_of(KEY))
        self.switching.take_over()

    def answer(self, data: bytes, cuts: list[int]) -> Response:
        """What comes of an answer that arrives in these pieces."""
        for cut in cuts:
            self.wire.protocol.data_received(data[:cut])
            data = data[cut:]
            if not data:
                break
        if data:
            self.wire.protocol.data_received(data)
        made: Response = self.owner.result()
        return made


def played(data: bytes, cuts: list[int], protocols: tuple[bytes, ...] = ()) -> tuple[Any, ...]:
    """The outcome of an answer as plain values."""

    async def play() -> tuple[Any, ...]:
        asked = Asked(protocols)
        try:
            made = asked.answer(data, cuts)
        except asyncio.InvalidStateError:
            return ("nothing yet",)
        except UpstreamUnreachable as error:
            return error.reason, asked.wire.aborted
        finally:
            asked.connection.connection_lost(None)
            if asked.owner.done():
                asked.owner.exception()
        if made.switched is None:
            return (made.status,)
        return made.status, made.headers, made.switched.early

    return asyncio.run(play())


@given(cuts=PIECES, interim=st.integers(0, 3), behind=st.binary(max_size=40))
def test_a_101_switches_and_what_comes_behind_it_is_kept(cuts: list[int], interim: int, behind: bytes) -> None:
    data = INTERIM * interim + switching(KEY, b"X-Server: a", b"Sec-WebSocket-Protocol: chat") + behind
    outcome = played(data, cuts, (b"chat",))
    assert outcome == (101, [(b"x-server", b"a"), (b"sec-websocket-protocol", b"chat")], behind)


@given(cuts=PIECES, interim=st.integers(0, 3))
def test_another_answer_is_the_connections_to_read(cuts: list[int], interim: int) -> None:
    assert played(INTERIM * interim + OK, cuts) == (200,)


@given(cuts=PIECES, place=st.integers(0, 128), octet=st.integers(0, 255))
def test_one_wrong_octet_anywhere_never_makes_another_tunnel(cuts: list[int], place: int, octet: int) -> None:
    right = switching(KEY)
    place %= len(right)
    wrong = right[:place] + bytes([octet]) + right[place + 1 :]
    outcome = played(wrong, cuts)
    if outcome[0] == 101:
        assert outcome == played(wrong, [])
        phrase = range(len(b"HTTP/1.1 101"), right.index(b"\r\n"))
        assert place in phrase or wrong.lower().replace(b"\t", b" ") == right.lower() or outcome[1] == []
    else:
        assert outcome[0] in (Reason.UPSTREAM_PROTOCOL, Reason.UPSTREAM_UNREACHABLE, "nothing yet")


@given(data=st.binary(max_size=200), cuts=PIECES)
def test_pieces_make_no_difference_to_what_comes_of_any_bytes(data: bytes, cuts: list[int]) -> None:
    assert played(data, cuts)[0] != 101


async def test_a_tunnel_nobody_waits_for_any_more_is_ended() -> None:
    asked = Asked()
    asked.owner.cancel()
    asked.wire.protocol.data_received(switching(KEY))
    assert asked.wire.aborted


async def test_a_connection_lost_between_question_and_answer_is_an_error_and_later_is_known() -> None:
    asked = Asked()
    asked.wire.protocol.connection_lost(None)
    with pytest.raises(UpstreamUnreachable):
        asked.owner.result()
    asked = Asked()
    made = asked.answer(switching(KEY), [])
    assert made.switched is not None
    assert not made.switched.lost
    asked.wire.protocol.connection_lost(None)
    assert made.switched.lost


def test_what_is_asked_offers_no_extension() -> None:
    assert asking(KEY, ()) == (
        b"connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: " + KEY + b"\r\n"
    )
    assert asking(KEY, (b"a", b"b")).endswith(b"\r\nsec-websocket-protocol: a, b\r\n")
