"""What can be imported, and that whatever else comes is refused by line, as a whole, and without a word of a value."""

import base64
import contextlib
import json
import os
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.importing import Found, Wrong, read
from gateway.credentials.stored.drawer import Facts

KEY = bytes(range(32))
CANARY = "hunter2-canary"


def encrypted(value: str, *, nonce: int = 12, form: str = "hex") -> dict[str, str]:
    """As Node's `createCipheriv('aes-256-gcm')` gives it."""
    iv = os.urandom(nonce)
    sealed = AESGCM(KEY).encrypt(iv, value.encode(), None)
    parts = {"encrypted": sealed[:-16], "iv": iv, "authTag": sealed[-16:]}
    return {name: raw.hex() if form == "hex" else base64.b64encode(raw).decode() for name, raw in parts.items()}


def values(found: list[Found]) -> dict[str, str]:
    return {each.name: each.secret.reveal().decode() for each in found}


TWO = {"a": "one", "b": 'two, "quoted"\nand a line'}


@pytest.mark.parametrize(
    "text",
    [
        'name,value\na,one\nb,"two, ""quoted""\nand a line"\n',
        '\ufeffvalue,name\r\none,a\r\n\r\n"two, ""quoted""\nand a line",b\r\n',
        json.dumps(TWO),
        json.dumps(TWO, indent=2),
        json.dumps([{"name": name, "value": value} for name, value in TWO.items()]),
        "\n".join(json.dumps({"name": name, "value": value}) for name, value in TWO.items()),
        json.dumps({name: {"value": value} for name, value in TWO.items()}),
        json.dumps({name: encrypted(value) for name, value in TWO.items()}),
        json.dumps([{"name": name, **encrypted(value, nonce=16, form="base64")} for name, value in TWO.items()]),
        "name,encrypted,iv,authTag\n" + "\n".join(",".join([name, *encrypted(value).values()]) for name, value in TWO.items()),
    ],
    ids=["csv", "csv from a spreadsheet", "object", "indented", "list", "lines", "members", "hex", "base64", "encrypted csv"],
)
def test_what_people_have_is_read(text: str) -> None:
    assert values(read(text.encode(), KEY)) == TWO


def test_what_may_be_told_comes_along() -> None:
    text = "name,value,provider,scopes,subject,expires_at\na,x,github,repo read:org,alice,2027-01-31T12:00:00Z\nb,y,,,,1800000000\n"
    assert [each.facts for each in read(text.encode(), None)] == [
        Facts("github", "alice", "repo read:org", 1801396800.0),
        Facts(expires_at=1800000000.0),
    ]


SEALED = encrypted(CANARY)
REFUSED: dict[str, tuple[str, str]] = {
    "nothing": ("", "line 1: the first line names the columns"),
    "no header": (f"a,{CANARY}\n", "line 1: the first line names the columns"),
    "no rows": ("name,value\n", "the file holds no secrets"),
    "a column too many": (f"name,value\nb,x\na,{CANARY},x\n", "line 3: is malformed: as many fields as the first line names"),
    "twice": (f'name,value\na,"x\ny"\nb,x\na,{CANARY}\n', "line 5: 'a' stands at line 2 already"),
    "no name": (f"name,value\n,{CANARY}\n", "line 2: a name has letters"),
    "a pattern": (f"name,value\n../a,{CANARY}\n", "line 2: a name has letters"),
    "no value": ("name,value\na,\n", "line 2: has no value"),
    "too long": (f"name,value\na,{CANARY * 8000}\n", "line 2: a value has at least 1 byte and at most 64 KiB"),
    "an open quote": (f'name,value\na,"{CANARY}\n', "line 2: is no CSV"),
    "a wrong time": (f"name,value,expires_at\na,{CANARY},soon\n", "line 2: expires_at is"),
    "a member twice": (f'{{"a": "{CANARY}", "a": "x"}}', "'a' stands there twice"),
    "half of JSON": (f'{{\n"a": "{CANARY}",\n', "line 3: is no JSON"),
    "a list of texts": (f'["{CANARY}"]', "entry 1: is malformed"),
    "a number": ('{"a": 5}', "entry 'a': every member is text"),
    "an unknown member": (json.dumps([{"name": "a", "value": CANARY, "pass": "x"}]), "entry 1: unknown member 'pass'"),
    "both": (json.dumps({"a": {**SEALED, "value": CANARY}}), "entry 'a': is either `value`, or"),
    "no tag": (json.dumps({"a": {**SEALED, "authTag": ""}}), "entry 'a': is either `value`, or"),
    "another tag": (json.dumps({"a": {**SEALED, "authTag": "00" * 16}}), "entry 'a': does not decrypt"),
    "a short tag": (json.dumps({"a": {**SEALED, "authTag": SEALED["authTag"][:8]}}), "entry 'a': does not decrypt"),
    "a line of another kind": (f'{{"name": "a", "value": "{CANARY}"}}\nx\n', "line 2: is malformed"),
}


@pytest.mark.parametrize(("text", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_whatever_is_wrong_is_told_where_it_stands_and_without_the_value(text: str, told: str) -> None:
    with pytest.raises(Wrong) as wrong:
        read(text.encode(), KEY)
    assert told in str(wrong.value)
    assert CANARY not in str(wrong.value)


def test_everything_wrong_is_told_at_once() -> None:
    with pytest.raises(Wrong) as wrong:
        read(b"name,value\n*,x\na,\nb,fine\nb,again\n", None)
    assert [line.partition(":")[0] for line in str(wrong.value).split("\n")] == ["line 2", "line 3", "line 5"]


def test_what_is_encrypted_needs_its_key() -> None:
    text = json.dumps({"a": encrypted("x")}).encode()
    with pytest.raises(Wrong, match="name its key with --key-env or --key-file"):
        read(text, None)
    with pytest.raises(Wrong, match="does not decrypt"):
        read(text, bytes(range(1, 33)))


@pytest.mark.parametrize("raw", [b"x" * (16 * 1024 * 1024 + 1), b"name,value\na,\xff\n"], ids=["too large", "no UTF-8"])
def test_a_file_has_bounds(raw: bytes) -> None:
    with pytest.raises(Wrong, match=r"larger than 16 MiB|not UTF-8"):
        read(raw, None)


def test_ten_thousand_are_the_most() -> None:
    rows = "".join(f"n{number},x\n" for number in range(10_001))
    with pytest.raises(Wrong, match="more than 10000 secrets"):
        read(f"name,value\n{rows}".encode(), None)


members = st.sampled_from(["name", "value", "iv", "encrypted", "authTag", "expires_at", "x"])
scalars = st.one_of(st.text(max_size=8), st.just(CANARY), st.integers(), st.none(), st.booleans(), st.floats())
documents = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(members, inner, max_size=4))


@given(st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode), documents.map(lambda it: json.dumps(it).encode())))
def test_whatever_comes_is_read_or_refused_without_a_value(raw: bytes) -> None:
    with contextlib.suppress(Wrong):
        found: list[Any] = read(raw, KEY)
        assert found
        assert len({each.name for each in found}) == len(found)
