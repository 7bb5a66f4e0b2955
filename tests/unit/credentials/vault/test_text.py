"""How sealed things are written: one spelling each, everything else refused."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.credentials.vault import text
from gateway.credentials.vault.fault import Fault, NotOpened
from gateway.credentials.vault.sizes import MAX_TEXT

IDS = st.from_regex(text.ID, fullmatch=True)
DATA_KEY_IDS = st.from_regex(text.DATA_KEY_ID, fullmatch=True)
TIMES = st.integers(0, 10**12 - 1)
WRAPPED = st.binary(min_size=1, max_size=90)
NONCES = st.binary(min_size=12, max_size=12)
CIPHERTEXTS = st.binary(min_size=17, max_size=90)
READERS = {"lgs1": text.value, "lgk1": text.wrapped_key, "lgd1": text.row}

VALUES = st.builds(text.Value, IDS, TIMES, WRAPPED, NONCES, CIPHERTEXTS)
KEYS = st.builds(text.WrappedKey, IDS, TIMES, DATA_KEY_IDS, WRAPPED)
ROWS = st.builds(text.Row, DATA_KEY_IDS, TIMES, NONCES, CIPHERTEXTS)
GOOD = str(text.Value("k1", 1_790_000_000, b"w" * 60, b"n" * 12, b"c" * 40))


@given(VALUES | KEYS | ROWS)
def test_what_is_written_is_read_again(written: text.Value | text.WrappedKey | text.Row) -> None:
    assert READERS[str(written)[:4]](str(written)) == written


@given(VALUES | KEYS | ROWS, st.data())
def test_no_other_text_is_read_as_the_same(written: text.Value | text.WrappedKey | text.Row, data: st.DataObject) -> None:
    """One character changed, inserted or left out: refused, or other content."""
    whole = str(written)
    at = data.draw(st.integers(0, len(whole) - 1))
    put = data.draw(st.text(st.characters(codec="utf-8") | st.sampled_from(":-_=A0 \n"), max_size=1))
    changed = whole[:at] + put + whole[at + data.draw(st.integers(0, 1)) :]
    assert changed == whole or read_as(whole[:4], changed) != written


@given(st.text(max_size=60) | st.text(max_size=40).map(lambda rest: "lgs1:" + rest) | st.text(":lgskd1-_A", max_size=60))
@example("lgs1:k1:1:" + "A" * 8 + ":" + "A" * 16 + ":" + "A" * 24)
def test_any_other_text_is_refused_in_words_and_nothing_else_is_raised(written: str) -> None:
    for word in READERS:
        found = read_as(word, written)
        assert found is None or str(found) == written


def read_as(word: str, written: str) -> object:
    """What is read, None where it is refused in a few words."""
    try:
        return READERS[word](written)
    except NotOpened as error:
        refused = error
    assert refused.fault is Fault.MALFORMED
    assert len(str(refused)) < 100
    return None


@pytest.mark.parametrize(
    "written",
    [
        GOOD.replace("lgs1", "lgs2"),
        GOOD.replace("lgs1", "LGS1"),
        GOOD.replace("lgs1", "lgd1"),
        GOOD.replace(":k1:", ":*:"),
        GOOD.replace(":k1:", "::"),
        GOOD.replace(":k1:", ":" + "k" * 64 + ":"),
        GOOD.replace(":k1:", ":\u0661:"),
        GOOD.replace("1790000000", "01790000000"),
        GOOD.replace("1790000000", "-1"),
        GOOD.replace("1790000000", "+1"),
        GOOD.replace("1790000000", "1_0"),
        GOOD.replace("1790000000", "1" * 13),
        GOOD.replace("1790000000", "\u0661"),
        GOOD + "=",
        GOOD + "\n",
        " " + GOOD,
        GOOD + ":",
        GOOD[:-1],
        GOOD.rpartition(":")[0],
        GOOD.rpartition(":")[0] + ":",
        str(text.Value("k1", 1, b"w" * 60, b"n" * 11, b"c" * 40)),
        str(text.Value("k1", 1, b"w" * 60, b"n" * 13, b"c" * 40)),
        str(text.Value("k1", 1, b"w" * 60, b"n" * 12, b"c" * 16)),
        str(text.Value("k1", 1, b"w" * 60, b"n" * 12, b"c" * (65_536 + 17))),
        str(text.Value("k1", 1, b"w" * 1025, b"n" * 12, b"c" * 40)),
        str(text.Value("k1", 1, b"", b"n" * 12, b"c" * 40)),
        "lgs1:" + ":" * 1_000_000,
        "",
    ],
)
def test_what_is_a_little_different_is_refused(written: str) -> None:
    with pytest.raises(NotOpened) as refused:
        text.value(written)
    assert refused.value.fault is Fault.MALFORMED


def test_bits_that_base64_leaves_unused_are_zero() -> None:
    """Forty bytes are 54 characters, the last of which carries four bits that nobody reads."""
    last = GOOD[-1]
    with pytest.raises(NotOpened):
        text.value(GOOD[:-1] + chr(ord(last) + 1))


def test_the_largest_secret_fits() -> None:
    written = str(text.Value("k" * 63, 10**12 - 1, b"w" * 1024, b"n" * 12, b"c" * (65_536 + 16)))
    assert len(written) <= MAX_TEXT
    assert str(text.value(written)) == written
