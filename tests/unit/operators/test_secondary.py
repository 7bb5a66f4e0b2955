"""Second factors against the vectors of their standards."""

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authn.login.seal import Seal
from gateway.authn.strength import StrongSecret
from gateway.operators import secondary
from tests.operating import Source

SEED = b"12345678901234567890"
SEAL = Seal([StrongSecret(Source())], "operator")
HOTP = ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"]
TOTP = [
    (59, "sha1", "94287082"),
    (59, "sha256", "46119246"),
    (59, "sha512", "90693936"),
    (1111111109, "sha1", "07081804"),
    (1111111109, "sha256", "68084774"),
    (1111111109, "sha512", "25091201"),
    (1111111111, "sha1", "14050471"),
    (1111111111, "sha256", "67062674"),
    (1111111111, "sha512", "99943326"),
    (1234567890, "sha1", "89005924"),
    (1234567890, "sha256", "91819424"),
    (1234567890, "sha512", "93441116"),
    (2000000000, "sha1", "69279037"),
    (2000000000, "sha256", "90698825"),
    (2000000000, "sha512", "38618901"),
    (20000000000, "sha1", "65353130"),
    (20000000000, "sha256", "77737706"),
    (20000000000, "sha512", "47863826"),
]


@pytest.mark.parametrize("counter", range(10))
def test_rfc_4226_appendix_d(counter: int) -> None:
    assert secondary.hotp(SEED, counter) == HOTP[counter]


@pytest.mark.parametrize(("time", "digest", "code"), TOTP)
def test_rfc_6238_appendix_b(time: int, digest: str, code: str) -> None:
    seed = (SEED * 4)[: {"sha1": 20, "sha256": 32, "sha512": 64}[digest]]
    assert secondary.hotp(seed, time // 30, 8, digest) == code


def test_a_code_counts_one_step_early_and_one_late_and_never_after_one_that_was_used() -> None:
    now = 1_780_000_000.0
    step = int(now // 30)
    for off, counts in ((-2, False), (-1, True), (0, True), (1, True), (2, False)):
        code = secondary.hotp(SEED, step + off)
        assert (secondary.step_of(SEED, code, now, 0) is not None) is counts
    assert secondary.step_of(SEED, secondary.hotp(SEED, step), now, step) is None
    assert secondary.step_of(SEED, secondary.hotp(SEED, step + 1), now, step) == step + 1


@given(st.text(max_size=12))
def test_what_is_no_code_is_none(text: str) -> None:
    found = secondary.step_of(SEED, text, 0.0, -9)
    assert (found is not None) is (
        text in {secondary.hotp(SEED, step) for step in (0, 1)} and re.fullmatch(r"[0-9]{6}", text) is not None
    )


def test_an_authenticator_is_told_the_seed_as_it_reads_it() -> None:
    shown = secondary.shown(SEED, "ada@example.com")
    assert base64.b32decode(shown["secret"]) == SEED
    assert shown["uri"] == f"otpauth://totp/Latchgate%3Aada%40example.com?secret={shown['secret']}&issuer=Latchgate"


def test_a_recovery_code_counts_once_for_its_account_however_it_is_typed() -> None:
    codes, kept = secondary.new_codes(SEAL, "ada")
    assert len(set(codes)) == len(kept) == 10
    assert all(re.fullmatch(r"([a-z2-7]{4}-){3}[a-z2-7]{4}", code) for code in codes)
    mark = secondary.digest(SEAL, "ada", codes[3].upper().replace("-", " "))
    left = secondary.used(kept, mark)
    assert left is not None
    assert len(left) == 9
    assert secondary.used(left, mark) is None
    assert secondary.used(kept, secondary.digest(SEAL, "bob", codes[3])) is None
