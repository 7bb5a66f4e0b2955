"""One of several processes that serve: `process.Process` with what the supervisor gives it, doing what the supervisor says.

Without the supervisor nobody writes its evidence down, so it ends when that is gone.
"""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import astuple
from typing import Any, Final

from gateway import memory
from gateway.audit.relay import Relay
from gateway.core.errors import ConfigError, Problem
from gateway.core.secret import Secret
from gateway.operations import Operating
from gateway.process import Place, Prepared, Process
from gateway.server.sockets import Handed as HandedSockets
from gateway.source import Handed
from gateway.standing import bounds, usable
from gateway.telemetry.merge import pack
from gateway.workers.channel import Channel, Message, close_all

log = logging.getLogger(__name__)

REFUSED: Final = 78
"""The exit code of a worker whose configuration cannot be used (CONTRACT 1)."""


def run(control: int, audit: int, log: int) -> int:
    """A worker's life on three descriptors: the channel to the supervisor, the pipes to the audit trail and the log."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_live(control, audit, log))


async def _live(control: int, audit: int, log: int) -> int:
    return await Worker(control, audit, log).live()


class Worker:
    """What the supervisor can ask of this process. Its first order is `start`."""

    def __init__(self, control: int, audit: int, log: int) -> None:
        self._audit = audit
        self._log = log
        self._sockets = HandedSockets()
        self._process: Process
        self._prepared: Prepared | None = None
        self._lent: dict[int, list[Callable[[], None]]] = {}
        self._ends: asyncio.Future[bool] | None = None
        self._over: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._tasks: set[asyncio.Task[None]] = set()
        self._orders: dict[str, Callable[[Message, list[int]], Any]] = {
            "prepare": self._prepare,
            "commit": self._commit,
            "abandon": self._abandon,
            "measure": self._measure,
            "status": self._status,
            "routes": self._routes,
            "level": self._level,
            "blocks": self._blocks,
            "block": self._block,
            "release": self._release,
            "sessions": self._sessions,
            "end_sessions": self._end_sessions,
            "room": self._room,
            "lend": self._lend,
            "return": self._return,
            "retire": self._retire,
            "drain": self._drain,
            "force": self._force,
        }
        self._channel = Channel(socket.socket(fileno=control), self._take, self._orphaned)

    async def live(self) -> int:
        """Until the supervisor says it is over, or is gone; the exit code."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._leave)
        code = await self._over
        await self._channel.sent()
        return code

    # Orders

    def _take(self, message: Message, descriptors: list[int]) -> None:
        order = self._start if message["do"] == "start" else self._orders[message["do"]]
        task = asyncio.ensure_future(self._follow(order, message, descriptors))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _follow(self, order: Callable[[Message, list[int]], Any], message: Message, descriptors: list[int]) -> None:
        try:
            given = await order(message, descriptors)
        except ConfigError as error:
            given = {"problems": [astuple(problem) for problem in error.problems]}
        except Exception as bug:  # a bug in this house: the supervisor decides what becomes of the worker
            if message["do"] == "start" and not self._over.done():
                self._over.set_exception(bug)
            log.exception("bug in a worker", extra={"order": message["do"]})
            given = {"problems": [astuple(Problem("", 0, 0, "", f"a worker failed: {type(bug).__name__}"))]}
        if "id" in message:
            self._channel.answer(message, **(given or {}))
        if message["do"] == "start" and given and "problems" in given:
            self._finish(REFUSED)

    async def _start(self, message: Message, descriptors: list[int]) -> Message:
        parcel, *sockets = descriptors
        self._hand(message["keys"], sockets)
        place = Place(message["worker"], self._sockets, self._audit, self._log, Secret(bytes.fromhex(message["mask_key"])))
        self._process = Process(Handed(content(parcel)), place)
        await self._process.start(alone=True)
        self._process.resources.guarding.guard.outward = self._tell_block
        self._sockets.forget()
        return self._told()

    def _tell_block(self, network: str, seconds: float) -> None:
        self._channel.send({"tell": "block", "network": network, "seconds": seconds})

    def _hand(self, keys: Sequence[Sequence[str]], sockets: Sequence[int]) -> None:
        for (name, address), descriptor in zip(keys, sockets, strict=True):
            self._sockets.put((name, address), socket.socket(fileno=descriptor))

    def _told(self) -> Message:
        return {"generation": self._process.current.snapshot.generation, "pid": os.getpid()}

    async def _prepare(self, message: Message, descriptors: list[int]) -> Message:
        """Build another configuration beside the one that serves."""
        parcel, *sockets = descriptors
        self._hand(message["keys"], sockets)
        handed = Handed(content(parcel))
        with memory.undisturbed():
            self._prepared = await self._process.prepare(await asyncio.to_thread(handed.load))
        return {}

    async def _commit(self, _: Message, __: list[int]) -> Message:
        """Make it live."""
        prepared, self._prepared = self._prepared, None
        if prepared is None:
            raise RuntimeError("nothing is prepared")
        self._return_all()
        await self._process.adopt(prepared)
        self._sockets.forget()
        return self._told()

    async def _abandon(self, _: Message, __: list[int]) -> None:
        """Throw it away: another worker refused it."""
        self._prepared = None
        self._sockets.forget()
        await self._process.resources.abandon()

    async def _measure(self, _: Message, __: list[int]) -> Message:
        collect = self._process.telemetry.metrics.collect
        return {"families": await asyncio.to_thread(lambda: pack(collect()))}  # milliseconds, every few seconds

    async def _status(self, _: Message, __: list[int]) -> Message:
        return {"status": Operating(self._process).standing(), "pid": os.getpid()}

    async def _routes(self, _: Message, __: list[int]) -> Message:
        return {"routes": Operating(self._process).table()}

    async def _blocks(self, _: Message, __: list[int]) -> Message:
        return {"blocks": self._process.resources.guarding.guard.listing()}

    async def _block(self, message: Message, _: list[int]) -> None:
        """What another worker told."""
        for network, seconds in message["networks"].items():
            self._process.resources.guarding.guard.take(network, seconds)

    async def _release(self, message: Message, _: list[int]) -> Message:
        return {"released": self._process.resources.guarding.guard.release(message["address"])}

    async def _sessions(self, message: Message, _: list[int]) -> Message:
        return {"sessions": await Operating(self._process).sessions(message["issuer"], message["subject"])}

    async def _end_sessions(self, message: Message, _: list[int]) -> Message:
        return {"ended": await Operating(self._process).end(message["tag"], message["operator"])}

    async def _level(self, message: Message, _: list[int]) -> None:
        if self._process.logs is not None:
            self._process.logs.set_level(message["level"])

    async def _room(self, message: Message, _: list[int]) -> None:
        """Whether the audit trail takes more events, from the process that has its file."""
        if isinstance(self._process.trail, Relay):
            self._process.trail.be_full(message["full"])

    # Sockets of others

    async def _lend(self, message: Message, descriptors: list[int]) -> None:
        """Take connections for a worker that is not there."""
        ends = self._lent.setdefault(message["worker"], [])
        for (name, address), descriptor in zip(message["keys"], descriptors, strict=True):
            lent = socket.socket(fileno=descriptor)
            lent.setblocking(False)
            try:
                ends.append(self._process.server.lend((name, address), lent))
            except KeyError:  # a listener of another generation
                lent.close()

    async def _return(self, message: Message, _: list[int]) -> None:
        """That worker is there again."""
        for end in self._lent.pop(message["worker"], []):
            end()

    def _return_all(self) -> None:
        for ends in self._lent.values():
            for end in ends:
                end()
        self._lent.clear()

    # The end

    def _leave(self) -> None:
        """An operator ends this worker alone: another takes its place."""
        if self._ends is None and hasattr(self, "_process"):
            self._channel.send({"tell": "leaving"})
            self._end(self._process.server.retire(bounds(usable(self._process.loaded)).timeout))

    async def _retire(self, message: Message, _: list[int]) -> None:
        self._end(self._process.server.retire(message["timeout"]))

    async def _drain(self, message: Message, _: list[int]) -> None:
        self._end(self._process.server.drain(message["delay"], message["timeout"]))

    async def _force(self, _: Message, __: list[int]) -> None:
        if self._ends is not None:
            self._ends.cancel()
        else:
            self._end(self._process.server.close())

    def _orphaned(self) -> None:
        """Evidence can no longer be kept."""
        if not hasattr(self, "_process") or not hasattr(self._process, "server"):
            self._finish(1)
        elif self._ends is not None:
            self._ends.cancel()
        else:
            self._end(self._process.server.close())

    def _end(self, leaving: Any) -> None:
        if self._ends is not None:
            leaving.close()
            return
        self._ends = asyncio.ensure_future(leaving)
        task = asyncio.ensure_future(self._conclude(self._ends))
        self._tasks.add(task)

    async def _conclude(self, ends: asyncio.Future[bool]) -> None:
        finished = False
        try:
            await asyncio.wait([ends])
            finished = not ends.cancelled() and ends.exception() is None and ends.result()
            finished = await self._process.server.close() and (finished or ends.cancelled())
            await self._process.stop(cut_off=not finished)
            families = pack(self._process.telemetry.metrics.collect())
            self._channel.send({"tell": "over", "cut_off": not finished, "families": families})
        finally:
            self._finish(0 if finished else 1)

    def _finish(self, code: int) -> None:
        if not self._over.done():
            self._over.set_result(code)


def content(parcel: int) -> bytes:
    """All of a parcel, whose descriptor shares its position with those of other workers. Closes it."""
    try:
        return os.pread(parcel, os.fstat(parcel).st_size, 0)
    finally:
        close_all([parcel])
