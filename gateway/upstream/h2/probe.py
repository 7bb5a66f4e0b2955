"""A health check over HTTP/2: a connection of its own, a GET without any credential, the status of its answer."""

import asyncio
from typing import Final

from gateway.core.errors import UpstreamUnreachable
from gateway.core.message import Field
from gateway.core.reason import Reason
from gateway.http2.stream import Stream
from gateway.upstream.h2.conversation import Conversation
from gateway.upstream.h2.heads import MalformedError, status_of
from gateway.upstream.h2.session import Session

ABOUT: Final[list[Field]] = [(b"user-agent", b"latchgate-health-check"), (b"accept", b"*/*")]
FINAL: Final = 200


class Alone:
    """Owns a connection that nobody else uses."""

    def freed(self, session: Session) -> None: ...
    def gone(self, session: Session) -> None: ...
    def answered(self, conversation: Conversation, status: int) -> None: ...
    def failed(self, conversation: Conversation, error: Exception) -> None: ...


class Question:
    """What was asked, and `status`, a future: what was answered."""

    def __init__(self) -> None:
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.unprocessed = False
        self.id = 1

    def head(self, stream: Stream, fields: list[Field], end: bool) -> None:
        try:
            status = status_of(fields)
        except MalformedError as error:
            self.fail(UpstreamUnreachable(str(error), reason=Reason.UPSTREAM_PROTOCOL))
            return
        if status >= FINAL and not self.status.done():
            self.status.set_result(status)

    def body(self, stream: Stream, piece: bytes, end: bool) -> None:
        """Nobody reads it."""

    def broken(self, code: int) -> None:
        self.fail(UpstreamUnreachable(f"the upstream broke the stream off ({code})"))

    def fail(self, error: Exception) -> None:
        if not self.status.done():
            self.status.set_exception(error)


async def answered(session: Session, path: bytes, authority: bytes) -> int:
    """The status an address answers, on a connection of `Alone`'s, which ends with it. Raises UpstreamUnreachable."""
    scheme = session.lane.target.scheme.encode("ascii")
    question = Question()
    try:
        asked = [(b":method", b"GET"), (b":scheme", scheme), (b":authority", authority), (b":path", path), *ABOUT]
        session.link.open(asked, end=True).user = question
        return await question.status
    finally:
        question.status.cancel()
        session.abort()
