"""What leaves on one connection: heads at once and in order, bodies as the windows allow, one frame of each stream in its turn."""

from collections import deque
from collections.abc import Callable
from typing import Final

from gateway.http2 import frames
from gateway.http2.fields import EMPTY_TABLE
from gateway.http2.frames import Code, ConnectionFault
from gateway.http2.stream import Stream

FIRST_WINDOW: Final = 65535
MOST_UNREAD: Final = 64 * 1024
"""Bytes of replies to settings, pings and the like that may wait because the other end reads nothing."""
WORTH: Final = 256
"""Bytes of a frame for which a client may say twice that it took them: for the stream, and for the connection. What an upstream is
sent is not its choice: it may say so of every frame."""

Write = Callable[[bytes], None]


class Outgoing:
    """The sending side. `full` is told by the transport. What is rendered leaves with `flush`.

    `first_window` and `most` are the other end's settings: the window of a new stream, the largest frame it takes.
    """

    __slots__ = (
        "_earned", "_ended", "_is_last", "_out", "_ready", "_table", "_unread", "_worth", "_write", "_write_last", "first_window",
        "full", "most", "window",
    )  # fmt: skip

    def __init__(
        self, write: Write, write_last: Write, *, ended: Callable[[Stream], None], earned: Callable[[int], None], worth: int
    ) -> None:
        """`write_last` writes what ends somebody's answer: it may wait for the evidence. `ended` is told of each stream whose last
        frame was rendered, `earned` how much patience the other end deserves for what it gets, in frames of `worth` bytes."""
        self._write = write
        self._write_last = write_last
        self._ended = ended
        self._earned = earned
        self._worth = worth
        self._out: list[bytes] = []
        self._is_last = False
        self._ready: deque[Stream] = deque()
        self._table = EMPTY_TABLE
        self._unread = 0
        self.window = self.first_window = FIRST_WINDOW
        self.most = frames.MAX_FRAME
        self.full = False

    def say(self, frame: bytes) -> None:
        """A frame about the connection, or about a stream that has ended."""
        self._out.append(frame)

    def control(self, frame: bytes) -> None:
        """The same, as a reply to what the other end does. Raises ConnectionFault where it lets too many wait."""
        self._unread = self._unread + len(frame) if self.full else 0
        if self._unread > MOST_UNREAD:
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, "replies that are not read")
        self._out.append(frame)

    def head(self, stream: Stream, block: bytes, *, end: bool) -> None:
        """A head, of whatever kind. Trailers wait for the body, see `end`."""
        block, self._table = self._table + block, b""
        self._out.append(frames.headers(stream.id, block, end=end, most=self.most))
        if end:
            self._finish(stream)

    def body(self, stream: Stream, data: bytes) -> None:
        """A piece of a body, which may wait for a window."""
        if data and not stream.said:
            stream.waiting += data
            self._line_up(stream)
            self.pump()

    def end(self, stream: Stream, trailers: bytes = b"") -> None:
        """The body is complete; a block of trailers may follow it."""
        if not stream.said and stream.ending is None:
            stream.ending = trailers
            if not stream.waiting:
                self._frame(stream, 0)  # needs no window, and must not wait behind those that do

    def pump(self) -> None:
        """Send what the windows and the transport allow."""
        ready = self._ready
        while ready and not self.full:
            stream = ready.popleft()
            stream.is_ready = False
            if stream.said:
                continue
            room = min(self.window, stream.window, self.most)
            if stream.waiting and room <= 0:
                if stream.window > 0:  # the connection's window is used up, for this one and for all behind it
                    stream.is_ready = True
                    ready.appendleft(stream)
                    return
                continue
            self._frame(stream, room)

    def opened(self, stream: Stream) -> None:
        """A stream's window has grown."""
        if stream.waiting:
            self._line_up(stream)

    def flush(self) -> None:
        """Write what was rendered."""
        if self._out:
            data, last = b"".join(self._out), self._is_last
            self._out.clear()
            self._is_last = False
            (self._write_last if last else self._write)(data)

    def let_go(self) -> None:
        """The connection is no more: nothing leaves, and nobody is told."""
        self._write = self._write_last = self._ended = self._earned = unheard
        self._ready.clear()
        self._out.clear()

    def _line_up(self, stream: Stream) -> None:
        if not stream.is_ready:
            stream.is_ready = True
            self._ready.append(stream)

    def _frame(self, stream: Stream, room: int) -> None:
        """One frame of a stream that has something to send."""
        piece = bytes(stream.waiting[:room]) if stream.waiting else b""
        del stream.waiting[: len(piece)]
        size, last = len(piece), stream.ending is not None and not stream.waiting
        ends = last and not stream.ending
        if piece or ends:
            self._out.append(frames.rendered(frames.DATA, frames.END_STREAM if ends else 0, stream.id, piece))
        if size >= self._worth:
            self._earned(2)
        self.window -= size
        stream.window -= size
        stream.sent += size
        if last:
            if stream.ending:
                self.head(stream, stream.ending, end=True)
            else:
                self._finish(stream)
        elif stream.waiting:
            self._line_up(stream)
        stream.wake()

    def _finish(self, stream: Stream) -> None:
        self._is_last = True
        stream.said = True
        self._ended(stream)


def unheard(_: object) -> None:
    """Nobody is there any more."""
