"""The gateway's own WebSocket handshake with an upstream (RFC 6455 4.1), on a connection of the pool that leaves it with a 101.

Any other answer is an ordinary one, and the connection an ordinary one again.
"""

import asyncio
import os
import re
from base64 import b64encode
from collections.abc import Callable
from typing import Final, cast

from gateway.core.errors import UpstreamUnreachable
from gateway.core.handshake import SWITCHING, VERSION, accept_of, listed
from gateway.core.message import Field, Outbound, Response
from gateway.core.reason import Reason
from gateway.core.shape import split
from gateway.upstream.connection import Connection
from gateway.upstream.head import FIELD_LIMIT, HEAD_LIMIT, render
from gateway.upstream.owner import Owner

BLANK_LINE: Final = b"\r\n\r\n"
SWITCHED: Final = re.compile(rb"HTTP/1\.1 101[ \r]")
BARE_LF: Final = re.compile(rb"(?<!\r)\n")
INTERIM: Final = re.compile(rb"HTTP/1\.1 1[0-9][0-9][ \r]")
LINE: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*?)[ \t]*")
OURS: Final = frozenset((b"upgrade", b"connection", b"sec-websocket-accept"))
UNWANTED: Final = frozenset((b"content-length", b"transfer-encoding", b"sec-websocket-extensions"))
"""RFC 9110 8.6 and RFC 9112 6.1: no framing in a 101. Extensions were not offered, so none may be chosen (RFC 6455 4.1)."""


async def switch(
    connection: Connection,
    outbound: Outbound,
    protocols: tuple[bytes, ...],
    *,
    authority: bytes | None,
    response: float,
    idle: float,
) -> Response:
    """Ask for a WebSocket, offering `protocols`. A 101 has `switched`, and the subprotocol that was chosen among its fields.

    Seconds and errors as in `Connection.begin`. UpstreamUnreachable (upstream-protocol) for a 101 that does not accept.
    """
    key = b64encode(os.urandom(16))
    outbound.lines.append(asking(key, protocols))
    head = render(outbound, authority)
    owner = connection.begin(b"", response, idle)
    switching = Switching(connection, owner, protocols, accept_of(key))
    try:
        switching.take_over()
        if not owner.done():
            await connection.write(head)
        made: Response = await owner
    except asyncio.CancelledError:
        connection.disown(owner)
        raise
    return made


def asking(key: bytes, protocols: tuple[bytes, ...]) -> bytes:
    """The fields of the gateway's handshake. No extension is offered: frames could not be followed."""
    lines = b"connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: %b\r\nsec-websocket-key: %b\r\n" % (VERSION, key)
    return lines + (b"sec-websocket-protocol: %b\r\n" % b", ".join(protocols) if protocols else b"")


class Switching(asyncio.Protocol):
    """A connection between the question and the answer; with a 101 it is core.handshake.Switched."""

    __slots__ = ("_accept", "_connection", "_owner", "_protocols", "early", "lost", "scrub", "transport")

    def __init__(self, connection: Connection, owner: Owner, protocols: tuple[bytes, ...], accept: bytes) -> None:
        self._connection: Connection | None = connection
        self._owner: Owner | None = owner
        self._protocols = protocols
        self._accept = accept
        self.early = b""
        self.lost = False
        self.scrub: Callable[[bytes], bytes | None] | None = None

    def take_over(self) -> None:
        """Hear what the connection would."""
        transport = None if self._connection is None else self._connection.transport
        if transport is not None:
            self.transport = transport
            transport.set_protocol(self)

    # What the event loop tells

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if self._connection is not None:
            self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        if self._connection is not None:
            self._connection.pause_writing()

    def resume_writing(self) -> None:
        if self._connection is not None:
            self._connection.resume_writing()

    def data_received(self, data: bytes) -> None:
        self.early += data
        while self._connection is not None:
            end = self.early.find(BLANK_LINE)
            if end < 0 and len(self.early) <= HEAD_LIMIT and not BARE_LF.search(self.early):
                return
            if end < 0 or not INTERIM.match(self.early):
                self._give_back(self._connection)
            elif SWITCHED.match(self.early):
                head, self.early = self.early[:end], self.early[end + 4 :]
                self._switched(self._connection, head)
            else:
                self.early = self.early[end + 4 :]

    # Inside

    def _give_back(self, connection: Connection) -> None:
        """An ordinary answer, or nothing sensible: for the connection to judge."""
        self._connection = None
        self.transport.set_protocol(cast("asyncio.BaseProtocol", connection))
        connection.data_received(self.early)

    def _switched(self, connection: Connection, head: bytes) -> None:
        try:
            fields = self._accepted(head)
        except ValueError as problem:
            self._connection = None
            self.transport.set_protocol(cast("asyncio.BaseProtocol", connection))
            connection.fail(UpstreamUnreachable(f"websocket: {problem}", reason=Reason.UPSTREAM_PROTOCOL))
            return
        owner, self._owner, self._connection = self._owner, None, None
        self.transport.pause_reading()
        connection.detach()
        if owner is None or owner.done():
            self.transport.abort()  # nobody waits for it any more
            return
        made = Response.passed(SWITCHING, *split(fields))
        made.switched = self
        made.abandon = self.transport.abort
        owner.set_result(made)
        owner.told()

    def _accepted(self, head: bytes) -> list[Field]:
        """What the 101 says beside what was asked for. Raises ValueError with what is wrong with it (RFC 6455 4.1)."""
        fields = fields_of(head)

        def told(name: bytes) -> list[bytes]:
            return [value for key, value in fields if key == name]

        if [name.lower() for name in told(b"upgrade")] != [b"websocket"]:
            raise ValueError("the 101 does not upgrade to websocket")
        if b"upgrade" not in [option.lower() for option in listed(told(b"connection"))]:
            raise ValueError("the 101 does not name Upgrade in Connection")
        if told(b"sec-websocket-accept") != [self._accept]:
            raise ValueError("the 101 does not accept our key")
        chosen = told(b"sec-websocket-protocol")
        if len(chosen) > 1 or not set(chosen) <= set(self._protocols):
            raise ValueError("the 101 chooses a subprotocol that was not offered")
        if any(name in UNWANTED for name, _ in fields):
            raise ValueError("the 101 announces a body, or an extension")
        return [field for field in fields if field[0] not in OURS]


def fields_of(head: bytes) -> list[Field]:
    """The fields of a head without its last line break. Raises ValueError where a line is none."""
    lines = head.split(b"\r\n")[1:]
    if len(lines) > FIELD_LIMIT:
        raise ValueError("the 101 has too many fields")
    found = [LINE.fullmatch(line) for line in lines]
    if None in found:
        raise ValueError("the 101 has a line that is no field")
    return [(match[1].lower(), match[2]) for match in found if match is not None]
