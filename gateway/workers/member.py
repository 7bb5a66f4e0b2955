"""The supervisor's view of one worker: its place, its process, how far it is in its life."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any

from gateway.core.errors import ConfigError, Problem
from gateway.telemetry.merge import unpack
from gateway.telemetry.series import Family
from gateway.workers.channel import Channel, Message


class State(StrEnum):
    """How far a worker is."""

    STARTING = "starting"
    SERVING = "serving"
    LEAVING = "leaving"
    GONE = "gone"


class Member:
    """One worker. `over` is called when it is gone, `leaves` when it goes of its own accord, `blocks` when it
    blocks a network for so many seconds, or releases it."""

    def __init__(
        self,
        slot: int,
        serial: int,
        control: socket.socket,
        leaves: Callable[["Member"], None],
        over: Callable[["Member"], None],
        blocks: Callable[["Member", str, float], None],
    ) -> None:
        self.slot = slot
        self.serial = serial
        self.pid = 0
        self.state = State.STARTING
        self.generation = ""
        self.born = asyncio.get_running_loop().time()
        self.code: int | None = None
        self.cut_off = True  # until it says that it was not
        self.said_goodbye = False
        self.families: list[Family] = []
        self.gone = asyncio.Event()
        self.reaped = asyncio.Event()
        self._leaves = leaves
        self._over = over
        self._blocks = blocks
        self.channel = Channel(control, self._told, self._ended)

    @property
    def facts(self) -> dict[str, Any]:
        """Which one it is, for logs and events."""
        return {"worker": self.slot, "pid": self.pid, "generation": self.generation}

    def reap(self, code: int) -> None:
        """The system has told its exit code."""
        self.code = code
        self.reaped.set()

    async def ask(self, what: str, descriptors: Sequence[int] = (), *, timeout: float, **facts: Any) -> Message:
        """Have it do something. Raises GoneError, or ConfigError for what it refuses."""
        answer = await self.channel.ask({"do": what, **facts}, descriptors, timeout=timeout)
        if "problems" in answer:
            raise ConfigError([Problem(*problem) for problem in answer["problems"]])
        return answer

    def tell(self, what: str, descriptors: Sequence[int] = (), **facts: Any) -> None:
        """Have it do something that needs no answer."""
        self.channel.send({"do": what, **facts}, descriptors)

    def drop(self) -> None:
        """Have nothing more to do with it: it ends by itself when it notices."""
        self.channel.close()
        if self.state is not State.GONE:
            self._ended()

    def _told(self, message: Message, _: list[int]) -> None:
        if message["tell"] == "over":
            self.said_goodbye = True
            self.cut_off = message["cut_off"]
            self.families = unpack(message["families"])
        elif message["tell"] == "block":
            self._blocks(self, message["network"], message["seconds"])
        elif self.state is State.SERVING:
            self._leaves(self)

    def _ended(self) -> None:
        self.state = State.GONE
        self.gone.set()
        self._over(self)
