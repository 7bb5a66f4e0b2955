"""The street door: one call a request. Opens the exchange, has it answered, delivers the answer, writes the evidence."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from time import monotonic, time
from typing import Final, Protocol

from gateway.core.errors import GatewayError, InternalError, Unavailable
from gateway.core.exchange import Exchange
from gateway.core.message import Inbound, Response
from gateway.core.ports import Writer
from gateway.core.reason import Reason
from gateway.pipeline import finished, refused, respond
from gateway.snapshot import Current, Door, Snapshot
from gateway.tunnels import Tunnels

log = logging.getLogger(__name__)

CLIENT_GONE: Final = "client-gone"

PAGE: Final = 128
"""Ids made at once."""
TIME: Final = (1 << 48) - 1
VERSION: Final = bytes(0x70 | octet & 0x0F for octet in range(256))
VARIANT: Final = bytes(0x80 | octet & 0x3F for octet in range(256))


class Evidence(Protocol):
    """Who watches exchanges: told when one begins, opens a tunnel, and when its last byte is out. Never awaits, never raises."""

    def begin(self, exchange: Exchange, inbound: Inbound) -> None: ...
    def opened(self, exchange: Exchange) -> None: ...
    def end(self, exchange: Exchange) -> None: ...


class RequestIds:
    """Makes UUIDv7s (RFC 9562 5.7): sortable by time, unguessable otherwise. Asks the system for randomness a page at a time."""

    __slots__ = ("_millisecond", "_random", "_time")

    def __init__(self) -> None:
        self._random: list[str] = []
        self._millisecond = -1
        self._time = ""

    def next(self, now: float) -> str:
        """An id; `now` is Unix time in seconds."""
        if not self._random:
            self._random = page(os.urandom)
        millisecond = int(now * 1000)
        if millisecond != self._millisecond:
            time = f"{millisecond & TIME:012x}"
            self._millisecond, self._time = millisecond, f"{time[:8]}-{time[8:]}-"
        return self._time + self._random.pop()


def page(random: Callable[[int], bytes]) -> list[str]:
    """What follows the time in PAGE ids (RFC 9562 5.7): version and rand_a, variant and the beginning of rand_b, the rest of it."""
    rows = zip(groups(random(2 * PAGE), 2, VERSION), groups(random(2 * PAGE), 2, VARIANT), groups(random(6 * PAGE), 6), strict=True)
    return list(map("-".join, rows))


def groups(octets: bytes, size: int, first: bytes | None = None) -> list[str]:
    """Octets in hexadecimal groups of `size`; `first` translates the first octet of each."""
    made = bytearray(octets)
    if first is not None:
        made[::size] = made[::size].translate(first)
    return made.hex("-", size).split("-")


class GatewayApp:
    """One listener's requests, each with the snapshot it came in with."""

    def __init__(self, current: Current, listener: str, evidence: Evidence, *, new_id: Callable[[float], str]) -> None:
        self._current = current
        self._listener = listener
        self._begin = evidence.begin
        self._end = evidence.end
        self._new_id = new_id
        self._tunnels = Tunnels(current, evidence.opened)

    async def serve(self, inbound: Inbound, writer: Writer) -> None:
        """One request; implements core.ports.App."""
        snapshot = self._current.snapshot
        now = time()
        new_id, begin = self._new_id, self._begin
        exchange = Exchange(new_id(now), monotonic(), now, snapshot.generation, self._listener, inbound.method, inbound.peer)
        exchange.version, exchange.interim = inbound.version, writer.interim
        begin(exchange, inbound)
        try:
            door = snapshot.doors.get(inbound.listener) or another_door(snapshot, inbound)
            try:
                response = await respond(inbound, exchange, door)
            except GatewayError as error:
                response = refused(error, inbound, exchange, door)
                error.__traceback__ = None  # what the request holds may hold it, and its frames hold the request
            except Exception as bug:  # a bug in this house: answered blandly, logged fully
                log.exception("bug", extra={"request_id": exchange.id, "route": exchange.route})
                response = refused(InternalError(type(bug).__name__), inbound, exchange, door)
                bug.__traceback__ = None
            response = finished(response, inbound, exchange, door)
            if response.stream is not None:
                await deliver(response, response.stream, exchange, writer)
            elif response.switched is not None:
                early = await self._tunnels.carry(response, response.switched, inbound, exchange, writer)
                if early is not None:
                    writer.whole(finished(refused(early, inbound, exchange, door), inbound, exchange, door))
            else:
                exchange.bytes_out = len(response.body)
                if not writer.whole(response):
                    await writer.drained()
        except asyncio.CancelledError:
            exchange.error = CLIENT_GONE
            raise
        finally:
            exchange.bytes_in += inbound.body.received
            end = self._end
            end(exchange)


def another_door(snapshot: Snapshot, inbound: Inbound) -> Door:
    """Where a reload took a request's listener away while its head arrived, another one refuses it, and the connection ends."""
    inbound.fault = inbound.fault or Unavailable("the listener is gone", reason=Reason.DRAINING, close=True)
    return next(iter(snapshot.doors.values()))


async def deliver(response: Response, stream: AsyncIterator[bytes], exchange: Exchange, writer: Writer) -> None:
    """Write an answer out piece by piece. A stream that breaks ends the connection: a cut must be seen as one."""
    complete = False
    try:
        await writer.start(response, response.body, True)
        sent = len(response.body)
        async for chunk in stream:
            sent += len(chunk)
            exchange.bytes_out = sent
            await writer.write(chunk)
        writer.end()
        complete = True
    except GatewayError as error:
        exchange.error = error.reason
        exchange.detail = error.detail
        error.__traceback__ = None  # the stream holds it, and its frames hold the stream
        writer.abort()
    finally:
        if not complete and response.abandon is not None:
            response.abandon()
