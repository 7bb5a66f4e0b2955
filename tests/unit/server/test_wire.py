"""The sending side of a connection under a clock that tests move: who takes what waits, and who leaves."""

import pytest

from gateway.server.listener import Bound, Listener
from gateway.server.wire import LINGER, Wire
from tests.fakes import CountingMetrics
from tests.rawhttp import Echo, limits
from tests.unit.server.test_protocol import Memory

RATE = 1000
PAUSE = 30.0


class Backlog(Memory):
    """A transport whose buffer the test fills and empties."""

    def __init__(self) -> None:
        super().__init__()
        self.backlog = 0
        self._aborted = False
        self.closes = 0

    def get_write_buffer_size(self) -> int:
        return self.backlog

    def close(self) -> None:
        self.closes += 1
        self.closing = True

    def is_aborted(self) -> bool:
        return self._aborted

    def abort(self) -> None:
        self._aborted = self.closing = True


@pytest.fixture
async def end() -> tuple[Wire, Backlog, CountingMetrics]:
    metrics, transport = CountingMetrics(), Backlog()
    bound = Bound(Listener("main", "127.0.0.1:0", Echo(), limits=limits(min_download=RATE, body_idle=PAUSE)), metrics)
    return Wire(transport, bound), transport, metrics


End = tuple[Wire, Backlog, CountingMetrics]


def cuts(metrics: CountingMetrics) -> int:
    return metrics.counted("gateway.connections.cut", listener="main", reason="slow-reader")


async def test_who_takes_nothing_is_cut_off_after_the_longest_pause(end: End) -> None:
    wire, transport, metrics = end
    transport.backlog = 100_000
    wire.full(0.0)
    wire.check(PAUSE - 1)
    assert not transport.is_aborted()
    wire.check(PAUSE)
    assert transport.is_aborted()
    assert cuts(metrics) == 1


@pytest.mark.parametrize(("each", "cut"), [(RATE, False), (RATE - 100, True)], ids=["at the rate", "below it"])
async def test_who_takes_too_little_is_cut_off_in_the_end(end: End, each: int, cut: bool) -> None:
    wire, transport, metrics = end
    transport.backlog = 10_000_000
    wire.full(0.0)
    for second in range(1, 1000):
        transport.backlog -= each
        wire.check(float(second))
    assert (transport.is_aborted(), cuts(metrics)) == (cut, cut)


async def test_a_buffer_that_is_low_again_is_waited_for_no_longer(end: End) -> None:
    wire, transport, _ = end
    transport.backlog = 100_000
    wire.full(0.0)
    transport.backlog = 10
    wire.free()
    wire.check(10 * PAUSE)
    assert not transport.is_aborted()


@pytest.mark.parametrize("gently", [False, True])
async def test_who_stops_reading_the_end_of_the_last_answer_is_cut_off(end: End, gently: bool) -> None:
    """Also when so little is left that nobody would have to wait with writing."""
    wire, transport, metrics = end
    transport.backlog = 100_000
    wire.full(0.0)
    (wire.close_gently if gently else wire.close)(1.0)
    transport.backlog = 10
    wire.free()
    wire.check(2.0)
    assert not transport.is_aborted()
    wire.check(1.0 + 2 * PAUSE)
    assert transport.is_aborted()
    assert cuts(metrics) == 1


@pytest.mark.parametrize("gently", [False, True])
async def test_who_has_taken_all_and_does_not_leave_is_cut_off_after_a_moment(end: End, gently: bool) -> None:
    wire, transport, metrics = end
    transport.backlog = 100_000
    (wire.close_gently if gently else wire.close)(0.0)
    transport.backlog = 0
    wire.check(5.0)
    wire.check(5.0 + LINGER - 0.1)
    assert not transport.is_aborted()
    wire.check(5.0 + LINGER)
    assert transport.is_aborted()
    assert cuts(metrics) == 0


async def test_who_says_that_it_leaves_and_takes_nothing_is_cut_off(end: End) -> None:
    """A half-closed connection is closed by the event loop, which waits for ever with what it could not send."""
    wire, transport, metrics = end
    transport.backlog = 10
    wire.last(0.0)
    transport.closing = True
    wire.check(PAUSE)
    assert transport.is_aborted()
    assert cuts(metrics) == 1


async def test_a_client_that_goes_on_taking_has_not_taken_all(end: End) -> None:
    """A queue that is empty for a moment is not the end: what comes behind it has its own time."""
    wire, transport, _ = end
    wire.close(0.0)
    wire.check(0.5)
    transport.backlog = 100_000
    wire.check(0.5 + LINGER - 0.1)
    transport.backlog = 50_000
    wire.check(0.5 + LINGER)
    assert not transport.is_aborted()


async def test_a_connection_is_closed_once(end: End) -> None:
    """asyncio's TLS transport cannot be aborted after a second time."""
    wire, transport, _ = end
    wire.close(0.0)
    wire.close(0.0)
    assert transport.closes == 1


async def test_a_connection_at_rest_is_left_alone(end: End) -> None:
    wire, transport, _ = end
    wire.check(1_000_000.0)
    assert not transport.is_aborted()
