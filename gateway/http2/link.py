"""One HTTP/2 connection, either end of it, as its owner uses it (RFC 9113). What arrives on it is taken in `taking`."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from gateway.core.message import Field
from gateway.http2 import frames, taking
from gateway.http2.calm import Calm
from gateway.http2.fields import Fields, written
from gateway.http2.frames import Code, ConnectionFault, Incoming, StreamFault
from gateway.http2.outgoing import FIRST_WINDOW, WORTH, Outgoing, Write
from gateway.http2.settings import announced
from gateway.http2.stream import Stream

MOST_NUISANCES: Final = 1000
NUISANCES: Final = 100.0
"""Frames that carry nothing, at once and a second."""
MOST_ABORTED: Final = 200
ABORTED: Final = 20.0
"""Streams the other end opened and broke off, or had us break off, at once and a second (CVE-2023-44487, CVE-2025-8671)."""
REMEMBERED: Final = 512
"""Streams reset by us of which frames may still be on their way."""
TURN: Final = 16
"""Streams that are opened at one turn of the event loop, before others have theirs."""
DEFAULT_STREAMS: Final = 100
"""How many streams we open before the other end has said how many it takes (RFC 9113 6.5.2)."""
SIGN_OF_LIFE: Final = b"are-you?"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the other end may have: streams at once, bytes on their way by stream and in all, bytes of a list of fields."""

    streams: int
    window: int
    connection_window: int
    head: int


class Owner(Protocol):
    """Whoever a link belongs to is told here. It must not raise."""

    def head(self, stream: Stream, fields: list[Field], end: bool) -> None:
        """A head: the first on its stream, an interim one, the final one, or trailers. Raises StreamFault for one that is none."""
        ...

    def body(self, stream: Stream, piece: bytes, end: bool) -> None:
        """A piece of a body, maybe empty at its end. What is done with it is to be told to `taken`. Raises StreamFault."""
        ...

    def broken(self, stream: Stream, code: int) -> None:
        """A stream was reset: by the other end, or because it broke a rule."""
        ...

    def leaving(self, last: int, code: int) -> None:
        """The other end takes no streams above `last` any more."""
        ...

    def settled(self) -> None:
        """The other end has told its settings, maybe not for the first time."""
        ...

    def done(self, stream: Stream) -> None:
        """A stream ended as it should, both ways."""
        ...


class Nobody:
    """Owns what is left of a connection."""

    def head(self, stream: Stream, fields: list[Field], end: bool) -> None: ...
    def body(self, stream: Stream, piece: bytes, end: bool) -> None: ...
    def broken(self, stream: Stream, code: int) -> None: ...
    def leaving(self, last: int, code: int) -> None: ...
    def settled(self) -> None: ...
    def done(self, stream: Stream) -> None: ...


NOBODY: Final = Nobody()


