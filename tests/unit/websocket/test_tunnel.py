"""A tunnel between two transports without sockets: who is told what, when, and that it always ends."""

import asyncio
from typing import Any

import pytest

from gateway.core.pace import Pace
from gateway.websocket.closing import close_frame, code_of, unmasked
from gateway.websocket.tunnel import CLOSE_WITHIN, Bounds, Tunnel
from tests.frames import PING, TEXT, closing, frame

RATE, PAUSE = 10, 20.0
"""Bytes a second at which an end has to take what is left, and seconds for which it may pause."""


class Wire(asyncio.Transport):
    """A transport that remembers, and tells its protocol what a real one would when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.protocol: asyncio.Protocol
        self.sent = b""
        self.backlog = 0
        self.reading = True
        self.closing = self.aborted = self.ended = False
        self.closes = 0

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self.protocol = protocol

    def is_closing(self) -> bool:
        return self.closing or self.aborted

    def write(self, data: Any) -> None:
        self.sent += data

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def get_write_buffer_size(self) -> int:
        return self.backlog

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def close(self) -> None:
        self.closing = True
        self.closes += 1

    def abort(self) -> None:
        self.aborted = True

    def lose(self) -> None:
        self.protocol.connection_lost(None)


class Play:
    """A tunnel, its two ends, and a clock of its own."""

    def __init__(self, *, idle: float = 60.0, message: int = 1000, early: bytes = b"", lost: bool = False) -> None:
        self.client, self.upstream = Wire(), Wire()
        self.time = 100.0
        bounds = Bounds(idle=idle, message=message, connections=1, per_principal=1)
        self.tunnel = Tunnel(asyncio.get_running_loop(), self.client, self.upstream, bounds, lambda: Pace(RATE, PAUSE, PAUSE))
        self.tunnel.now = lambda: self.time
        for end in (self.tunnel.client, self.tunnel.upstream):
            end.active = end.fresh = end.drained = self.time
        self.tunnel.start(early, lost=lost)

    def say(self, end: Wire, data: bytes) -> None:
        end.protocol.data_received(data)

    def wait(self, seconds: float) -> None:
        """Time passes, with a tick of the listener's clock each second."""
        for _ in range(int(seconds)):
            self.time += 1
            self.tunnel.check(self.time)

    def state(self) -> tuple[str, str]:
        """What became of the two connections so far."""
        client, upstream = ("cut" if end.aborted else "closing" if end.closing else "open" for end in (self.client, self.upstream))
        return client, upstream

    def lose(self) -> tuple[int, str]:
        """Both connections are lost; gives how it ended."""
        for wire, end in ((self.client, self.tunnel.client), (self.upstream, self.tunnel.upstream)):
            if not end.gone:
                wire.lose()
        ending = self.tunnel.ended.result()
        return ending.code, ending.by


def closed(code: int) -> bytes:
    """The Close the gateway tells a client."""
    return close_frame(code, masked=False)


def told(data: bytes) -> int:
    """The code of the Close that an upstream was told last, masked as it must be."""
    head, mask, payload = data[-8:-6], data[-6:-2], data[-2:]
    assert head == b"\x88\x82"
    return code_of(unmasked(payload, mask))


async def test_a_closing_handshake_passes_and_both_connections_end() -> None:
    play = Play()
    play.say(play.upstream, closing(4000, masked=False))
    assert play.client.sent == closing(4000, masked=False)
    assert play.state() == ("open", "open")
    play.say(play.client, closing(4000))
    assert play.upstream.sent == closing(4000)
    assert play.state() == ("closing", "closing")
    assert play.lose() == (4000, "upstream")


async def test_a_connection_is_closed_once_whatever_comes_of_it_still() -> None:
    """asyncio's TLS transport can neither be asked nor aborted after a second time."""
    play = Play()
    play.say(play.upstream, closing(4000, masked=False))
    play.say(play.client, closing(4000))
    play.say(play.client, b"more")
    play.say(play.upstream, b"more")
    assert (play.client.closes, play.upstream.closes) == (1, 1)


async def test_a_client_that_never_answers_a_close_is_cut_off() -> None:
    play = Play()
    play.say(play.upstream, closing(1000, masked=False))
    play.wait(CLOSE_WITHIN - 1)
    assert play.state()[0] == "open"
    play.wait(2)
    assert play.client.aborted
    assert play.upstream.aborted


async def test_a_client_that_still_takes_what_was_sent_is_waited_for() -> None:
    play = Play()
    play.client.backlog = 4000
    play.say(play.upstream, closing(1000, masked=False))
    for left in range(3800, -1, -200):
        play.wait(PAUSE - 1)
        assert play.state()[0] == "open"
        play.client.backlog = left
    play.wait(1 + CLOSE_WITHIN - 1)
    assert play.state()[0] == "open"
    play.wait(2)
    assert play.client.aborted


@pytest.mark.parametrize("drip", [0, 1, RATE - 1])
async def test_a_client_that_takes_less_than_it_has_to_is_cut_off(drip: int) -> None:
    """However long it goes on like this: what it takes buys it less time than passes."""
    play = Play()
    play.client.backlog = 1_000_000
    play.tunnel.end(1008)
    play.wait(PAUSE - 1)
    assert play.state()[0] == "open"
    for _ in range(int(PAUSE) * RATE):
        play.client.backlog -= drip
        play.wait(1)
    assert play.client.aborted


