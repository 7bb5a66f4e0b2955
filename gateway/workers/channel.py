"""Messages and descriptors between the processes of one gateway, over a pair of unix sockets.

A message is JSON behind its length and the number of descriptors that go with it (SCM_RIGHTS, unix(7)); those arrive no later
than the message's first byte, and in order.
"""

import array
import asyncio
import os
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

import orjson

HEAD: Final = struct.Struct("!IB")
MOST_BYTES: Final = 64 * 1024 * 1024
MOST_DESCRIPTORS: Final = 250
"""Linux passes 253 at once."""
PIECE: Final = 256 * 1024
PATIENCE: Final = 30.0
"""Seconds an answer may take."""

Message = dict[str, Any]


class GoneError(Exception):
    """The other process is gone, or does not answer."""


def encode(message: Message, descriptors: Sequence[int] = ()) -> bytes:
    """A message as it is sent. Raises ValueError for one that is too large."""
    body = orjson.dumps(message, default=str, option=orjson.OPT_NON_STR_KEYS)
    if len(body) > MOST_BYTES or len(descriptors) > MOST_DESCRIPTORS:
        raise ValueError("a message is too large")
    return HEAD.pack(len(body), len(descriptors)) + body


def receive(sock: socket.socket) -> tuple[bytes, list[int]]:
    """What is there, b"" at the end. Raises OSError."""
    descriptors = array.array("i")
    room = socket.CMSG_LEN(MOST_DESCRIPTORS * descriptors.itemsize)
    # Not socket.recv_fds: that forgets the flags it is given, and what is received would be inherited.
    data, ancillary, _, _ = sock.recvmsg(PIECE, room, socket.MSG_CMSG_CLOEXEC)
    for _, kind, given in ancillary:
        if kind == socket.SCM_RIGHTS:
            descriptors.frombytes(given[: len(given) - len(given) % descriptors.itemsize])
    return data, list(descriptors)


class Inbox:
    """Bytes and descriptors as they arrive -> messages."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._descriptors: deque[int] = deque()

    def feed(self, data: bytes, descriptors: Sequence[int]) -> Iterator[tuple[Message, list[int]]]:
        """Every message that is complete now, with its descriptors, which are then the receiver's to close.

        Raises ValueError for what is no message.
        """
        self._bytes += data
        self._descriptors += descriptors
        while len(self._bytes) >= HEAD.size:
            size, count = HEAD.unpack_from(self._bytes)
            if size > MOST_BYTES:
                raise ValueError("a message is too large")
            end = HEAD.size + size
            if len(self._bytes) < end:
                return
            message = orjson.loads(bytes(self._bytes[HEAD.size : end]))
            del self._bytes[:end]
            if count > len(self._descriptors):
                raise ValueError("descriptors are missing")
            yield message, [self._descriptors.popleft() for _ in range(count)]

    def close(self) -> None:
        """Close descriptors whose message never came."""
        while self._descriptors:
            os.close(self._descriptors.popleft())


class Channel:
    """One end, inside an event loop. `take` gets what is no answer; `ended` is called once, when the other end is gone."""

    def __init__(self, sock: socket.socket, take: Callable[[Message, list[int]], None], ended: Callable[[], None]) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._take = take
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._inbox = Inbox()
        self._outbox: deque[tuple[bytes, list[int]]] = deque()
        self._answers: dict[int, asyncio.Future[Message]] = {}
        self._last = 0
        self._open = True
        self._sent = asyncio.Event()
        self._sent.set()
        self._loop.add_reader(sock.fileno(), self._readable)

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Send, silently nothing where the other end is gone. The descriptors may be closed afterwards."""
        if self._open:
            self._outbox.append((encode(message, descriptors), [os.dup(descriptor) for descriptor in descriptors]))
            self._flush()

    async def ask(self, message: Message, descriptors: Sequence[int] = (), *, timeout: float = PATIENCE) -> Message:
        """Send and wait for the answer. Raises GoneError."""
        if not self._open:
            raise GoneError
        self._last += 1
        number = self._last
        answer = self._answers[number] = self._loop.create_future()
        self.send({**message, "id": number}, descriptors)
        try:
            return await asyncio.wait_for(answer, timeout)
        except TimeoutError as error:
            raise GoneError from error
        finally:
            self._answers.pop(number, None)

    def answer(self, asked: Message, **given: Any) -> None:
        """Answer what the other end asked."""
        self.send({"to": asked.get("id"), **given})

    async def sent(self) -> None:
        """Wait until everything is handed to the system."""
        await self._sent.wait()

    def close(self) -> None:
        """End this side, without a call of `ended`."""
        if not self._open:
            return
        self._open = False
        self._sent.set()
        self._loop.remove_reader(self._sock.fileno())
        self._loop.remove_writer(self._sock.fileno())
        self._sock.close()
        self._inbox.close()
        for _, descriptors in self._outbox:
            close_all(descriptors)
        self._outbox.clear()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(GoneError())

    def _readable(self) -> None:
        try:
            data, descriptors = receive(self._sock)
            for message, given in self._inbox.feed(data, descriptors):
                self._arrived(message, given)
        except BlockingIOError:
            return
        except (OSError, LookupError, TypeError, ValueError):  # or what arrived is nonsense
            data = b""
        if not data and self._open:
            self.close()
            self._ended()

    def _arrived(self, message: Message, descriptors: list[int]) -> None:
        number = message.get("to")
        if number is None:
            self._take(message, descriptors)
            return
        close_all(descriptors)
        answer = self._answers.get(number)
        if answer is not None and not answer.done():
            answer.set_result(message)

    def _flush(self) -> None:
        while self._outbox:
            data, descriptors = self._outbox[0]
            try:
                sent = socket.send_fds(self._sock, [data], descriptors)
            except BlockingIOError:
                self._sent.clear()
                self._loop.add_writer(self._sock.fileno(), self._flush)
                return
            except OSError:  # reading will tell that the other end is gone
                sent = len(data)
            close_all(descriptors)
            self._outbox.popleft()
            if sent < len(data):
                self._outbox.appendleft((data[sent:], []))
        self._loop.remove_writer(self._sock.fileno())
        self._sent.set()


def close_all(descriptors: Sequence[int]) -> None:
    """Close descriptors that nobody needs."""
    for descriptor in descriptors:
        with suppress(OSError):
            os.close(descriptor)
