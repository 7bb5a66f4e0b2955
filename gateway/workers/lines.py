"""Lines that workers write into pipes, read whole, each pipe to its end: what a worker told before it died is not lost."""

import asyncio
import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Final

GATHER: Final = 0.03
"""Seconds in which lines gather before they are read: a reader who sleeps on every line would be woken for every one."""
PIPE: Final = 1024 * 1024
"""Bytes a pipe holds where the system lets an ordinary user have so many (pipe(7): /proc/sys/fs/pipe-max-size)."""
MOST_AT_ONCE: Final = 4 * PIPE
MOST: Final = 1024 * 1024
"""Bytes of a line; what is longer is no line of ours."""


def pipe() -> tuple[int, int]:
    """The reading and the writing end of a roomy pipe; reading does not block."""
    ours, theirs = os.pipe()
    with suppress(OSError):
        fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, PIPE)
    os.set_blocking(ours, False)
    return ours, theirs


class Lines:
    """Reads pipes inside an event loop. `take` gets whole lines, `torn` the length of a last one that is not whole."""

    def __init__(self, take: Callable[[list[bytes]], None], torn: Callable[[int], None], *, gather: float = GATHER) -> None:
        self._take = take
        self._torn = torn
        self._gather = gather
        self._loop = asyncio.get_running_loop()
        self._rests: dict[int, bytes] = {}
        self._ended = asyncio.Event()

    def add(self, pipe: int) -> None:
        """Read this pipe to its end, then close it."""
        self._rests[pipe] = b""
        self._loop.add_reader(pipe, self._readable, pipe)

    async def ended(self) -> None:
        """Wait until every pipe has come to its end."""
        while self._rests:
            self._ended.clear()
            await self._ended.wait()

    def close(self) -> None:
        """Read no more."""
        for pipe in list(self._rests):
            self._forget(pipe)

    def _readable(self, pipe: int) -> None:
        self._loop.remove_reader(pipe)
        self._loop.call_later(self._gather, self._read, pipe)

    def _read(self, pipe: int) -> None:
        if pipe not in self._rests:
            return
        pieces, over = drained(pipe)
        told = b"".join((self._rests[pipe], *pieces))
        whole, newline, rest = told.rpartition(b"\n")
        self._rests[pipe] = rest if len(rest) <= MOST else b""
        if newline:
            self._take(lines_of(whole))
        if over:
            if rest:
                self._torn(len(rest))
            self._forget(pipe)
        else:
            self._loop.add_reader(pipe, self._readable, pipe)

    def _forget(self, pipe: int) -> None:
        self._loop.remove_reader(pipe)
        os.close(pipe)
        del self._rests[pipe]
        self._ended.set()


def lines_of(whole: bytes) -> list[bytes]:
    """Lines end with a line feed and nothing else."""
    return [line + b"\n" for line in whole.split(b"\n")]


def drained(pipe: int) -> tuple[list[bytes], bool]:
    """What a pipe holds now, within bounds, and whether nobody can write into it any more."""
    pieces: list[bytes] = []
    size = 0
    while size < MOST_AT_ONCE:
        try:
            piece = os.read(pipe, PIPE)
        except BlockingIOError:
            return pieces, False
        if not piece:
            return pieces, True
        pieces.append(piece)
        size += len(piece)
    return pieces, False