async def test_going_away_waits_for_the_end_of_a_frame_and_lets_nothing_follow() -> None:
    play = Play()
    data = frame(b"x" * 100, masked=False)
    play.say(play.upstream, data[:50])
    play.tunnel.leave()
    assert told(play.upstream.sent) == 1001
    assert play.client.sent == data[:50]
    play.say(play.upstream, data[50:] + frame(b"more", masked=False))
    assert play.client.sent == data + closed(1001)
    play.say(play.client, closing(1001))
    play.say(play.upstream, closing(1001, masked=False))
    assert play.state() == ("closing", "closing")
    assert play.lose() == (1001, "gateway")


async def test_going_away_does_not_wait_for_ever() -> None:
    play = Play()
    play.say(play.upstream, frame(b"x" * 100, masked=False)[:50])
    play.tunnel.leave()
    play.wait(CLOSE_WITHIN + 1)
    assert play.client.aborted


async def test_an_end_without_patience_cuts_who_is_in_the_middle_of_a_frame() -> None:
    play = Play()
    play.say(play.upstream, frame(b"x" * 100, masked=False)[:50])
    play.tunnel.end(1008)
    assert play.client.aborted
    assert told(play.upstream.sent) == 1008
    assert not play.upstream.aborted


async def test_nothing_of_a_client_passes_once_the_upstream_was_told() -> None:
    play = Play()
    play.tunnel.end(1008)
    before = play.upstream.sent
    play.say(play.client, frame(b"late", kind=TEXT))
    play.say(play.client, frame(reserved=1))
    assert play.upstream.sent == before
    assert play.client.sent == closed(1008)


async def test_a_violator_is_told_and_its_connection_half_closed() -> None:
    play = Play()
    play.say(play.client, frame(reserved=1))
    assert play.client.sent == closed(1002)
    assert play.client.ended
    assert told(play.upstream.sent) == 1002
    assert not play.upstream.ended


async def test_who_breaks_the_protocol_on_the_way_out_is_not_told_again() -> None:
    play = Play()
    play.tunnel.end(1001)
    play.say(play.client, frame(reserved=1) + closing(1000))
    assert play.client.sent == closed(1001)


@pytest.mark.parametrize(("first", "code"), [("upstream", 1011), ("client", 1001)])
async def test_a_lost_end_is_told_to_the_other(first: str, code: int) -> None:
    play = Play()
    getattr(play, first).lose()
    other = play.client if first == "upstream" else play.upstream
    assert other.sent == closed(code) if first == "upstream" else told(other.sent) == code
    assert play.lose() == (code, first)


async def test_what_an_end_said_before_it_was_lost_still_arrives() -> None:
    play = Play(message=10_000)
    many = frame(b"x", masked=False) * 2000
    play.say(play.upstream, many)
    assert len(play.client.sent) < len(many)
    play.upstream.lose()
    assert play.client.sent == many + closed(1011)


async def test_early_frames_pass_and_an_upstream_lost_before_the_start_is_told() -> None:
    play = Play(early=frame(b"hello", masked=False), lost=True)
    assert play.client.sent == frame(b"hello", masked=False) + closed(1011)


async def test_who_reads_slowly_stops_the_other_and_nobody_else() -> None:
    play = Play()
    play.client.protocol.pause_writing()
    assert not play.upstream.reading
    assert play.client.reading
    play.client.protocol.resume_writing()
    assert play.upstream.reading


async def test_many_small_frames_pass_in_turns_with_reading_held_meanwhile() -> None:
    play = Play()
    many = frame() * 1000
    play.say(play.client, many)
    assert not play.client.reading
    assert 0 < len(play.upstream.sent) < len(many)
    for _ in range(10):
        await asyncio.sleep(0)
    assert play.upstream.sent == many
    assert play.client.reading


async def test_a_tunnel_is_idle_when_no_frame_passes_either_way_and_pings_are_frames() -> None:
    play = Play(idle=10)
    for _ in range(5):
        play.wait(9)
        play.say(play.client, frame(kind=PING))
    play.wait(9)
    assert not play.client.sent
    play.wait(2)
    assert play.client.sent == closed(1001)


async def test_a_large_frame_that_gets_on_is_no_silence() -> None:
    play = Play(idle=10, message=1 << 20)
    data = frame(b"x" * 100_000)
    play.say(play.client, data[:10])
    for place in range(10, 20_010, 1000):
        play.wait(5)
        play.say(play.client, data[place : place + 1000])
    assert play.client.sent == b""
    play.wait(11)
    assert play.client.sent == closed(1001)


async def test_a_frame_that_begins_after_a_long_silence_has_its_time() -> None:
    play = Play(idle=10)
    for _ in range(4):
        play.wait(8)
        play.say(play.upstream, frame(masked=False))
    play.say(play.client, frame(b"x" * 100)[:20])
    play.wait(8)
    play.say(play.upstream, frame(masked=False))
    assert closed(1008) not in play.client.sent
    play.wait(4)
    assert play.client.sent.endswith(closed(1008))


async def test_cutting_ends_both_and_keeps_the_first_cause() -> None:
    play = Play()
    play.tunnel.end(1008, detail="revoked")
    play.tunnel.cut()
    assert play.client.aborted
    assert play.upstream.aborted
    assert play.lose() == (1008, "gateway")


async def test_who_is_not_listened_to_does_not_drip() -> None:
    """An upstream held up in the middle of a frame by a client that reads slowly: nobody can say that it gives too slowly."""
    play = Play(idle=10, message=1 << 20)
    play.client.backlog = 100_000
    play.say(play.upstream, frame(b"x" * 100_000, masked=False)[:50_000])
    play.client.protocol.pause_writing()
    for _ in range(10):
        play.wait(8)
        play.client.backlog -= 1000
        play.say(play.client, frame(kind=PING))
    assert play.state() == ("open", "open")
    assert closed(1008) not in play.client.sent
