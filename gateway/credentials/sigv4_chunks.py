"""Bodies in Amazon's own framing, `aws-chunked`: those of a client taken apart, ours put together with a signature for each chunk.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html and sigv4-streaming-trailers.html.
"""

import hmac
import re
from collections.abc import AsyncIterator, Callable, Collection
from hashlib import sha256
from typing import Final

from gateway.core.errors import BadRequest
from gateway.core.message import Body, Field
from gateway.core.reason import Reason
from gateway.credentials.sigv4 import NOTHING, Scope, signature

SIZE: Final = 64 * 1024
"""Bytes of a signed chunk. Amazon S3 takes no smaller ones than 8 KiB, but for the last."""
LONGEST_LINE: Final = 1024
MOST_TRAILERS: Final = 8
SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,12})(?:;chunk-signature=([0-9A-Fa-f*]{1,512}))?")
TRAILER: Final = re.compile(rb"(x-amz-checksum-[a-z0-9]{1,32}|x-amz-trailer-signature):[ \t]*([!-~]{1,512})", re.IGNORECASE)
"""Amazon's clients send checksums behind a body, and nothing else: a trailer may become a header that policies never saw."""
TRAILER_SIGNATURE: Final = b"x-amz-trailer-signature"


class ChunkReader:
    """Takes a client's framing apart, in whatever pieces it arrives.

    `length` is how much there must be in all, `announced` are the trailers that must follow. `signer` makes the signatures that
    there must be; without it those of the client are nobody's who matters, and dropped.
    """

    __slots__ = ("_announced", "_buffer", "_chunk", "_digest", "_given", "_left", "_signer", "_step", "done", "trailers")

    def __init__(self, length: int, announced: Collection[bytes], signer: "ChunkSigner | None" = None) -> None:
        self._left = length
        self._announced = announced
        self._signer = signer
        self._given = b""
        self._digest = sha256()
        self._buffer = bytearray()
        self._chunk = 0
        self._step: Callable[[list[bytes]], bool] = self._size
        self.trailers: list[Field] = []
        self.done = False

    def feed(self, piece: bytes) -> bytes:
        """What of the content a piece brings. Raises ValueError."""
        if self.done and piece:
            raise ValueError("something follows the last chunk")
        self._buffer += piece
        content: list[bytes] = []
        while self._buffer and self._step(content):
            if self.done and self._buffer:
                raise ValueError("something follows the last chunk")
        return b"".join(content)

    def finish(self) -> None:
        """There is no more. Raises ValueError."""
        if not self.done:
            raise ValueError("it ends before its last chunk")

    def _size(self, content: list[bytes]) -> bool:
        line = self._line()
        if line is None:
            return False
        found = SIZE_LINE.fullmatch(line)
        if found is None:
            raise ValueError("a chunk without a size")
        self._chunk = int(found[1], 16)
        if self._chunk > self._left:
            raise ValueError("it is longer than announced")
        if self._chunk == 0 and self._left:
            raise ValueError("it is shorter than announced")
        self._given, self._digest = found[2] or b"", sha256()
        self._step = self._content if self._chunk else self._trailer
        if not self._chunk:
            self._check()
        return True

    def _content(self, content: list[bytes]) -> bool:
        taken = bytes(self._buffer[: self._chunk])
        del self._buffer[: self._chunk]
        self._chunk -= len(taken)
        self._left -= len(taken)
        if self._signer is not None:
            self._digest.update(taken)
        content.append(taken)
        if not self._chunk:
            self._step = self._border
        return True

    def _border(self, content: list[bytes]) -> bool:
        if len(self._buffer) < 2:
            return False
        if self._buffer[:2] != b"\r\n":
            raise ValueError("a chunk is longer than its size")
        del self._buffer[:2]
        self._check()
        self._step = self._size
        return True

    def _check(self) -> None:
        """Raises ValueError for a chunk that the client did not sign as the next one."""
        if self._signer is None:
            return
        if not hmac.compare_digest(self._signer.sign(self._digest.hexdigest().encode("ascii")), self._given):
            raise ValueError("a chunk is not the one that the client signed")
        self._given = b""

    def _trailer(self, content: list[bytes]) -> bool:
        line = self._line()
        if line is None:
            return False
        if line:
            self._note(line)
        elif {name for name, _ in self.trailers} != set(self._announced):
            raise ValueError("its trailers are not those that were announced")
        elif (
            self._signer is not None
            and self.trailers
            and not hmac.compare_digest(self._signer.sign_trailers(self.trailers), self._given)
        ):
            raise ValueError("its trailers are not those that the client signed")
        else:
            self.done = True
        return True

    def _note(self, line: bytes) -> None:
        found = TRAILER.fullmatch(line)
        if found is None or len(self.trailers) >= MOST_TRAILERS:
            raise ValueError("a trailer that is none")
        name = found[1].lower()
        if name == TRAILER_SIGNATURE:
            self._given = found[2]
            return
        if name not in self._announced or any(name == known for known, _ in self.trailers):
            raise ValueError("its trailers are not those that were announced")
        self.trailers.append((name, found[2]))

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\r\n", 0, LONGEST_LINE)
        if end < 0:
            if len(self._buffer) >= LONGEST_LINE:
                raise ValueError("a line is too long")
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line


