"""Header blocks: what we write anybody reads, and of what anybody writes nothing but fields or a fault comes."""

from contextlib import suppress

import pytest
from hpack import Decoder, Encoder
from hypothesis import given
from hypothesis import strategies as st

from gateway.http2.fields import EMPTY_TABLE, Fields, written
from gateway.http2.frames import Code, ConnectionFault
from gateway.http2.names import is_sound

FIELD = st.tuples(st.binary(min_size=1, max_size=200), st.binary(max_size=400))


@given(st.lists(FIELD, max_size=20))
def test_what_is_written_is_read_as_it_was(fields: list[tuple[bytes, bytes]]) -> None:
    decoder = Decoder(max_header_list_size=1 << 20)
    block = EMPTY_TABLE + written(fields)
    assert [(bytes(name), bytes(value)) for name, value in decoder.decode(block, raw=True)] == fields
    assert decoder.header_table.maxsize == 0
    assert len(decoder.header_table.dynamic_entries) == 0


@given(st.lists(st.lists(FIELD, max_size=5), max_size=5))
def test_blocks_are_read_as_the_library_writes_them(blocks: list[list[tuple[bytes, bytes]]]) -> None:
    encoder, fields = Encoder(), Fields(1 << 20)
    for block in blocks:
        assert fields.read(encoder.encode(block)) == block


@given(st.binary(max_size=300))
def test_any_bytes_are_fields_or_a_fault(block: bytes) -> None:
    with suppress(ConnectionFault):
        assert isinstance(Fields(4096).read(block), list)


def test_a_list_that_is_too_large_is_a_fault() -> None:
    with pytest.raises(ConnectionFault) as caught:
        Fields(1000).read(written([(b"x", b"a" * 2000)]))
    assert caught.value.code is Code.COMPRESSION_ERROR


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_what_is_sound_is_one_line_of_http_1_1(name: bytes, value: bytes) -> None:
    if is_sound(name, value):
        line = name + b": " + value
        assert not set(line) & set(b"\r\n\0")
        assert line.partition(b": ")[::2] == (name, value)
        assert (name, value) == (name.lower().strip(), value.strip(b" \t"))
