"""What people have -> secrets to seal: CSV, JSON or lines of JSON, in plain or encrypted by AES-256-GCM elsewhere.

Everything wrong is told at once, by line or entry; a value is never quoted. A file is taken as a whole or not at all.
"""

import base64
import binascii
import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from gateway.config.values import NAME
from gateway.core.secret import Secret
from gateway.credentials.stored.drawer import Facts
from gateway.credentials.vault.fault import NotOpened
from gateway.credentials.vault.sizes import MAX_SECRET, TAG

LARGEST: Final = 16 * 1024 * 1024
MOST: Final = 10_000
LONGEST_FACT: Final = 2048
MOST_TOLD: Final = 100
FACTS: Final = ("provider", "scopes", "subject", "expires_at")
SEALED_ELSEWHERE: Final = ("encrypted", "iv", "authTag")
KNOWN: Final = frozenset(("name", "value", *FACTS, *SEALED_ELSEWHERE))
HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2})+")


class Wrong(ValueError):
    """What is wrong with a file: one line each."""

    def __init__(self, found: list[str]) -> None:
        more = [f"and {len(found) - MOST_TOLD} more"] if len(found) > MOST_TOLD else []
        super().__init__("\n".join([*found[:MOST_TOLD], *more]))


@dataclass(frozen=True, slots=True)
class Found:
    """One secret of a file. `place` says where it stands, as in `line 3`."""

    place: str
    name: str
    secret: Secret
    facts: Facts


def read(raw: bytes, key: bytes | None) -> list[Found]:
    """All secrets of a file; `key` opens what is encrypted in it. Raises Wrong."""
    if len(raw) > LARGEST:
        raise Wrong([f"the file is larger than {LARGEST // 1024 // 1024} MiB"])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Wrong(["the file is not UTF-8"]) from None
    found, wrong, seen = list[Found](), list[str](), dict[str, str]()
    for place, members in _records(text):
        try:
            each = _found(place, members, key)
            if (first := seen.setdefault(each.name, place)) != place:
                raise ValueError(f"'{each.name}' stands at {first} already")
            found.append(each)
        except ValueError as error:
            wrong.append(f"{place}: {error}")
        if len(seen) > MOST:
            raise Wrong([f"more than {MOST} secrets: divide the file"])
    if wrong or not found:
        raise Wrong(wrong or ["the file holds no secrets"])
    return found


def _records(text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Where each stands, and what is written there. Raises Wrong for what has no records."""
    start = text.lstrip()[:1]
    if start not in {"[", "{"}:
        yield from _csv(text)
    elif start == "[":
        for number, entry in enumerate(_json(text), 1):
            yield f"entry {number}", entry if isinstance(entry, dict) else {}
    else:
        yield from _objects(text)


def _objects(text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """One object of names, or an object on each line."""
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    whole = _json(text) if len(lines) == 1 or not lines[0][1].rstrip().endswith("}") else None
    if whole is not None and not (len(lines) == 1 and "name" in whole):
        for name, entry in whole.items():
            yield f"entry '{name[:80]}'", {**entry, "name": name} if isinstance(entry, dict) else {"name": name, "value": entry}
        return
    for number, line in lines:
        try:
            entry = _json(line)
        except Wrong:
            entry = {}
        yield f"line {number}", entry if isinstance(entry, dict) else {}


def _csv(text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = [column.strip() for column in next(reader, [])]
        if "name" not in columns or not KNOWN.issuperset(columns) or len(set(columns)) < len(columns):
            raise Wrong([f"line 1: the first line names the columns: name, value, and of {', '.join(FACTS)} those there are"])
        start = reader.line_num + 1
        for row in reader:
            if row:
                yield f"line {start}", dict(zip(columns, row, strict=True)) if len(row) == len(columns) else {}
            start = reader.line_num + 1
    except csv.Error as error:
        raise Wrong([f"line {reader.line_num}: is no CSV: {error}"]) from None


def _json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise Wrong([f"line {error.lineno}: is no JSON"]) from None
    except (ValueError, RecursionError) as error:
        raise Wrong([str(error) if isinstance(error, Twice) else "is no JSON"]) from None


class Twice(ValueError):
    """A name that an object has twice."""


def _object(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise Twice(f"'{name[:80]}' stands there twice")
        found[name] = value
    return found


def _found(place: str, members: Mapping[str, Any], key: bytes | None) -> Found:
    """Raises ValueError without the value."""
    if not members:
        raise ValueError("is malformed: as many fields as the first line names are needed, or one object of JSON")
    given = {name: value for name, value in members.items() if value not in (None, "")}
    if unknown := sorted(given.keys() - KNOWN):
        raise ValueError(f"unknown member '{unknown[0][:80]}'")
    if not all(isinstance(value, str) or name == "expires_at" for name, value in given.items()):
        raise ValueError("every member is text")
    name = given.get("name", "")
    if re.fullmatch(NAME, name) is None:
        raise ValueError("a name has letters, digits, '.', '_' and '-', begins with a letter or digit and is at most 63 long")
    plain = _plain(given, key)
    if not 0 < len(plain) <= MAX_SECRET:
        raise ValueError(f"a value has at least 1 byte and at most {MAX_SECRET // 1024} KiB")
    provider, scopes, subject = (_fact(given.get(fact, "")) for fact in FACTS[:3])
    return Found(place, name, Secret(plain), Facts(provider, subject, scopes, _time(given.get("expires_at"))))


def _plain(given: Mapping[str, str], key: bytes | None) -> bytes:
    has_sealed = [member for member in SEALED_ELSEWHERE if member in given]
    if not has_sealed:
        if "value" not in given:
            raise ValueError("has no value")
        return given["value"].encode()
    if "value" in given or len(has_sealed) < len(SEALED_ELSEWHERE):
        raise ValueError("is either `value`, or `encrypted`, `iv` and `authTag`")
    if key is None:
        raise ValueError("is encrypted: name its key with --key-env or --key-file")
    return _opened(key, given["encrypted"], given["iv"], given["authTag"])


def _opened(key: bytes, encrypted: str, iv: str, tag: str) -> bytes:
    """Raises ValueError for what was not encrypted so: hexadecimal digits or base64 are told apart by what decrypts."""
    from gateway.credentials.vault.cipher import decrypt_foreign

    for nonce in _spellings(iv):
        for end in _spellings(tag):
            for ciphertext in _spellings(encrypted):
                try:
                    if len(end) == TAG:
                        return decrypt_foreign(key, nonce, ciphertext + end)
                except NotOpened:
                    continue
    raise ValueError("does not decrypt: the key is another one, or it was altered")


def _spellings(text: str) -> list[bytes]:
    found = [bytes.fromhex(text)] if HEX.fullmatch(text) else []
    try:
        found.append(base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True))
    except (binascii.Error, ValueError):
        return found
    return found


def _fact(text: str) -> str:
    if len(text) > LONGEST_FACT or not text.isprintable():
        raise ValueError(f"provider, scopes and subject are one line each, at most {LONGEST_FACT} characters")
    return text


def _time(written: Any) -> float | None:
    """Unix seconds, or a time as in RFC 3339."""
    if written is None:
        return None
    try:
        if isinstance(written, int | float) or written.replace(".", "", 1).isdigit():
            seconds = float(written)
        else:
            moment = datetime.fromisoformat(written)
            seconds = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        seconds = -1.0
    if not 0 < seconds < 1e11 or isinstance(written, bool):
        raise ValueError("expires_at is Unix seconds, or a time like 2027-01-31T12:00:00Z")
    return seconds