class Link:
    """`highest` is the last stream the other end opened, `last` the last it may, where we leave. `streams` are those alive;
    `peer_streams` is how many the other end takes from us, `pongs` how often it answered a ping. `credit` and `owed` are the
    connection's, as Stream has them. `block` is a head that is not complete: its first frame, and its pieces."""

    __slots__ = (
        "aborted", "block", "bounds", "client", "credit", "fields", "highest", "incoming", "last", "next", "nuisances", "outgoing",
        "owed", "owner", "peer_streams", "pongs", "reset_by_us", "settled", "streams",
    )  # fmt: skip

    def __init__(
        self, owner: Owner, bounds: Bounds, *, client: bool, write: Write, write_last: Write, time: Callable[[], float]
    ) -> None:
        self.owner = owner
        self.bounds = bounds
        self.client = client
        self.incoming = Incoming(b"" if client else frames.PREFACE)
        self.fields = Fields(2 * bounds.head)
        self.nuisances = Calm(MOST_NUISANCES, NUISANCES, time)
        # Streams that we open are broken off at our cost only: for somebody behind us, and others wait on the same connection.
        self.aborted = Calm(frames.LARGEST if client else MOST_ABORTED, ABORTED, time)
        self.outgoing = Outgoing(write, write_last, ended=self.ended, earned=self.nuisances.earn, worth=1 if client else WORTH)
        self.block: tuple[frames.Frame, list[bytes]] | None = None
        self.credit = bounds.connection_window
        self.owed = 0
        self.reset_by_us: deque[int] = deque(maxlen=REMEMBERED)
        self.settled = False
        self.last = frames.LARGEST
        self.next = 1
        self.streams: dict[int, Stream] = {}
        self.highest = 0
        self.peer_streams = DEFAULT_STREAMS
        self.pongs = 0

    @property
    def is_partial(self) -> bool:
        """Whether a head, or another frame than DATA, has begun and is not complete."""
        return self.block is not None or self.incoming.is_partial

    @property
    def unopened(self) -> int:
        """How many more streams we can open: no number is used twice (RFC 9113 5.1.1)."""
        return (frames.LARGEST - self.next) // 2 + 1

    def begin(self) -> None:
        """Say hello (RFC 9113 3.4)."""
        bounds = self.bounds
        self.outgoing.say(announced(bounds.streams, bounds.window, bounds.head, client=self.client))
        if bounds.connection_window > FIRST_WINDOW:
            self.outgoing.say(frames.window_update(0, bounds.connection_window - FIRST_WINDOW))
        self.outgoing.flush()

    def receive(self, data: bytes) -> bool:
        """Take what arrived; False where some of it is left for another turn, then to be called again with nothing.

        While what was written is not read, a turn is one stream: answers that are nothing but a head wait for no window.
        Raises ConnectionFault. A GOAWAY that says so is written by then, and nothing more may be received.
        """
        incoming = self.incoming
        incoming.add(data)
        turn = self.highest + 2 * (1 if self.outgoing.full else TURN)
        try:
            while (frame := incoming.next()) is not None:
                try:
                    taking.take(self, frame)
                except StreamFault as fault:
                    self._broke(fault)
                if self.highest >= turn:
                    return False
        except ConnectionFault as fault:
            self.leave(fault.code)
            raise
        finally:
            self.outgoing.flush()
        return True

    # What its owner does on its streams

    def open(self, fields: list[Field], *, end: bool) -> Stream:
        """A new stream of ours, begun with a head."""
        stream = self.made(self.next)
        self.next += 2
        self.head(stream, fields, end=end)
        return stream

    def head(self, stream: Stream, fields: list[Field], *, end: bool) -> None:
        """Send a head; trailers go with `end`."""
        if not stream.said:
            self.outgoing.head(stream, written(fields), end=end)
            self.outgoing.flush()

    def send(self, stream: Stream, piece: bytes) -> None:
        """Send a piece of a body; see `Stream.is_full`."""
        self.outgoing.body(stream, piece)
        self.outgoing.flush()

    def end(self, stream: Stream, trailers: list[Field] | None = None) -> None:
        """The body is complete."""
        self.outgoing.end(stream, written(trailers) if trailers else b"")
        self.outgoing.flush()

    def reset(self, stream: Stream, code: Code) -> None:
        """Break a stream off. Harmless where it has ended."""
        if not stream.closed:
            self._forget(stream)
            stream.user = None
            self.outgoing.say(frames.reset(stream.id, code))
            self.outgoing.flush()

    def taken(self, stream: Stream, size: int) -> None:
        """So many bytes of a body are done with: the other end may send as many more."""
        self.repay(size)
        stream.owed += size
        if stream.owed >= self.bounds.window // 2 and not stream.heard:
            stream.credit += stream.owed
            self.outgoing.say(frames.window_update(stream.id, stream.owed))
            stream.owed = 0
        self.outgoing.flush()

    # What its owner does with the connection

    def announce(self) -> None:
        """No more streams soon; those on their way are still taken until `leave` (RFC 9113 6.8)."""
        self.outgoing.say(frames.goaway(frames.LARGEST, Code.NO_ERROR) + frames.rendered(frames.PING, 0, 0, SIGN_OF_LIFE))
        self.outgoing.flush()

    def leave(self, code: Code = Code.NO_ERROR) -> None:
        """No more streams: those that come now are not looked at, and the other end knows."""
        self.last = self.highest
        self.outgoing.say(frames.goaway(self.highest, code))
        self.outgoing.flush()

    def resume(self) -> None:
        """The transport takes more again."""
        self.outgoing.full = False
        self.outgoing.pump()
        self.outgoing.flush()

    def let_go(self) -> None:
        """The connection is no more. What refers to this is not referred to any longer, so that it is freed at once."""
        for stream in self.streams.values():
            stream.close()
            stream.user = None
        self.streams.clear()
        self.outgoing.let_go()
        self.owner = NOBODY

    # For what is taken

    def made(self, id: int) -> Stream:
        """A new stream, opened by either end."""
        stream = self.streams[id] = Stream(id, window=self.outgoing.first_window, credit=self.bounds.window)
        return stream

    def repay(self, size: int) -> None:
        """So many bytes on the connection are done with."""
        self.owed += size
        if self.owed >= self.bounds.connection_window // 2:
            self.credit += self.owed
            self.outgoing.say(frames.window_update(0, self.owed))
            self.outgoing.flush()
            self.owed = 0

    def ended(self, stream: Stream) -> None:
        """One end is through with a stream; it is over when both are."""
        if stream.heard and stream.said and not stream.closed:
            stream.close()
            del self.streams[stream.id]
            self.aborted.earn(1)
            self.nuisances.earn(4)
            self.owner.done(stream)

    def lost(self, stream: Stream, code: int) -> None:
        """The other end reset a stream."""
        stream.close()
        del self.streams[stream.id]
        self.owner.broken(stream, code)

    def refuse(self, id: int, code: Code) -> None:
        """Reset a stream that was never made, or is not there any more."""
        self.reset_by_us.append(id)
        self.outgoing.control(frames.reset(id, code))

    # Inside

    def _forget(self, stream: Stream) -> None:
        stream.close()
        self.streams.pop(stream.id, None)
        self.reset_by_us.append(stream.id)

    def _broke(self, fault: StreamFault) -> None:
        """The other end made us reset a stream, which costs us more than it."""
        self.aborted.spend("streams that break the rules")
        stream = self.streams.get(fault.stream)
        if stream is not None:
            self._forget(stream)
            self.owner.broken(stream, fault.code)
        self.outgoing.control(frames.reset(fault.stream, fault.code))
