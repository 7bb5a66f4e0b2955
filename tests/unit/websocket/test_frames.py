"""What of a stream of frames may go on, in whatever pieces it arrives."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.websocket.frames import MOST_FRAMES, Follower, Violation
from tests.frames import BINARY, CLOSE, PING, PONG, TEXT, closing, frame

MOST = 1000
# RFC 6455 8.1. The first is the one of RFC 6455's own registry of bad sequences: a surrogate in the midst of Greek.
NOT_UTF_8 = {
    "surrogate": b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
    "overlong": b"\xc0\xaf",
    "above U+10FFFF": b"\xf4\x90\x80\x80",
    "lone continuation": b"a\x80",
    "Latin-1": "caf\xe9".encode("latin-1"),
    "unfinished": b"\xf0\x9f\x98",
    "never in UTF-8": b"\xff",
}
FACE = "\N{GRINNING FACE}".encode()
REFUSED = {
    **{f"text that is not UTF-8: {name}": (frame(text, kind=TEXT), 1007) for name, text in NOT_UTF_8.items()},
    "not UTF-8 in a later fragment": (frame(b"a", kind=TEXT, final=False) + frame(b"b\x80", kind=0, final=False), 1007),
    "a character that the end of the message cuts": (frame(FACE[:2], kind=TEXT, final=False) + frame(FACE[2:3], kind=0), 1007),
    "a character cut by an empty last fragment": (frame(FACE[:2], kind=TEXT, final=False) + frame(b"", kind=0), 1007),
    "a character that another message goes on with": (frame(FACE[:2], kind=TEXT) + frame(FACE[2:], kind=TEXT), 1007),
    "reserved bit 1": (frame(b"a", reserved=4), 1002),
    "reserved bit 2": (frame(b"a", reserved=2), 1002),
    "reserved bit 3": (frame(b"a", reserved=1), 1002),
    "reserved bit on a control frame": (frame(b"a", kind=PING, reserved=4), 1002),
    "opcode 3": (frame(kind=0x3), 1002),
    "opcode 7": (frame(kind=0x7), 1002),
    "opcode 11": (frame(kind=0xB), 1002),
    "opcode 15": (frame(kind=0xF), 1002),
    "not masked": (frame(b"a", masked=False), 1002),
    "ping of 126 bytes": (frame(b"x" * 126, kind=PING), 1002),
    "close of 126 bytes": (frame(b"\x03\xe8" + b"x" * 124, kind=CLOSE), 1002),
    "ping in fragments": (frame(b"a", kind=PING, final=False), 1002),
    "close in fragments": (frame(b"\x03\xe8", kind=CLOSE, final=False), 1002),
    "continuation of nothing": (frame(b"a", kind=0), 1002),
    "last continuation of nothing": (frame(b"a", kind=0, final=False), 1002),
    "message within a message": (frame(b"a", kind=TEXT, final=False) + frame(b"b", kind=TEXT), 1002),
    "fragment of another message": (frame(b"a", kind=TEXT, final=False) + frame(b"b", kind=BINARY, final=False), 1002),
    "16 bit length of 125": (frame(b"x" * 125, width=2), 1002),
    "64 bit length of 126": (frame(b"x" * 126, width=8), 1002),
    "64 bit length of 65535": (frame(b"", width=8, length=65535), 1002),
    "64 bit length with the top bit": (frame(b"", width=8, length=1 << 63), 1002),
    "message over the limit": (frame(b"", length=MOST + 1), 1009),
    "one gigabyte announced": (frame(b"", length=1 << 30), 1009),
    "fragments over the limit": (frame(b"x" * MOST, kind=TEXT, final=False) + frame(b"x", kind=0), 1009),
    "close of one byte": (frame(b"\x03", kind=CLOSE), 1002),
    "close 0": (closing(0), 1002),
    "close 999": (closing(999), 1002),
    "close 1004": (closing(1004), 1002),
    "close 1005": (closing(1005), 1002),
    "close 1006": (closing(1006), 1002),
    "close 1015": (closing(1015), 1002),
    "close 1016": (closing(1016), 1002),
    "close 1100": (closing(1100), 1002),
    "close 2999": (closing(2999), 1002),
    "close 5000": (closing(5000), 1002),
    "close 65535": (closing(65535), 1002),
    "close whose reason is no UTF-8": (closing(1000, b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80"), 1007),
}
BEFORE = frame(b"before", kind=TEXT)


def followed(follower: Follower, data: bytes) -> bytes:
    """All that passes of `data`, however many turns it takes."""
    passed = follower.feed(data)
    while follower.more:
        passed += follower.feed(b"")
    return passed


def refused(follower: Follower, *pieces: bytes) -> tuple[bytes, int]:
    """What passed before a violation, and its code."""
    passed = b""
    for piece in pieces:
        try:
            passed += followed(follower, piece)
        except Violation as violation:
            return passed + violation.passed, violation.code
    pytest.fail("everything passed")


@pytest.mark.parametrize("whole", [True, False], ids=["at once", "byte by byte"])
@pytest.mark.parametrize(("data", "code"), REFUSED.values(), ids=REFUSED.keys())
def test_what_breaks_the_protocol_is_refused_and_what_came_before_it_passes(data: bytes, code: int, whole: bool) -> None:
    stream = BEFORE + data
    pieces = [stream] if whole else [stream[place : place + 1] for place in range(len(stream))]
    follower = Follower(masked=True, most=MOST)
    passed, found = refused(follower, *pieces)
    assert found == code
    assert stream.startswith(passed)
    assert passed.startswith(BEFORE)
    assert follower.broken
    assert follower.feed(BEFORE) == b""


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4000, 4999, None])
def test_a_close_passes_whole_and_nothing_behind_it(code: int | None) -> None:
    follower = Follower(masked=True, most=MOST)
    data = closing(code)
    assert follower.feed(data[:-1]) == b""
    assert follower.feed(data[-1:] + BEFORE) == data
    assert follower.code == (code or 1005)
    assert follower.feed(BEFORE) == b""


def test_a_header_is_held_until_it_is_whole_and_payload_is_not() -> None:
    follower = Follower(masked=False, most=100_000)
    data = frame(b"x" * 70_000, masked=False)
    assert [follower.feed(data[place : place + 1]) for place in range(10)] == [b""] * 9 + [data[:10]]
    assert follower.feed(data[10:20]) == data[10:20]
    assert (follower.left, follower.is_within, follower.frames) == (69_990, True, 0)
    assert follower.feed(data[20:]) == data[20:]
    assert (follower.left, follower.is_within, follower.frames) == (0, False, 1)


def test_what_is_passed_untouched_is_not_copied() -> None:
    follower = Follower(masked=True, most=MOST)
    data = frame(b"a") + frame(b"b" * 500)
    assert follower.feed(data) is data


def test_many_small_frames_take_turns() -> None:
    follower = Follower(masked=True, most=MOST)
    data = frame() * (3 * MOST_FRAMES)
    passed = follower.feed(data)
    assert (len(passed), follower.more) == (MOST_FRAMES * len(frame()), True)
    assert passed + follower.feed(b"") + follower.feed(b"") == data
    assert follower.feed(b"") == b""
    assert not follower.more


def test_control_frames_pass_between_fragments_and_do_not_count_as_message() -> None:
    follower = Follower(masked=True, most=MOST)
    data = frame(b"x" * 999, kind=TEXT, final=False) + frame(b"y" * 125, kind=PING) + frame(b"x", kind=0) + frame(b"x" * MOST)
    assert followed(follower, data) == data


def test_nothing_passes_behind_the_frame_on_its_way_once_it_is_stopped_and_a_close_is_still_heard() -> None:
    follower = Follower(masked=True, most=MOST)
    data = frame(b"x" * 100)
    assert follower.feed(data[:50]) == data[:50]
    follower.stop()
    assert follower.left == 56
    assert follower.feed(data[50:] + BEFORE) == data[50:]
    assert follower.sealed
    assert follower.feed(BEFORE + closing(1001)) == b""
    assert follower.code == 1001


def test_what_is_broken_after_the_stop_disturbs_nobody() -> None:
    follower = Follower(masked=True, most=MOST)
    follower.stop()
    assert follower.sealed
    assert follower.feed(frame(reserved=1)) == b""
    assert follower.broken


@pytest.mark.parametrize("masked", [True, False], ids=["client", "upstream"])
def test_text_may_be_cut_anywhere_and_pings_may_come_between(masked: bool) -> None:
    letters = [octet.to_bytes() for octet in ("\u03ba\u1f79" + "\N{GRINNING FACE}").encode()]
    ping = frame(b"\xff", kind=PING, masked=masked)
    pieces = [frame(letter, kind=0 if at else TEXT, final=False, masked=masked) + ping for at, letter in enumerate(letters)]
    stream = b"".join(pieces) + frame(kind=0, masked=masked)
    for size in (1, 3, len(stream)):
        follower = Follower(masked=masked, most=MOST)
        passed = [followed(follower, stream[place : place + size]) for place in range(0, len(stream), size)]
        assert b"".join(passed) == stream


def test_binary_messages_are_nobody_s_text_also_behind_one() -> None:
    follower = Follower(masked=True, most=MOST)
    data = frame(b"a", kind=TEXT) + frame(b"\xff", kind=BINARY, final=False) + frame(b"\xff", kind=0) + frame(FACE, kind=TEXT)
    assert followed(follower, data) == data


def test_text_is_refused_before_the_rest_of_its_frame_is_there() -> None:
    """What has passed of the frame has passed: its receiver can only be cut off."""
    follower = Follower(masked=True, most=MOST)
    data = frame(b"a" * 100 + b"\xff" + b"a" * 100, kind=TEXT)
    assert follower.feed(data[:50]) == data[:50]
    with pytest.raises(Violation) as refusal:
        follower.feed(data[50:120])
    assert (refusal.value.code, refusal.value.passed, follower.left > 0) == (1007, b"", True)


def test_a_frame_of_which_nothing_passed_leaves_its_receiver_at_a_boundary() -> None:
    follower = Follower(masked=True, most=MOST)
    data = frame(b"before") + frame(b"\xff" * 10, kind=TEXT)
    with pytest.raises(Violation) as refusal:
        follower.feed(data[:-3])
    assert (refusal.value.passed, follower.left) == (frame(b"before"), 0)


@given(st.lists(st.binary(max_size=8), max_size=12), st.booleans())
def test_text_passes_exactly_where_the_whole_of_it_is_utf_8(pieces: list[bytes], masked: bool) -> None:
    pieces.append(b"")
    stream = [frame(piece, kind=0 if at else TEXT, final=at == len(pieces) - 1, masked=masked) for at, piece in enumerate(pieces)]
    follower = Follower(masked=masked, most=MOST)
    try:
        b"".join(pieces).decode("utf-8")
    except UnicodeDecodeError:
        assert refused(follower, b"".join(stream))[1] == 1007
    else:
        assert followed(follower, b"".join(stream)) == b"".join(stream)


def cut(text: bytes, places: list[int]) -> list[bytes]:
    """A message in fragments, cut where it may hurt."""
    marks = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[begin:end] for begin, end in itertools.pairwise(marks)]


control = st.builds(lambda payload, kind: [(payload, kind, True)], st.binary(max_size=125), st.sampled_from((PING, PONG)))
message = st.builds(
    lambda kind, pieces: [(piece, 0 if at else kind, at == len(pieces) - 1) for at, piece in enumerate(pieces)],
    st.just(BINARY),
    st.lists(st.binary(max_size=300), min_size=1, max_size=3),
)
text = st.builds(
    lambda pieces: [(piece, 0 if at else TEXT, at == len(pieces) - 1) for at, piece in enumerate(pieces)],
    st.builds(cut, st.text(max_size=80).map(str.encode), st.lists(st.integers(0, 400), max_size=3)),
)


@given(
    parts=st.lists(message | text | control, max_size=8),
    masked=st.booleans(),
    cuts=st.lists(st.integers(1, 40), max_size=60),
    close=st.booleans(),
)
def test_a_stream_in_order_passes_byte_for_byte_in_whatever_pieces_it_arrives(
    parts: list[list[tuple[bytes, int, bool]]], masked: bool, cuts: list[int], close: bool
) -> None:
    made = [frame(payload, kind=kind, final=final, masked=masked) for part in parts for payload, kind, final in part]
    stream = b"".join(made) + (closing(masked=masked) if close else b"")
    follower = Follower(masked=masked, most=MOST)
    passed, rest = b"", stream
    for cut in cuts:
        passed += followed(follower, rest[:cut])
        rest = rest[cut:]
    passed += followed(follower, rest)
    assert passed == stream
    assert follower.frames == len(made) + close
    assert follower.octets == len(stream)
    assert not follower.is_within


@given(data=st.binary(max_size=400), masked=st.booleans(), cuts=st.lists(st.integers(1, 9), max_size=80))
def test_pieces_make_no_difference_to_what_passes_of_any_bytes(data: bytes, masked: bool, cuts: list[int]) -> None:
    def play(pieces: list[bytes]) -> tuple[bytes, int | None, int | None]:
        follower = Follower(masked=masked, most=200)
        passed = b""
        for piece in pieces:
            try:
                passed += followed(follower, piece)
            except Violation as violation:
                return passed + violation.passed, violation.code, None
        return passed, None, follower.code

    pieces, rest = [], data
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]
    in_pieces, whole = play([*pieces, rest]), play([data])
    assert in_pieces[1:] == whole[1:]
    # Of a frame that turns out to be no text its beginning may have passed; of anything else the pieces make no difference.
    assert in_pieces[0] == whole[0] or (whole[1] == 1007 and data.startswith(in_pieces[0]) and in_pieces[0].startswith(whole[0]))
