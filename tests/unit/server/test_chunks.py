"""The end of a chunked body: found wherever it lies, however the bytes come, at a cost that grows with their number."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.server.arrival import Arrival
from gateway.server.chunks import Chunks

NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"


def chunked(pieces: list[bytes], extension: bytes = b"", trailers: bytes = b"") -> bytes:
    body = b"".join(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces if piece)
    return body + b"0" + extension + b"\r\n" + trailers + b"\r\n"


def walked(data: bytes, cuts: list[int], length: int) -> int:
    """How much of `data` is taken for the body when it comes in these pieces: until something is left over, or it is all there."""
    chunks, at = Chunks(), 0
    edges = sorted({cut % (len(data) + 1) for cut in cuts} | {len(data)})
    for edge in edges:
        piece = data[at:edge]
        own = chunks.end(piece)
        at += min(own, len(piece))
        if own < len(piece) or at == length:
            return at
    return at


@given(
    st.lists(st.binary(max_size=40) | st.just(b"\r\n\r\n" * 5) | st.just(b"0\r\n\r\n"), max_size=6),
    st.sampled_from([b"", b";x=y", b' ;q="a"']),
    st.sampled_from([b"", b"A: b\r\n", b"A: b\r\nC: d\r\n"]),
    st.lists(st.integers(min_value=0, max_value=400), max_size=12),
)
def test_the_end_is_found_whatever_the_payload_holds_and_however_it_comes(
    pieces: list[bytes], extension: bytes, trailers: bytes, cuts: list[int]
) -> None:
    body = chunked(pieces, extension, trailers)
    assert walked(body + NEXT, [len(body), *cuts], len(body)) == len(body)
    assert walked(body + NEXT, [], len(body)) == len(body)


@pytest.mark.parametrize(
    "line",
    [b"\r\n", b"x\r\n", b"-1\r\n", b"1_0\r\n", b"0x5\r\n", b"5\nhello", b" 5\r\n", b"5\r\r\n", b"f" * 16 + b"\r\n"],
    ids=repr,
)
def test_what_is_no_chunk_is_left_to_the_parser_whole(line: bytes) -> None:
    data = line + b"0\r\n\r\n" + NEXT
    assert Chunks().end(data) == len(data)


def test_empty_lines_in_a_chunk_do_not_cost_the_square_of_their_number() -> None:
    payload = b"\r\n\r\n" * 16_384
    arrival, data, turns = Arrival(), b"%x\r\n%b\r\n0\r\n\r\n" % (len(payload), payload), 0
    arrival.remaining = None
    while data:
        _, data = arrival.cut(data)
        turns += 1
    assert turns == 1
