"""Amazon's framing: a client's taken apart whatever the pieces, and nothing taken for content that is none."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import BadRequest
from gateway.core.message import Body
from gateway.credentials.sigv4 import Scope
from gateway.credentials.sigv4_chunks import SIZE, ChunkReader, ChunkSigner, SignedChunks, Unchunked, framed_length
from tests.aws import unframed

SCOPE = Scope(b"20130524T000000Z", b"us-east-1", b"s3")
CRC = b"x-amz-checksum-crc32"


class Pieces:
    """A body that comes in these pieces."""

    def __init__(self, *pieces: bytes, length: int | None = None) -> None:
        self.pieces = pieces
        self.length = length
        self.whole: bytes | None = None
        self.limit = 10_000_000
        self.received = 0

    async def read(self, limit: int) -> bytes:
        raise AssertionError("read whole")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece


def framed(chunks: Sequence[bytes], *, signed: bool = False, trailers: bytes = b"") -> bytes:
    mark = b";chunk-signature=" + b"0" * 64 if signed else b""
    return (
        b"".join(b"%x%b\r\n%b\r\n" % (len(chunk), mark, chunk) for chunk in chunks if chunk)
        + b"0"
        + mark
        + b"\r\n"
        + trailers
        + b"\r\n"
    )


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    marks = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[begin:end] for begin, end in itertools.pairwise(marks)]


@given(st.lists(st.binary(max_size=30), max_size=5), st.booleans(), st.booleans(), st.lists(st.integers(0, 10_000), max_size=8))
def test_content_and_trailers_come_out_whatever_the_pieces(
    chunks: list[bytes], signed: bool, trailing: bool, places: list[int]
) -> None:
    content = b"".join(chunks)
    wire = framed(chunks, signed=signed, trailers=CRC + b":AAAAAA==\r\nx-amz-trailer-signature:00\r\n" if trailing else b"")
    reader = ChunkReader(len(content), [CRC] if trailing else [])
    assert b"".join(reader.feed(piece) for piece in cut(wire, places)) == content
    reader.finish()
    assert reader.trailers == ([(CRC, b"AAAAAA==")] if trailing else [])


@given(st.binary(max_size=80), st.lists(st.integers(0, 80), max_size=4))
def test_whatever_arrives_is_content_or_refused(data: bytes, places: list[int]) -> None:
    reader = ChunkReader(4, [])
    try:
        content = b"".join(reader.feed(piece) for piece in cut(data, places))
        reader.finish()
    except ValueError:
        return
    assert len(content) == 4


@pytest.mark.parametrize(
    ("wire", "wrong"),
    [
        (b"5\r\nhello\r\n0\r\n\r\n", "longer than announced"),
        (b"3\r\nhel\r\n0\r\n\r\n", "shorter than announced"),
        (b"4\r\nhellX\r\n0\r\n\r\n", "longer than its size"),
        (b"4\r\nhell\r\n0\r\n\r\nGET / HTTP/1.1\r\n", "something follows"),
        (b"4\r\nhell\r\n0\r\n", "ends before"),
        (b"-4\r\nhell\r\n0\r\n\r\n", "without a size"),
        (b"0x4\r\nhell\r\n0\r\n\r\n", "without a size"),
        (b"4;x=y\r\nhell\r\n0\r\n\r\n", "without a size"),
        (b"4\r\nhell\r\n0\r\nx-amz-acl:public-read\r\n\r\n", "a trailer that is none"),
        (b"4\r\nhell\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", "not those that were announced"),
        (b"4\r\nhell\r\n0\r\nhost:evil\r\n\r\n", "a trailer that is none"),
        (b"4" * 1100, "too long"),
    ],
)
def test_frames_that_lie_are_refused(wire: bytes, wrong: str) -> None:
    reader = ChunkReader(4, [])

    def read() -> None:
        for octet in wire:
            reader.feed(bytes((octet,)))
        reader.finish()

    with pytest.raises(ValueError, match=wrong):
        read()


def test_an_announced_trailer_that_does_not_come_is_refused() -> None:
    with pytest.raises(ValueError, match="announced"):
        ChunkReader(0, [CRC]).feed(b"0\r\n\r\n")


def test_a_line_is_never_held_beyond_its_bound() -> None:
    reader = ChunkReader(4, [])
    with pytest.raises(ValueError, match="too long"):
        reader.feed(b"1" * 2000)


async def collected(body: Body) -> bytes:
    return b"".join([piece async for piece in body])


@pytest.mark.parametrize("size", [1, SIZE - 1, SIZE, SIZE + 1, 3 * SIZE + 17])
async def test_signed_chunks_are_as_long_as_they_say_and_hold_what_came(size: int) -> None:
    content = bytes(index % 251 for index in range(size))
    body = SignedChunks(Pieces(*cut(content, [7, 100, 70_000])), size, ChunkSigner(b"key", SCOPE, b"seed"), None)
    wire = await collected(body)
    assert len(wire) == framed_length(size) == body.length
    assert unframed(wire, b"key", "20130524T000000Z\n20130524/us-east-1/s3/aws4_request", "seed") == (content, {})


async def test_a_clients_trailer_follows_the_signed_chunks() -> None:
    inner = Unchunked(Pieces(framed([b"a" * 10], trailers=CRC + b":AAAAAA==\r\n")), 10, [CRC])
    body = SignedChunks(inner, 10, ChunkSigner(b"key", SCOPE, b"seed"), inner)
    assert body.length is None
    wire = await collected(body)
    prefix = "20130524T000000Z\n20130524/us-east-1/s3/aws4_request"
    assert unframed(wire, b"key", prefix, "seed") == (b"a" * 10, {CRC.decode(): "AAAAAA=="})


@pytest.mark.parametrize("pieces", [(b"abc",), (b"abcde",)], ids=["short", "long"])
async def test_a_body_of_another_length_is_cut_before_its_last_chunk(pieces: tuple[bytes, ...]) -> None:
    body = SignedChunks(Pieces(*pieces), 4, ChunkSigner(b"key", SCOPE, b"seed"), None)
    sent = bytearray()

    async def drain() -> None:
        async for piece in body:
            sent.extend(piece)

    with pytest.raises(BadRequest):
        await drain()
    assert sent == b""


async def test_reading_whole_is_bounded() -> None:
    def made() -> Any:
        return Unchunked(Pieces(framed([b"a" * 10])), 10, [])

    body = made()
    assert (await body.read(10), body.whole, body.received) == (b"a" * 10, b"a" * 10, 10)
    with pytest.raises(BadRequest):
        await made().read(9)


async def test_a_malformed_frame_ends_the_request_as_malformed() -> None:
    with pytest.raises(BadRequest) as caught:
        await asyncio.wait_for(Unchunked(Pieces(b"zz\r\n"), 10, []).read(10), 5)
    assert caught.value.close