class Unchunked:
    """The content of a client's body that came in that framing; implements core.message.Body."""

    __slots__ = ("_body", "_reader", "announced", "length", "limit", "received", "whole")

    def __init__(self, body: Body, length: int, announced: Collection[bytes], signer: "ChunkSigner | None" = None) -> None:
        self._body = body
        self.announced = announced
        self._reader = ChunkReader(length, announced, signer)
        self.length: int | None = length
        self.limit = body.limit
        self.received = 0
        self.whole: bytes | None = None

    @property
    def trailers(self) -> list[Field]:
        """What followed the content, when all of it was read."""
        return self._reader.trailers

    async def read(self, limit: int) -> bytes:
        self.whole = await gathered(self, limit)
        return self.whole

    async def __aiter__(self) -> AsyncIterator[bytes]:
        reader = self._reader
        try:
            async for piece in self._body:
                if content := reader.feed(piece):
                    self.received += len(content)
                    yield content
            reader.finish()
        except ValueError as error:
            raise BadRequest(f"aws-chunked: {error}", close=True) from error


class ChunkSigner:
    """Signs chunk after chunk, each with the signature before in it, beginning with that of the request."""

    __slots__ = ("_key", "_last", "_prefix")

    def __init__(self, key: bytes, scope: Scope, seed: bytes) -> None:
        self._key = key
        self._prefix = scope.date + b"\n" + bytes(scope)
        self._last = seed

    def sign(self, digest: bytes) -> bytes:
        """The signature of the next chunk, by the hash of its content in hex."""
        self._last = signature(self._key, b"\n".join((b"AWS4-HMAC-SHA256-PAYLOAD", self._prefix, self._last, NOTHING, digest)))
        return self._last

    def sign_trailers(self, fields: list[Field]) -> bytes:
        """The signature of what follows the last chunk."""
        digest = sha256(b"".join(name + b":" + value + b"\n" for name, value in fields)).hexdigest().encode("ascii")
        self._last = signature(self._key, b"\n".join((b"AWS4-HMAC-SHA256-TRAILER", self._prefix, self._last, digest)))
        return self._last

    def chunk(self, content: bytes) -> bytes:
        """A chunk in its frame, but for the line break after the last one."""
        head = b"%x;chunk-signature=%b\r\n" % (len(content), self.sign(sha256(content).hexdigest().encode("ascii")))
        return head + content + b"\r\n" if content else head

    def trailers(self, fields: list[Field]) -> bytes:
        """The lines that follow the last chunk."""
        return b"".join(name + b":" + value + b"\r\n" for name, value in [*fields, (TRAILER_SIGNATURE, self.sign_trailers(fields))])


class SignedChunks:
    """A body on its way in signed chunks; implements core.message.Body. `length` is that of all the frames.

    A body with trailers has none, so that HTTP's own framing is around it.
    """

    __slots__ = ("_body", "_content", "_signer", "_trailing", "length", "limit", "received", "whole")

    def __init__(self, body: Body, content: int, signer: ChunkSigner, trailing: Unchunked | None) -> None:
        self._body = body
        self._content = content
        self._signer = signer
        self._trailing = trailing
        self.length: int | None = framed_length(content) if trailing is None else None
        self.limit = framed_length(body.limit)
        self.received = 0
        self.whole: bytes | None = None

    async def read(self, limit: int) -> bytes:
        self.whole = await gathered(self, limit)
        return self.whole

    async def __aiter__(self) -> AsyncIterator[bytes]:
        signer, held = self._signer, bytearray()
        async for piece in self._body:
            self.received += len(piece)
            held += piece
            while len(held) >= SIZE:
                yield signer.chunk(bytes(held[:SIZE]))
                del held[:SIZE]
        if self.received != self._content:
            raise BadRequest("the body is not as long as announced", close=True)
        if held:
            yield signer.chunk(bytes(held))
        last = signer.chunk(b"")
        yield last + (b"" if self._trailing is None else signer.trailers(self._trailing.trailers)) + b"\r\n"


async def gathered(body: Body, limit: int) -> bytes:
    """All of a body. Raises BadRequest where it is longer than `limit`."""
    pieces: list[bytes] = []
    size = 0
    async for piece in body:
        size += len(piece)
        if size > limit:
            raise BadRequest("body over the limit", reason=Reason.BODY_TOO_LARGE, close=True)
        pieces.append(piece)
    return b"".join(pieces)


def framed_length(content: int) -> int:
    """How long content becomes in frames of SIZE."""
    whole, rest = divmod(content, SIZE)
    return whole * (_frame(SIZE) + 2) + (_frame(rest) + 2 if rest else 0) + _frame(0) + 2


def _frame(size: int) -> int:
    return len(b"%x;chunk-signature=\r\n" % size) + 64 + size
