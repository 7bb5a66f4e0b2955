"""Which passwords may be chosen, and how they are kept."""

import threading
import unicodedata

import bcrypt
import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from gateway.authn.operators_model import LocalOperators
from gateway.authn.strength import StrongSecret
from gateway.operators.passwords import (
    AT_ONCE,
    COMMON,
    CURRENT,
    Passwords,
    Threads,
    Unfit,
    check,
    hashed,
    is_common,
    is_current,
    matches,
)
from tests.operating import ADA, Source

RULES = LocalOperators()


@pytest.mark.parametrize("password", [ADA, "пароль для дежурной смены", "correct horse battery staple", "x7" + "Q-é" * 12])
def test_what_is_long_and_not_tried_first_is_taken_whatever_it_is_made_of(password: str) -> None:
    check(password, "ada", RULES)


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("short one", "at least 12"),
        ("", "at least 12"),
        ("x" * 129, "at most 128"),
        ("a password\x00with an end", "control"),
        ("a password\ud800 of halves", "control"),
        ("aaaaaaaaaaaaaaaa", "tried first"),
        ("Password1234", "tried first"),
        ("PASSWORD1234!", "tried first"),
        ("qwertyuiop12", "tried first"),
        ("ada.lovelace.ada", "hardly more"),
        ("latchgate2026", "hardly more"),
    ],
)
def test_what_is_short_or_tried_first_is_refused_without_being_repeated(password: str, why: str) -> None:
    with pytest.raises(Unfit, match=why) as refused:
        check(password, "ada.lovelace", RULES)
    assert not password or password not in str(refused.value)


def test_the_list_is_long_sorted_and_of_what_may_be_long_enough() -> None:
    import lzma

    listed = lzma.decompress(COMMON.read_bytes()).decode().splitlines()
    assert len(listed) >= 10_000
    assert listed == sorted(set(listed))
    assert min(map(len, listed)) >= 12
    assert all(is_common(each) for each in (listed[0], listed[-1]))
    assert not is_common(listed[0][1:] + "\n")


def test_kinds_of_characters_are_wanted_only_where_that_is_said() -> None:
    strict = LocalOperators(classes=4)
    with pytest.raises(Unfit, match="classes"):
        check(ADA, "ada", strict)
    check("Violet anvils sing at 12", "ada", strict)


def test_argon2id_is_that_of_rfc_9106() -> None:
    """The test vector of 5.3."""
    made = Argon2id(salt=b"\x02" * 16, length=32, iterations=3, lanes=4, memory_cost=32, ad=b"\x04" * 12, secret=b"\x03" * 8)
    wanted = "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"
    assert made.derive(b"\x01" * 32).hex() == wanted


async def test_a_hash_has_the_parameters_that_owasp_names_and_opens_under_its_key_alone() -> None:
    assert CURRENT == "$argon2id$v=19$m=19456,t=2,p=1$"
    passwords = Passwords(StrongSecret(Source()), RULES, Threads())
    encoded = await passwords.hash(ADA)
    assert is_current(encoded)
    assert await passwords.hash(ADA) != encoded, "salted"
    assert await passwords.verify(encoded, ADA)
    assert not await passwords.verify(encoded, ADA + " ")
    assert not await passwords.verify(None, ADA)
    assert not matches(encoded, ADA.encode(), b"another key"), "a stolen database alone cannot be tried"


async def test_one_password_typed_on_two_keyboards_is_one() -> None:
    """NIST SP 800-63B 5.1.1.2: normalised before it is hashed."""
    passwords = Passwords(StrongSecret(Source()), RULES, Threads())
    typed = "crème brûlée at ﬁve"
    other = unicodedata.normalize("NFD", "crème brûlée at five")
    assert typed != other
    assert await passwords.verify(await passwords.hash(typed), other)


def test_an_imported_hash_reads_72_bytes_as_bcrypt_always_did() -> None:
    long = b"x" * 72
    encoded = bcrypt.hashpw(long, bcrypt.gensalt(4)).decode()
    assert matches(encoded, long + b" and more", b"")
    assert not matches(encoded, long[:-1], b"")
    assert not matches(encoded, long[:-1] + b"\0", b"")
    assert not is_current(encoded)


async def test_only_so_many_hashes_are_made_at_once() -> None:
    import asyncio

    threads, lock, now, most = Threads(), threading.Lock(), [0], [0]

    def work() -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        hashed(b"x" * 12, b"")
        with lock:
            now[0] -= 1

    await asyncio.gather(*(threads.run(work) for _ in range(6)))
    assert most[0] <= AT_ONCE
