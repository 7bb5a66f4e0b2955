"""How an API key is written."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authn import key_format
from tests.issuer import PEPPER

PREFIXES = st.from_regex(r"[a-z][a-z0-9]{1,15}", fullmatch=True)


@given(PREFIXES)
def test_a_generated_key_is_known_by_its_prefix_and_gives_its_id(prefix: str) -> None:
    id, key = key_format.generate(prefix)
    assert key_format.identify(prefix.encode(), key.encode()) == id
    assert key.split("_")[:2] == [prefix, id]
    assert len(key.split("_")) == 3


def test_no_two_keys_are_alike_and_the_secret_has_256_bits() -> None:
    keys = {key_format.generate("lgk")[1] for _ in range(200)}
    assert len({key.split("_")[2] for key in keys}) == 200
    assert 62**key_format.SECRET_LENGTH > 2**256


@given(st.data())
def test_one_wrong_character_is_noticed_offline(data: st.DataObject) -> None:
    _, key = key_format.generate("lgk")
    at = data.draw(st.integers(0, len(key) - 1))
    other = data.draw(st.sampled_from([each for each in key_format.ALPHABET if each != key[at]]))
    assert key_format.identify(b"lgk", (key[:at] + other + key[at + 1 :]).encode()) is None


@given(st.binary(max_size=80) | st.text(max_size=80).map(lambda text: ("lgk_" + text).encode()))
def test_any_other_bytes_are_no_key(raw: bytes) -> None:
    assert key_format.identify(b"lgk", raw) is None


@pytest.mark.parametrize(
    "change",
    [lambda k: k + "x", lambda k: k[:-1], lambda k: " " + k, lambda k: k + "\n", lambda k: k.upper(), lambda k: "other" + k[3:]],
)
def test_a_key_is_exact(change: object) -> None:
    _, key = key_format.generate("lgk")
    assert callable(change)
    assert key_format.identify(b"lgk", change(key).encode()) is None


def test_the_check_is_a_crc_in_base_62() -> None:
    number = 0
    for character in key_format.check("lgk_x_y"):
        number = number * 62 + key_format.ALPHABET.index(character)
    assert number == zlib.crc32(b"lgk_x_y")


def test_what_is_stored_depends_on_pepper_and_key_and_shows_neither() -> None:
    _, key = key_format.generate("lgk")
    stored = key_format.digest(PEPPER, key.encode())
    assert key_format.HASH.fullmatch(stored)
    assert stored != key_format.digest(PEPPER + b"x", key.encode())
    assert key not in stored
