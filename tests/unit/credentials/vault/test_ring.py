"""The key ring: the first key writes, all read, nothing opens elsewhere."""

import base64
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.secret import Secret
from gateway.credentials.vault import ring as rings
from gateway.credentials.vault import text
from gateway.credentials.vault.fault import Fault, NotOpened
from gateway.credentials.vault.keys import LocalKey
from gateway.credentials.vault.place import entry, row
from gateway.credentials.vault.ring import Ring
from tests.fakes import SteppedClock

CLOCK = SteppedClock()
PLACE = row("grants", "refresh_token", "17")
TOKEN = Secret(b"a refresh token")
OLD = LocalKey("old", Secret(base64.b64encode(bytes(range(32)))))
NEW = LocalKey("new", Secret(base64.b64encode(bytes(range(100, 132)))))


def ring(*keys: LocalKey) -> Ring:
    return Ring(keys or (NEW, OLD), CLOCK.now)


@given(st.binary(min_size=1, max_size=200))
def test_a_value_opens_where_it_was_sealed(plain: bytes) -> None:
    opened = ring().open(PLACE, ring().seal(PLACE, Secret(plain)))
    assert opened.secret.reveal() == plain
    assert (opened.key_id, opened.sealed_at) == ("new", int(CLOCK.now()))


def test_the_first_key_writes_and_all_read() -> None:
    sealed = ring(OLD).seal(PLACE, TOKEN)
    assert ring(NEW, OLD).open(PLACE, sealed).key_id == "old"
    assert text.value(ring(NEW, OLD).seal(PLACE, TOKEN)).key_id == "new"


def test_the_same_value_is_never_sealed_alike() -> None:
    one, other = (text.value(ring().seal(PLACE, TOKEN)) for _ in range(2))
    assert one.wrapped != other.wrapped
    assert one.ciphertext != other.ciphertext


def test_a_value_opens_nowhere_else() -> None:
    sealed = ring().seal(PLACE, TOKEN)
    for place in (entry("17"), row("grants", "refresh_token", "18"), row("grants", "access_token", "17"), b""):
        with pytest.raises(NotOpened) as refused:
            ring().open(place, sealed)
        assert refused.value.fault is Fault.ALTERED


@given(st.data())
def test_no_other_text_opens(data: st.DataObject) -> None:
    """Key id, wrapped key, nonce and ciphertext are each bound to the others."""
    one, other = (text.value(ring(key).seal(PLACE, TOKEN)) for key in (NEW, OLD))
    names = [name for name in ("key_id", "wrapped", "nonce", "ciphertext") if data.draw(st.booleans())]
    mixed = replace(one, **{name: getattr(other, name) for name in names})
    if mixed not in (one, other):
        with pytest.raises(NotOpened):
            ring().open(PLACE, str(mixed))


def test_another_time_does_not_open() -> None:
    value = text.value(ring().seal(PLACE, TOKEN))
    with pytest.raises(NotOpened):
        ring().open(PLACE, str(replace(value, sealed_at=value.sealed_at + 1)))


def test_a_key_that_is_not_there_is_named() -> None:
    with pytest.raises(NotOpened, match="under the key 'old', which the ring does not have: new") as refused:
        ring(NEW).open(PLACE, ring(OLD).seal(PLACE, TOKEN))
    assert refused.value.fault is Fault.UNKNOWN_KEY


def test_a_wrong_key_of_the_right_name_does_not_open() -> None:
    wrong = LocalKey("old", Secret(base64.b64encode(bytes(range(50, 82)))))
    with pytest.raises(NotOpened) as refused:
        ring(wrong).open(PLACE, ring(OLD).seal(PLACE, TOKEN))
    assert refused.value.fault is Fault.ALTERED


@pytest.mark.parametrize("keys", [(), (OLD, OLD), (OLD, LocalKey("old", Secret(base64.b64encode(bytes(range(9, 41))))))])
def test_a_ring_has_keys_and_each_has_its_own_id(keys: tuple[LocalKey, ...]) -> None:
    with pytest.raises(ValueError, match="at least one key, and each has its own id"):
        Ring(keys, CLOCK.now)


@pytest.mark.parametrize("length", [0, 65_537])
def test_what_is_empty_or_too_long_is_not_sealed(length: int) -> None:
    with pytest.raises(ValueError, match="at least 1 byte and at most 64 KiB"):
        ring().seal(PLACE, Secret(bytes(length)))
    with pytest.raises(ValueError, match="at least 1 byte and at most 64 KiB"):
        ring().data_key().seal(PLACE, Secret(bytes(length)))


def test_the_largest_secret_is_sealed() -> None:
    assert len(ring().open(PLACE, ring().seal(PLACE, Secret(b"x" * 65_536))).secret) == 65_536


def test_nothing_shows_a_key() -> None:
    made = ring()
    assert repr(made) == "Ring(new, old)"
    assert "data_key" not in repr(made.data_key()).replace("DataKey", "")


def test_a_data_key_kept_apart_opens_what_it_sealed() -> None:
    key = ring().data_key()
    sealed = key.seal(PLACE, TOKEN)
    opened = ring().unwrapped(key.wrapped).open(PLACE, sealed)
    assert (opened.secret, opened.key_id, opened.sealed_at) == (TOKEN, "new", int(CLOCK.now()))
    assert text.row(sealed).data_key_id == key.id
    with pytest.raises(NotOpened):
        key.open(row("grants", "refresh_token", "18"), sealed)


def test_without_its_data_key_a_row_is_lost() -> None:
    """Crypto-shredding: the ring alone opens nothing of it."""
    sealed = ring().data_key().seal(PLACE, TOKEN)
    with pytest.raises(NotOpened) as refused:
        ring().data_key().open(PLACE, sealed)
    assert refused.value.fault is Fault.UNKNOWN_KEY
    with pytest.raises(NotOpened):
        ring().open(PLACE, sealed)


def test_another_data_key_under_the_same_id_does_not_open() -> None:
    one, other = ring().data_key(), ring().data_key()
    swapped = text.wrapped_key(other.wrapped)
    with pytest.raises(NotOpened):
        ring().unwrapped(str(text.WrappedKey(swapped.key_id, swapped.made_at, one.id, swapped.wrapped)))


def test_a_data_key_seals_a_bounded_number_of_values_and_an_unwrapped_one_none() -> None:
    assert rings.MAX_SEALS < 2**32
    key = ring().data_key()
    few = rings.DataKey(text.wrapped_key(key.wrapped), bytes(32), CLOCK.now, 2)
    few.seal(PLACE, TOKEN)
    few.seal(PLACE, TOKEN)
    for spent in (few, ring().unwrapped(key.wrapped)):
        assert not spent.may_seal
        with pytest.raises(ValueError, match="make another"):
            spent.seal(PLACE, TOKEN)


def test_a_data_key_is_wrapped_anew_by_the_first_key_and_opens_the_same() -> None:
    key = ring(OLD).data_key()
    sealed = key.seal(PLACE, TOKEN)
    again = ring(NEW, OLD).rewrapped(key.wrapped)
    assert again is not None
    assert ring(NEW).unwrapped(again).open(PLACE, sealed).secret == TOKEN
    assert ring(NEW, OLD).rewrapped(again) is None
    with pytest.raises(NotOpened, match="does not have"):
        ring(NEW).rewrapped(key.wrapped)


def test_the_ids_are_told_the_writing_one_first() -> None:
    assert ring().ids == ("new", "old")
