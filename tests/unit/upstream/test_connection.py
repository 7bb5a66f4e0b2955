"""Who may end a connection: only the exchange that runs on it now."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

from gateway.core.errors import UpstreamUnreachable
from gateway.core.outbox import outbox_of
from gateway.upstream.accrual import Accrual
from gateway.upstream.connection import Connection
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.repeated import Replies
from tests.knots import knots
from tests.scripted import OK


class Wire(asyncio.Transport):
    """A transport without a socket."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.aborted = self.closed = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.aborted or self.closed

    def write(self, data: Any) -> None:
        self.sent.append(bytes(data))

    def abort(self) -> None:
        self.aborted = True

    def close(self) -> None:
        self.closed = True


class Owner:
    """A pool that remembers what came back."""

    def __init__(self) -> None:
        self.released: list[Connection] = []
        self.poisonings = 0

    def release(self, connection: Connection) -> None:
        self.released.append(connection)

    def spent(self, connection: Connection, *, poisoned: bool) -> None:
        self.poisonings += poisoned

    def gone(self, connection: Connection) -> None: ...

    def answered(self, connection: Connection, status: int) -> None: ...

    def failed(self, connection: Connection, error: Exception) -> None: ...

    def poisoned(self) -> None:
        self.poisonings += 1


def connected(pool: Owner, wire: Wire, replies: Replies) -> Connection:
    """A connection of a target that answered with `replies` before."""
    lane = cast("Any", SimpleNamespace(replies=replies, doubted=False))
    connection = Connection(pool, asyncio.get_running_loop(), lane, Endpoint("127.0.0.1", Accrual(1, 1, 1)), "127.0.0.1:1")
    connection.connection_made(wire)
    return connection


@contextmanager
def crowded() -> Iterator[None]:
    """Other requests are in flight, so that writes wait for the end of the turn."""
    outbox = outbox_of(asyncio.get_running_loop())
    outbox.busy = 2
    yield
    outbox.busy = 0


async def test_one_who_gives_up_late_does_not_end_somebody_elses_exchange() -> None:
    pool, wire = Owner(), Wire()
    connection = connected(pool, wire, Replies())
    first = connection.begin(b"one", bodiless=False, response=30, idle=30)
    connection.data_received(OK)
    assert (first.result().body, pool.released) == (b"ok", [connection])
    second = connection.begin(b"two", bodiless=False, response=30, idle=30)
    connection.disown(first)
    after_first = wire.aborted
    connection.disown(second)
    assert (after_first, wire.aborted) == (False, True)
    connection.connection_lost(None)


async def test_an_answer_that_comes_before_its_request_is_out_reaches_nobody() -> None:
    """While a request waits for the end of the turn, what arrives cannot be its answer: response queue poisoning, seen for sure."""
    pool, wire = Owner(), Wire()
    connection = connected(pool, wire, Replies())
    with crowded():
        owner = connection.begin(b"asked", bodiless=False, response=30, idle=30)
        connection.data_received(OK)
        await asyncio.sleep(0)
    assert isinstance(owner.exception(), UpstreamUnreachable)
    assert (wire.sent, wire.aborted, pool.released, connection.seen) == ([], True, [], 0)


async def test_who_gives_up_before_his_request_is_out_has_asked_nothing() -> None:
    pool, wire = Owner(), Wire()
    connection = connected(pool, wire, Replies())
    with crowded():
        connection.disown(connection.begin(b"asked", bodiless=False, response=30, idle=30))
        await asyncio.sleep(0)
    assert (wire.sent, wire.aborted) == ([], True)


async def test_an_answer_that_began_for_nobody_is_freed_with_its_connection() -> None:
    with knots() as found:
        connection = connected(Owner(), Wire(), Replies())
        owner = connection.begin(b"GET / HTTP/1.1\r\n\r\n", 1, 1)
        connection.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab")
        connection.disown(owner)
        connection.connection_lost(None)
        del connection, owner
    assert not found


async def test_a_connection_nobody_waited_for_any_more_is_freed() -> None:
    class Kept(Wire):
        """A transport that knows its protocol, and is never told to forget it."""

        def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
            self.protocol: Any = protocol

    with knots() as found:
        wire = Kept()
        connection = connected(Owner(), wire, Replies())
        wire.protocol = connection
        connection.forsake()
        del connection, wire
    assert not found
