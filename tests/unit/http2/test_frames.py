"""Frames are read alike however their bytes are cut, and nothing but a ConnectionFault comes of any bytes."""

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from gateway.http2 import frames
from gateway.http2.frames import DATA, PADDED, ConnectionFault, Frame, Incoming, rendered, unpadded


def read(pieces: list[bytes]) -> list[tuple[int, int, int, bytes]]:
    """The frames of these pieces, DATA that came in parts put together again."""
    incoming, found = Incoming(), list[tuple[int, int, int, bytes]]()
    open_ = False
    for piece in pieces:
        incoming.add(piece)
        while (frame := incoming.next()) is not None:
            if open_ and frame.kind == DATA:
                kind, _, stream, payload = found.pop()
                found.append((kind, frame.flags, stream, payload + frame.payload))
            else:
                found.append((frame.kind, frame.flags, frame.stream, frame.payload))
            open_ = frame.kind == DATA and incoming._left > 0
    return found


FRAME = st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, frames.LARGEST), st.binary(max_size=300))


@given(st.lists(FRAME, max_size=6), st.lists(st.integers(1, 60), max_size=40))
def test_frames_are_the_same_however_their_bytes_are_cut(sent: list[tuple[int, int, int, bytes]], cuts: list[int]) -> None:
    wire = b"".join(rendered(kind, flags, stream, payload) for kind, flags, stream, payload in sent)
    pieces, at = [], 0
    for size in cuts:
        pieces.append(wire[at : at + size])
        at += size
    assert read([*pieces, wire[at:]]) == read([wire]) == sent


@given(st.binary(max_size=200))
def test_any_bytes_are_frames_or_a_fault(octets: bytes) -> None:
    incoming = Incoming()
    incoming.add(octets)
    with suppress(ConnectionFault):
        while (frame := incoming.next()) is not None:
            assert frame.size == len(frame.payload) <= frames.MAX_FRAME


@given(st.binary(max_size=60), st.sampled_from([0, PADDED, PADDED | frames.PRIORITISED, frames.PRIORITISED]))
def test_padding_is_taken_off_or_refused(payload: bytes, flags: int) -> None:
    try:
        assert payload.find(unpadded(Frame(frames.HEADERS, flags, 1, payload))) >= 0
    except ConnectionFault:
        assert flags


@given(st.binary(max_size=100), st.integers(1, 40), st.booleans())
def test_a_block_that_is_cut_into_frames_is_the_same_block(block: bytes, most: int, end: bool) -> None:
    found = read([frames.headers(3, block, end=end, most=most)])
    assert b"".join(payload for *_, payload in found) == block
    assert [kind for kind, *_ in found] == [frames.HEADERS] + [frames.CONTINUATION] * (len(found) - 1)
    assert [bool(flags & frames.END_HEADERS) for _, flags, *_ in found] == [False] * (len(found) - 1) + [True]
    assert bool(found[0][1] & frames.END_STREAM) == end
