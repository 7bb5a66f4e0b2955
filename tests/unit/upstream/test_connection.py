"""Who may end a connection: only the exchange that runs on it now."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from gateway.upstream.connection import Connection
from gateway.upstream.repeated import Replies
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

    def release(self, connection: Connection) -> None:
        self.released.append(connection)

    def gone(self, connection: Connection) -> None: ...

    def poisoned(self) -> None: ...


async def test_one_who_gives_up_late_does_not_end_somebody_elses_exchange() -> None:
    pool, wire = Owner(), Wire()
    lane = cast("Any", SimpleNamespace(replies=Replies()))
    connection = Connection(pool, asyncio.get_running_loop(), lane, "127.0.0.1", "127.0.0.1:1")
    connection.connection_made(wire)
    first = connection.begin(b"one", bodiless=False, response=30, idle=30)
    connection.data_received(OK)
    assert (first.result().body, pool.released) == (b"ok", [connection])
    second = connection.begin(b"two", bodiless=False, response=30, idle=30)
    connection.disown(first)
    after_first = wire.aborted
    connection.disown(second)
    assert (after_first, wire.aborted) == (False, True)
    connection.connection_lost(None)
