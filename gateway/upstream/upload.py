"""A request's body on its way to the upstream, framed anew, no faster than the upstream reads."""

from typing import Final

from gateway.core.errors import BadRequest
from gateway.core.message import Body
from gateway.upstream.connection import Connection

SMALL: Final = 64 * 1024
"""Bytes of a body that is waited for: as many as are buffered for each client anyway."""


async def gather(body: Body) -> None:
    """Have a small body whole before a connection is taken, lest one that takes long to say little holds a place at the upstream.

    Raises what reading the body raises, and BadRequest when it is not as long as announced.
    """
    if body.length is not None and body.length <= SMALL and len(await body.read(SMALL)) != body.length:
        raise BadRequest("the body is not as long as announced", close=True)


async def upload(connection: Connection, body: Body) -> None:
    """Send `body` behind its head: as announced, or chunked when its length is not known.

    Raises BadRequest when the body is not as long as announced: one byte more would be the next request (smuggling).
    """
    if body.length is None:
        async for piece in body:
            if piece:
                await connection.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        await connection.write(b"0\r\n\r\n")
        return
    left = body.length
    async for piece in body:
        left -= len(piece)
        if left < 0:
            break
        await connection.write(piece)
    if left:
        raise BadRequest("the body is not as long as announced", close=True)
