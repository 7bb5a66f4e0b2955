"""Clients that keep their connections, do as HTTP says and try nothing twice: what they lose, the gateway has dropped."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.house import Reply, read_reply, request_bytes


class Population:
    """What its clients have seen: answers, and requests that got none."""

    def __init__(self, port: int, target: str) -> None:
        self._port = port
        self._data = request_bytes(target)
        self._over = asyncio.Event()
        self.answers: list[Reply] = []
        self.lost: list[str] = []

    @property
    def ids(self) -> list[str]:
        """The ids of the answered requests."""
        return [answer["X-Request-Id"] for answer in self.answers]

    @property
    def statuses(self) -> set[int]:
        return {answer.status for answer in self.answers}

    async def more(self, count: int = 50) -> None:
        """Wait for so many further answers."""
        enough = len(self.answers) + count
        async with asyncio.timeout(30):
            while len(self.answers) < enough:
                await asyncio.sleep(0.01)

    async def client(self) -> None:
        """One connection after the other, each until the server says that it ends."""
        while not self._over.is_set():
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError as error:
                self.lost.append(f"no connection: {error}")
                await asyncio.sleep(0.05)
                continue
            try:
                await self._ask(reader, writer)
            finally:
                writer.close()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = 0
        while not self._over.is_set():
            try:
                writer.write(self._data)
                answer = await read_reply(reader, "GET")
            except (OSError, EOFError) as error:
                self.lost.append(f"request {number} of a connection: {type(error).__name__} {error}")
                return
            self.answers.append(answer)
            if answer.get("Connection") == "close":
                return
            number += 1
            await asyncio.sleep(0)

    def end(self) -> None:
        """Ask nothing further."""
        self._over.set()


@asynccontextmanager
async def population(port: int, target: str = "/public/x", *, clients: int = 16) -> AsyncIterator[Population]:
    """Clients at work, until the end of the block or of the population."""
    made = Population(port, target)
    tasks = [asyncio.create_task(made.client()) for _ in range(clients)]
    try:
        yield made
    finally:
        made.end()
        with suppress(TimeoutError):
            async with asyncio.timeout(60):
                await asyncio.gather(*tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
