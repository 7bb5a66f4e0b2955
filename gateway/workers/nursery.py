"""The supervisor's view of the process that workers are forked from."""

import asyncio
import logging
import marshal
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from gateway.undumpable import bare
from gateway.workers.channel import Channel, Message

log = logging.getLogger(__name__)

Begun = tuple[socket.socket, int]
PATIENCE: Final = 60.0
"""Seconds a fork may take, the loading of everything included."""


class Nursery:
    """Forks workers. Should its process end, the next fork starts another one; workers do not end with it."""

    def __init__(self, ended: Callable[[int, int], None], begun: Begun | None = None) -> None:
        """`ended` is told the process id and exit code of workers that are gone; a negative code is a signal's number.

        `begun` is what `forking.begin` gave.
        """
        self._ended = ended
        self._wait: Callable[[], object] = int
        self._channel: Channel | None = None
        if begun is not None:
            control, pid = begun
            self._wait = partial(os.waitpid, pid, 0)
            self._channel = Channel(control, self._told, self._lost)

    async def fork(self, descriptors: Sequence[int]) -> int:
        """Start a worker with these descriptors; its process id. Raises GoneError."""
        if self._channel is None:
            self._channel = self._start()
        answer = await self._channel.ask({"do": "fork"}, descriptors, timeout=PATIENCE)
        return int(answer["pid"])

    def kill(self, pid: int) -> None:
        """End a worker that does not end by itself."""
        if self._channel is not None:
            self._channel.send({"do": "kill", "pid": pid})

    async def close(self) -> None:
        """End it, when no worker is left."""
        if self._channel is not None:
            self._channel.close()
        await asyncio.to_thread(self._wait)
        self._wait = int

    def _start(self) -> Channel:
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "gateway.workers.forking", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=bare(),
                start_new_session=True,
            )
        self._wait = process.wait
        channel = Channel(ours, self._told, self._lost)
        channel.send({"do": "know", "environ": marshal.dumps(dict(os.environ)).hex()})
        return channel

    def _told(self, message: Message, _: list[int]) -> None:
        self._ended(message["ended"], message["code"])

    def _lost(self) -> None:
        self._channel = None
        self._wait()  # it has ended, or is about to
        self._wait = int
        log.error("the process that workers are forked from is gone, the next one starts another")
