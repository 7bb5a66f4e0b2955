"""Open a connection to one of an upstream's targets, at an address that was vetted."""

import asyncio
from collections.abc import Sequence

from gateway.core.errors import UpstreamTimeout, UpstreamUnreachable
from gateway.upstream.connection import Connection
from gateway.upstream.lane import Lane
from gateway.upstream.owner import Pool
from gateway.upstream.tls import ClientTls


async def dial(lanes: Sequence[Lane], pool: Pool, tls: ClientTls, seconds: float) -> Connection:
    """A connection to the first target that takes one, within `seconds` for all of it.

    Nothing of the request has been sent yet, so trying the next target is safe for any method.
    Raises UpstreamUnreachable or UpstreamTimeout.
    """
    await asyncio.sleep(0)  # asyncio.timeout needs a task, see server/run.py
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    error: UpstreamUnreachable | UpstreamTimeout = UpstreamUnreachable("no target")
    for position, lane in enumerate(lanes):
        try:
            async with asyncio.timeout((end - loop.time()) / (len(lanes) - position)) as bound:
                connection = await _reach(lane, pool, tls, bound)
        except (UpstreamUnreachable, UpstreamTimeout) as failure:
            error = failure
        except TimeoutError:
            error = UpstreamTimeout(f"no connection to {lane.target.origin} in time")
        else:
            lane.recovered()
            return connection
        lane.failed()
    raise error


async def _reach(lane: Lane, pool: Pool, tls: ClientTls, bound: asyncio.Timeout) -> Connection:
    """A connection to the first address of a target that takes one; each has an equal share of what time is left."""
    loop = asyncio.get_running_loop()
    found = await lane.addresses.current()
    end = bound.when() or loop.time()
    problems: list[str] = []
    kind: type[UpstreamUnreachable | UpstreamTimeout] = UpstreamUnreachable
    for position, ip in enumerate(found):
        try:
            async with asyncio.timeout((end - loop.time()) / (len(found) - position)):
                return await _connect(lane, ip, pool, tls)
        except TimeoutError:
            kind = UpstreamTimeout
            problems.append(f"{ip}: timed out")
        except OSError as error:
            kind = UpstreamUnreachable
            problems.append(f"{ip}: {error}")
    raise kind(f"no connection to {lane.target.origin}: {'; '.join(problems)}")


async def _connect(lane: Lane, ip: str, pool: Pool, tls: ClientTls) -> Connection:
    loop = asyncio.get_running_loop()
    target = lane.target
    shown = f"[{ip}]:{target.port}" if ":" in ip else f"{ip}:{target.port}"
    connection = Connection(pool, loop, lane, ip, shown)
    # The address is numeric: nothing is resolved here. The name counts for SNI and for the certificate.
    if target.secure:
        await loop.create_connection(lambda: connection, ip, target.port, ssl=tls.context(), server_hostname=target.host)
    else:
        await loop.create_connection(lambda: connection, ip, target.port)
    return connection
