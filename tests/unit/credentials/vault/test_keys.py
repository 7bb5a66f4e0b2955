"""Key-encryption keys: 32 bytes, and nothing that somebody thought up."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.secret import Secret
from gateway.credentials.vault.fault import Fault, NotOpened
from gateway.credentials.vault.keys import LocalKey, parse

RAW = bytes(range(200, 232))
DATA_KEY = bytes(range(32))
random = st.binary(min_size=32, max_size=32).filter(lambda raw: len(set(raw)) >= 8)


@given(random)
def test_32_bytes_are_read_in_any_usual_spelling(raw: bytes) -> None:
    spellings = [
        raw.hex(),
        raw.hex().upper(),
        base64.b64encode(raw).decode(),
        base64.b64encode(raw).decode().rstrip("="),
        base64.urlsafe_b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
        base64.b64encode(raw).decode() + "\n",
    ]
    assert {parse(Secret(spelling.encode())) for spelling in spellings} == {raw}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"correct horse battery staple",
        b"thirty-two bytes of a passphrase",
        bytes(32),
        RAW,
        base64.b64encode(RAW[:16]),
        base64.b64encode(RAW[:31]),
        base64.b64encode(RAW + b"x"),
        RAW[:16].hex().encode(),
        RAW.hex().encode() + b"0",
        bytes(32).hex().encode(),
        base64.b64encode(b"0123" * 8),
        base64.b64encode(RAW)[:20] + b" " + base64.b64encode(RAW)[20:],
        base64.b64encode(RAW)[:-2] + b"!=",
        "ключ".encode() * 8,
        b"\xff" * 64,
        b"-/" + base64.b64encode(RAW)[2:],
    ],
)
def test_whatever_else_it_is_no_key_and_the_way_to_one_is_told(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"32 bytes .*`gateway secrets key` makes one") as refused:
        parse(Secret(text))
    assert not text.strip() or text.decode("latin-1") not in str(refused.value)


def test_a_key_wraps_and_unwraps_for_the_same_binding_only() -> None:
    key = LocalKey("k1", Secret(base64.b64encode(RAW)))
    wrapped = key.wrap(DATA_KEY, b"bound")
    assert key.unwrap(wrapped, b"bound") == DATA_KEY
    assert DATA_KEY not in wrapped
    assert wrapped != key.wrap(DATA_KEY, b"bound")
    with pytest.raises(NotOpened):
        key.unwrap(wrapped, b"other")


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_what_is_wrapped_and_is_no_data_key_is_refused(length: int) -> None:
    key = LocalKey("k1", Secret(base64.b64encode(RAW)))
    with pytest.raises(NotOpened) as refused:
        key.unwrap(key.wrap(bytes(length), b""), b"")
    assert refused.value.fault is Fault.ALTERED


@given(st.binary(max_size=80))
def test_whatever_is_unwrapped_that_was_not_wrapped_is_refused(raw: bytes) -> None:
    with pytest.raises(NotOpened):
        LocalKey("k1", Secret(base64.b64encode(RAW))).unwrap(raw, b"")
