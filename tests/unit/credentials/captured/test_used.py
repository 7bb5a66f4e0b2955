"""Opened placeholders: which are kept, and whose."""

import pytest

from gateway.credentials.captured import used
from gateway.credentials.captured.used import Opened
from tests.issuer import FrozenClock


def kept(opened: Opened[str], principal: str, *values: bytes) -> list[bytes]:
    return [value for value in values if opened.find(principal, value) is not None]


def test_one_principal_with_many_placeholders_pushes_out_only_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(used, "EACH", 3)
    opened: Opened[str] = Opened(FrozenClock(), None)
    opened.keep("alice", b"a", "alice's")
    values = [b"%d" % number for number in range(2000)]
    for value in values:
        opened.keep("mallory", value, "mallory's")
    assert opened.find("alice", b"a") == "alice's"
    assert kept(opened, "mallory", *values) == values[-3:]
    assert len(opened) == 4


def test_what_was_used_last_is_kept_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(used, "EACH", 2)
    opened: Opened[str] = Opened(FrozenClock(), None)
    for value in (b"1", b"2"):
        opened.keep("alice", value, "")
    assert opened.find("alice", b"1") is not None
    opened.keep("alice", b"3", "")
    assert kept(opened, "alice", b"1", b"2", b"3") == [b"1", b"3"]


def test_of_many_principals_the_one_that_asked_longest_ago_loses_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(used, "REMEMBERED", 3)
    opened: Opened[str] = Opened(FrozenClock(), None)
    for who in ("alice", "bob", "carol"):
        opened.keep(who, b"1", "")
    assert opened.find("alice", b"1") is not None
    opened.keep("dave", b"1", "")
    opened.keep("dave", b"1", "opened twice at once")
    assert [who for who in ("alice", "bob", "carol", "dave") if kept(opened, who, b"1")] == ["alice", "carol", "dave"]
    assert len(opened) == 3


def test_what_is_kept_of_one_principal_is_none_of_another() -> None:
    opened: Opened[str] = Opened(FrozenClock(), None)
    opened.keep("alice", b"1", "")
    assert opened.find("bob", b"1") is None
