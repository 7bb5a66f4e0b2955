"""What is used of stored secrets while their database is away, for how long, and what becomes of rows that changed meanwhile."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest

from gateway.core.errors import DependencyDown
from gateway.core.secret import Secret
from gateway.credentials.stored.drawer import at
from gateway.credentials.stored.following import Following
from gateway.credentials.stored.source import UNREAD, StoredSource
from gateway.credentials.vault.sealed import SealedSource
from gateway.store.sql.secrets import SecretRow, SecretRows
from tests.fakes import CountingMetrics, SteppedClock
from tests.storing import ring

KEY = ring()


@dataclass(frozen=True)
class Limits:
    stale_for: float = 60.0


class Table(SecretRows):
    """Rows in memory that can be away. It counts what it is asked."""

    def __init__(self) -> None:
        self.rows: dict[str, SecretRow] = {}
        self.is_away = False
        self.bug: Exception | None = None
        self.asked: list[str] = []

    def hold(self, name: str, value: str, version: int) -> None:
        self.rows[name] = SecretRow(name, KEY.seal(at(name, version), Secret(value.encode())), "k1", version)

    async def versions(self, names: Sequence[str]) -> Mapping[str, int]:
        self.asked.append("versions")
        if self.bug is not None:
            raise self.bug
        if self.is_away:
            raise DependencyDown("database: OperationalError")
        return {name: self.rows[name].version for name in names if name in self.rows}

    async def of(self, names: Sequence[str]) -> Sequence[SecretRow]:
        self.asked.append("of")
        return [self.rows[name] for name in names if name in self.rows]


class Scene:
    """One secret, followed."""

    def __init__(self) -> None:
        self.table, self.clock, self.metrics = Table(), SteppedClock(), CountingMetrics()
        self.source = StoredSource("bot", "home")
        self.told: list[str] = []
        self.following = Following(self.clock, self.metrics, self.tell)

    def tell(self, name: str, /, **fields: object) -> None:
        self.told.append(name)

    async def look(self) -> str:
        await self.following.look(self.table, KEY, {"bot": self.source}, Limits())
        try:
            return self.source.current().reveal().decode()
        except DependencyDown as error:
            return error.detail


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_what_did_not_change_is_one_question(scene: Scene) -> None:
    scene.table.hold("bot", "one", 7)
    assert [await scene.look() for _ in range(3)] == ["one"] * 3
    assert scene.table.asked == ["versions", "of", "versions", "versions"]


async def test_the_last_value_is_used_for_as_long_as_stated_and_no_longer(scene: Scene) -> None:
    scene.table.hold("bot", "one", 7)
    await scene.look()
    scene.table.is_away = True
    scene.clock.step(59)
    assert await scene.look() == "one"
    scene.clock.step(1)
    assert await scene.look() == "sealed:bot: the database has been away for too long"
    assert [scene.metrics.counted("gateway.vault.unconfirmed", outcome=outcome) for outcome in ("used", "refused")] == [1, 1]
    scene.table.is_away = False
    assert await scene.look() == "one"


async def test_a_bug_in_the_looking_keeps_no_value_in_force_for_ever(scene: Scene) -> None:
    scene.table.hold("bot", "one", 7)
    await scene.look()
    scene.table.bug = TypeError()
    for seconds in (59, 1):
        scene.clock.step(seconds)
        with pytest.raises(TypeError):
            await scene.look()
        assert scene.source.usable == (seconds == 59)


async def test_one_that_was_never_read_is_refused_until_it_is(scene: Scene) -> None:
    scene.table.is_away = True
    assert await scene.look() == "sealed:bot: not read yet"
    scene.table.is_away = False
    scene.table.hold("bot", "one", 7)
    assert await scene.look() == "one"


async def test_a_row_that_does_not_open_is_refused_and_told_once(scene: Scene) -> None:
    scene.table.hold("bot", "one", 7)
    await scene.look()
    scene.table.rows["bot"] = SecretRow("bot", scene.table.rows["bot"].sealed, "k1", 8)
    assert [await scene.look() for _ in range(2)] == ["sealed:bot: does not open (altered)"] * 2
    assert scene.told == ["secret.replaced", "secret.refused"]
    scene.table.hold("bot", "two", 9)
    assert await scene.look() == "two"


async def test_a_row_deleted_and_made_anew_is_another(scene: Scene) -> None:
    scene.table.hold("bot", "one", 7)
    await scene.look()
    del scene.table.rows["bot"]
    assert await scene.look() == "sealed:bot: revoked"
    scene.table.hold("bot", "two", 3)
    assert await scene.look() == "two"
    assert scene.told == ["secret.replaced", "secret.revoked", "secret.replaced"]


def test_a_source_says_how_often_its_secret_was_taken_back_or_may_have_been() -> None:
    """Not that another followed it, nor that the database was away."""
    source, seen = StoredSource("bot", "home"), []
    for version in (7, 8, UNREAD, 8, UNREAD, 9, 11):
        if version == UNREAD:
            source.refuse("the database has been away for too long", UNREAD)
        else:
            source.take(Secret(b"one"), version, 1.0)
        seen.append(source.taken_back)
    assert seen == [0, 0, 0, 0, 0, 0, 1]
    source.refuse("the database has been away for too long", UNREAD)
    for _ in range(2):
        source.refuse("revoked", 12)
        assert source.taken_back == 2
    source.take(Secret(b"two"), 13, 1.0)
    assert source.taken_back == 2
    newer = StoredSource("bot", "home")
    newer.refuse("revoked", 14)
    assert source.take_over(newer)
    assert source.taken_back == 3


def test_over_a_reload_the_followed_source_stays_and_takes_what_was_read() -> None:
    source, newer = StoredSource("bot", "home"), StoredSource("bot", "home")
    source.take(Secret(b"one"), 7, 1.0)
    assert source.take_over(newer)
    assert source.current() == Secret(b"one"), "the database was away: the last value stays"
    newer.take(Secret(b"two"), 8, 2.0)
    assert source.take_over(newer)
    assert (source.current(), source.version, source.confirmed) == (Secret(b"two"), 8, 2.0)
    newer.refuse("revoked", 9)
    assert source.take_over(newer)
    assert source.revoked


def test_a_source_of_another_home_does_not_go_on() -> None:
    source = StoredSource("bot", "home")
    assert source.version == UNREAD
    assert not source.take_over(StoredSource("bot", "another"))
    assert not source.take_over(SealedSource("bot", Secret(b"one")))
