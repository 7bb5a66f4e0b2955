"""AES-256-GCM as the envelope uses it, against Wycheproof's vectors and against other sizes."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.credentials.vault import cipher
from gateway.credentials.vault.fault import Fault, NotOpened

KEY = bytes(range(32))


@given(st.binary(max_size=300), st.binary(max_size=60))
def test_what_was_encrypted_is_decrypted_with_the_same_key_and_binding(plain: bytes, bound: bytes) -> None:
    nonce, ciphertext = cipher.encrypt(KEY, plain, bound)
    assert cipher.decrypt(KEY, nonce, ciphertext, bound) == plain
    assert (len(nonce), len(ciphertext)) == (12, len(plain) + 16)


@given(st.data())
def test_one_other_bit_anywhere_is_refused(data: st.DataObject) -> None:
    plain = b"a value"
    nonce, ciphertext = cipher.encrypt(KEY, plain, b"place")
    parts = [KEY, nonce, ciphertext, b"place"]
    which = data.draw(st.integers(0, 3))
    at = data.draw(st.integers(0, len(parts[which]) * 8 - 1))
    parts[which] = flipped(parts[which], at)
    with pytest.raises(NotOpened) as refused:
        cipher.decrypt(*parts)
    assert refused.value.fault is Fault.ALTERED


def flipped(raw: bytes, bit: int) -> bytes:
    changed = bytearray(raw)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_no_nonce_comes_twice() -> None:
    assert len({cipher.encrypt(KEY, b"", b"")[0] for _ in range(500)}) == 500


@pytest.mark.parametrize("length", [0, 16, 24, 31, 33, 64])
def test_keys_of_any_other_length_are_refused(length: int) -> None:
    with pytest.raises(ValueError, match="a key has 32 bytes"):
        cipher.encrypt(bytes(length), b"plain", b"")
    with pytest.raises(ValueError, match="a key has 32 bytes"):
        cipher.decrypt(bytes(length), bytes(12), bytes(20), b"")


@pytest.mark.parametrize(("nonce", "ciphertext"), [(11, 20), (13, 20), (0, 20), (16, 20), (12, 15), (12, 0)])
def test_other_lengths_of_nonce_and_tag_are_refused(nonce: int, ciphertext: int) -> None:
    with pytest.raises(NotOpened) as refused:
        cipher.decrypt(KEY, bytes(nonce), bytes(ciphertext), b"")
    assert refused.value.fault is Fault.MALFORMED


def test_wycheproofs_vectors_are_decrypted_where_they_are_ours_and_refused_elsewhere() -> None:
    """96-bit nonces and 128-bit tags under 256-bit keys are ours, every other size is refused; the file beside says whose they are."""
    assert verdicts(Path(__file__).with_name("aes_gcm_vectors.json")) == {"opens": 39, "refused": 71}


def test_so_are_all_of_them(vectors: Path) -> None:
    assert verdicts(vectors / "wycheproof" / "aes_gcm_test.json") == {"opens": 39, "refused": 277}


def verdicts(file: Path) -> Counter[str]:
    groups = json.loads(file.read_text())["testGroups"]
    return Counter(verdict(group, test) for group in groups for test in group["tests"])


def verdict(group: dict[str, Any], test: dict[str, Any]) -> str:
    """What was done with one vector, after comparing it with what is right."""
    key, nonce, bound, plain = (bytes.fromhex(test[name]) for name in ("key", "iv", "aad", "msg"))
    sealed = bytes.fromhex(test["ct"] + test["tag"])
    ours = (group["keySize"], group["ivSize"], group["tagSize"]) == (256, 96, 128)
    if ours and test["result"] == "valid":
        assert cipher.decrypt(key, nonce, sealed, bound) == plain, test["tcId"]
        return "opens"
    with pytest.raises(ValueError):
        cipher.decrypt(key, nonce, sealed, bound)
    return "refused"
