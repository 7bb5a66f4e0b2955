"""An upstream that behaves as it is told, and may be told something else at any time."""

import asyncio
from enum import Enum, auto

from tests.scripted import OK, Scripted, Seen, read_body


class Mood(Enum):
    """What it does with a request other than answering."""

    SILENT = auto()  # reads it and never answers
    ENDS = auto()  # reads it and closes


SILENT, ENDS = Mood
GARBAGE = b"SSH-2.0-OpenSSH_9.9\r\n\r\n"


def answering(status: int, body: bytes = b"", *fields: bytes) -> bytes:
    """An answer, framed."""
    lines = [b"HTTP/1.1 %d X" % status, b"content-length: %d" % len(body), *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


class Moody(Scripted):
    """`mood` counts for each request as it arrives; `moods` are for the next ones and come first, `at` for a path before all."""

    def __init__(self, mood: bytes | Mood = OK, *, host: str = "127.0.0.1", ssl: object = None) -> None:
        super().__init__(host=host, ssl=ssl)
        self.mood = mood
        self.moods: list[bytes | Mood] = []
        self.at: dict[bytes, bytes | Mood] = {}

    @property
    def url(self) -> str:
        return f"http://{self._host}:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.opened += 1
        self.changed.set()
        try:
            while await self._answer(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            self.closed += 1
            self.changed.set()
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        seen = Seen((await reader.readuntil(b"\r\n\r\n"))[:-4], b"")
        seen.body = await read_body(reader, seen)
        self.seen.append(seen)
        self.changed.set()
        mood = self.moods.pop(0) if self.moods else self.mood
        match self.at.get(seen.line.split(b" ")[1], mood):
            case bytes() as answer:
                writer.write(answer)
                await writer.drain()
                return True
            case Mood.SILENT:
                await reader.read()  # until the other end has had enough
            case Mood.ENDS:
                pass
        return False
