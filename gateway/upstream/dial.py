"""Open a connection to one of an upstream's targets, at an address that was vetted."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar, cast

from gateway.core.errors import UpstreamTimeout, UpstreamUnreachable
from gateway.upstream.connection import Connection
from gateway.upstream.endpoint import UNKNOWN, Endpoint
from gateway.upstream.lane import Lane
from gateway.upstream.owner import Pool
from gateway.upstream.tls import ClientTls

Failed = Callable[[Endpoint, str], None]
"""Told of each address where no connection could be made, and why."""
Made = TypeVar("Made")
Connect = Callable[[Lane, Endpoint], Awaitable[Made]]
"""Makes a connection to one address. Raises OSError."""


async def dial(lanes: Sequence[Lane], connect: Connect[Made], seconds: float, failed: Failed) -> Made:
    """A connection to the first target that takes one, within `seconds` for all of it.

    Nothing of the request has been sent yet, so trying the next target is safe for any method. As long as there are more to try,
    one gets half of what time is left. Needs a task. Raises UpstreamUnreachable or UpstreamTimeout.
    """
    end = asyncio.get_running_loop().time() + seconds
    error: UpstreamUnreachable | UpstreamTimeout = UpstreamUnreachable("no target")
    for left, lane in zip(range(len(lanes) - 1, -1, -1), lanes, strict=True):
        until = share_of(end, left)
        try:
            async with asyncio.timeout_at(until):
                await lane.addresses.current()
            return await _reach(lane, connect, until, failed)
        except (UpstreamUnreachable, UpstreamTimeout) as failure:
            error = failure.with_traceback(None)
        except TimeoutError:
            error = UpstreamTimeout(f"no address of {lane.target.host} in time")
        if (unknown := lane.endpoints.get(UNKNOWN)) is not None:
            failed(unknown, error.detail)
    try:
        raise error
    finally:
        del error  # which would refer to itself, by its traceback and this frame


def share_of(end: float, left: int) -> float:
    """Until when one may be tried while there are `left` more."""
    now = asyncio.get_running_loop().time()
    return end if not left else now + (end - now) / 2


async def _reach(lane: Lane, connect: Connect[Made], end: float, failed: Failed) -> Made:
    """A connection to the first address of a target that takes one, until `end` (loop time)."""
    candidates = lane.candidates()
    problems: list[str] = []
    kind: type[UpstreamUnreachable | UpstreamTimeout] = UpstreamUnreachable
    for left, endpoint in zip(range(len(candidates) - 1, -1, -1), candidates, strict=True):
        try:
            async with asyncio.timeout_at(share_of(end, left)):
                return await connect(lane, endpoint)
        except TimeoutError:
            kind, problem = UpstreamTimeout, "timed out"
        except OSError as error:
            kind, problem = UpstreamUnreachable, str(error)
        failed(endpoint, f"no connection: {problem}")
        problems.append(f"{endpoint.ip}: {problem}")
    raise kind(f"no connection to {lane.target.origin}: {'; '.join(problems)}")


async def connect(lane: Lane, endpoint: Endpoint, pool: Pool, tls: ClientTls) -> Connection:
    """A connection to one address, counted there until `pool` hears that it is gone. Raises OSError."""
    loop = asyncio.get_running_loop()
    target, ip = lane.target, endpoint.ip
    connection = Connection(pool, loop, lane, endpoint, shown(lane, endpoint))
    lane.open += 1
    endpoint.open += 1
    made = False
    try:
        # The address is numeric: nothing is resolved here. The name counts for SNI and for the certificate.
        context = tls.context() if target.secure else None
        name = target.host if target.secure else None
        protocol = cast("asyncio.BaseProtocol", connection)  # what the loop asks of one, without its base class
        await loop.create_connection(lambda: protocol, ip, target.port, ssl=context, server_hostname=name)
        made = True
    finally:
        if not made:
            uncount(connection)
            connection.forsake()
    return connection


def shown(lane: Lane, endpoint: Endpoint) -> str:
    """Address and port, for the trail."""
    return f"[{endpoint.ip}]:{lane.target.port}" if ":" in endpoint.ip else f"{endpoint.ip}:{lane.target.port}"


def uncount(connection: Connection) -> None:
    """It is there no longer."""
    connection.lane.open -= 1
    connection.endpoint.open -= 1
