"""The grants in use: what goes out without waiting, what is read again when, and what a database that is away costs."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from gateway.core.errors import DependencyDown, Forbidden, Ungranted
from gateway.core.secret import Secret
from gateway.credentials.grants.grant import Grant, Key
from gateway.credentials.grants.held import COOLDOWN, STALE, Held, Slot, lacking, life
from gateway.credentials.grants.link import Link
from gateway.credentials.grants.refresh import Pair, Refresher
from gateway.store.bell import Bell
from gateway.store.sql.leases import Lease
from tests.fakes import CountingMetrics, SteppedClock

KEY: Key = ("tracker", "corp", "alice")
ALICE = Grant(*KEY, access=Secret(b"access-0"), refresh=Secret(b"refresh-0"), client="us", version=1)


class Drawer:
    """A table of grants in memory, that can be away; `gate` holds readings back."""

    def __init__(self) -> None:
        self.rows: dict[Key, Grant] = {}
        self.reads = 0
        self.away = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def get(self, key: Key) -> Grant | None:
        self.reads += 1
        found = self.rows.get(key)
        await self.gate.wait()
        if self.away:
            raise DependencyDown("database: away")
        return found

    async def put(self, grant: Grant) -> Grant:
        stored = self.rows[grant.key] = replace(grant, version=grant.version + 1)
        return stored


class Turns:
    """Everybody's turn. `gate` holds back who gives one up."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()

    async def take(self, name: str, seconds: float) -> Lease:
        return Lease(name, "us", 1, False)

    async def fence(self, name: str) -> int:
        return 0

    async def seize(self, name: str, seconds: float, fence: int) -> Lease | None:
        return None

    async def release(self, lease: Lease, *, done: bool) -> None:
        await self.gate.wait()


class Provider:
    """Gives a new pair each time."""

    client = "us"

    def __init__(self) -> None:
        self.asked = 0
        self.away: bool = False

    async def __call__(self, refresh: Secret) -> Pair:
        self.asked += 1
        if self.away:
            raise DependencyDown("provider: away")
        return Pair(Secret(b"access-%d" % self.asked), None, 3600)


class Place:
    """The grants of one provider, on a clock that stands still."""

    def __init__(self) -> None:
        self.clock = SteppedClock()
        self.drawer = Drawer()
        self.provider = Provider()
        metrics = CountingMetrics()
        self.turns = Turns()
        refresher = Refresher(self.provider, self.drawer, self.turns, self.clock, metrics, jitter=lambda: 0.0)
        self.bell = Bell(self.clock.monotonic)
        self.held = Held("tracker", self.drawer, refresher, self.clock, metrics, self.bell, jitter=lambda: 0.0)

    async def token(self) -> bytes:
        return (await self.held.get(KEY)).line


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    made = Place()
    made.drawer.rows[KEY] = ALICE
    yield made
    made.drawer.gate.set()
    made.turns.gate.set()
    await made.held.close()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0)


def line(token: str) -> bytes:
    return f"authorization: Bearer {token}\r\n".encode()


async def test_what_was_read_goes_out_without_waiting_for_a_second(place: Place) -> None:
    assert place.held.ready(KEY) is None
    assert await place.token() == line("access-0")
    assert place.held.ready(KEY) is not None
    place.clock.step(1.0)
    assert place.held.ready(KEY) is None
    assert place.drawer.reads == 1


async def test_where_it_is_used_it_is_read_ahead_of_the_seconds_end(place: Place) -> None:
    await place.token()
    place.clock.step(0.6)
    assert place.held.ready(KEY) is not None
    await asyncio.gather(*place.held._reads.values())
    place.clock.step(0.6)
    assert place.held.ready(KEY) is not None, "read 0.6 s ago"
    assert place.drawer.reads == 2


async def test_however_many_wait_it_is_read_once(place: Place) -> None:
    found = await asyncio.gather(*(place.held.get(KEY) for _ in range(20)))
    assert {slot.line for slot in found} == {line("access-0")}
    assert place.drawer.reads == 1


async def test_a_grant_that_is_gone_is_refused_and_one_that_comes_is_found(place: Place) -> None:
    await place.token()
    del place.drawer.rows[KEY]
    place.clock.step(1.0)
    with pytest.raises(Ungranted, match="no grant at tracker") as refusal:
        await place.token()
    assert refusal.value.members == {"provider": "tracker", "action": "connect"}
    place.drawer.rows[KEY] = replace(ALICE, access=Secret(b"anew"), version=9)
    place.clock.step(1.0)
    assert await place.token() == line("anew")


async def test_a_broken_grant_says_why_and_is_not_refreshed(place: Place) -> None:
    place.drawer.rows[KEY] = ALICE.broken("refused")
    with pytest.raises(Ungranted) as refusal:
        await place.token()
    assert refusal.value.members == {"provider": "tracker", "action": "reconnect", "problem": "refused"}
    assert place.provider.asked == 0


async def test_the_bell_makes_it_read_at_once(place: Place) -> None:
    await place.token()
    del place.drawer.rows[KEY]
    assert place.held.ready(KEY) is not None, "the clock stands still: its second is not over"
    place.bell.ring()
    assert place.held.ready(KEY) is None
    place.clock.step(0.001)
    with pytest.raises(Ungranted):
        await place.token()
    place.drawer.rows[KEY] = ALICE
    place.bell.ring()
    place.clock.step(0.001)
    assert await place.token() == line("access-0")
    assert place.held.ready(KEY) is not None, "read after the bell: no more reading"


async def test_a_reading_that_began_before_the_bell_does_not_count(place: Place) -> None:
    """It may have seen the row that was deleted a moment later."""
    await place.token()
    place.clock.step(0.6)
    place.drawer.gate.clear()
    assert place.held.ready(KEY) is not None, "and it is read ahead now"
    await asyncio.sleep(0)
    place.clock.step(0.01)
    del place.drawer.rows[KEY]
    place.bell.ring()
    place.clock.step(0.01)
    waiting = asyncio.create_task(place.held.get(KEY))
    await asyncio.sleep(0)
    place.drawer.gate.set()
    with pytest.raises(Ungranted):
        await waiting


async def test_a_database_that_is_away_keeps_nobody_from_a_good_token_for_a_stated_while(place: Place) -> None:
    await place.token()
    place.drawer.away = True
    place.clock.step(STALE - 1)
    assert await place.token() == line("access-0")
    place.clock.step(1.5)
    with pytest.raises(DependencyDown, match="away"):
        await place.token()


async def test_a_token_at_its_end_is_refreshed_before_it_goes_out(place: Place) -> None:
    place.drawer.rows[KEY] = replace(ALICE, refreshed_at=place.clock.now() - 3600, expires_at=place.clock.now() + 1)
    assert await place.token() == line("access-1")


async def test_a_token_that_grows_old_is_refreshed_while_it_serves(place: Place) -> None:
    now = place.clock.now()
    place.drawer.rows[KEY] = replace(ALICE, refreshed_at=now - 2900, expires_at=now + 700)
    assert await place.token() == line("access-0")
    slot = place.held.ready(KEY)
    assert slot is not None
    assert slot.line == line("access-0")
    await place.held.close()
    assert await place.token() == line("access-1")
    assert place.provider.asked == 1


async def test_an_upstreams_refusal_renews_once_in_a_while(place: Place) -> None:
    sent = [b"accept: */*\r\n", (await place.token())]
    found = await place.held.renewed(KEY, sent)
    assert found is not None
    assert (found[0], found[1].line) == (line("access-0"), line("access-1"))
    other = await place.held.renewed(KEY, sent)
    assert other is not None, "refused before the other's refresh: the new token is there already"
    assert other[1].line == line("access-1")
    assert await place.held.renewed(KEY, [line("access-1")]) is None
    place.clock.step(COOLDOWN)
    assert await place.held.renewed(KEY, [line("access-1")]) is not None
    assert place.provider.asked == 2


async def test_a_grant_that_is_revoked_while_its_refresh_ends_is_not_sent_by_who_waited_for_it(place: Place) -> None:
    place.drawer.rows[KEY] = replace(ALICE, created_at=place.clock.now() - 3600, expires_at=place.clock.now())
    place.turns.gate.clear()
    waiting = asyncio.create_task(place.held.get(KEY))
    await until(lambda: place.drawer.rows[KEY].version == 2)
    del place.drawer.rows[KEY]
    place.clock.step(1)
    place.turns.gate.set()
    with pytest.raises(Ungranted):
        await waiting


@pytest.mark.parametrize("rung", [False, True])
async def test_a_refresh_ahead_of_time_brings_no_grant_back_that_was_revoked_meanwhile(place: Place, rung: bool) -> None:
    now = place.clock.now()
    place.drawer.rows[KEY] = replace(ALICE, created_at=now - 95, expires_at=now + 20)
    await place.held.get(KEY)
    place.turns.gate.clear()
    assert place.held.ready(KEY) is not None
    await until(lambda: place.drawer.rows[KEY].version == 2)
    del place.drawer.rows[KEY]
    if rung:
        place.bell.ring()
    place.clock.step(0.4 if rung else 1.0)
    with pytest.raises(Ungranted):
        await place.held.get(KEY)
    place.turns.gate.set()
    await until(lambda: place.held.status()["refreshing"] == 0)
    assert place.held.ready(KEY) is None
    with pytest.raises(Ungranted):
        await place.held.get(KEY)


async def test_a_refresh_that_ends_while_a_revoked_grant_is_read_does_not_bring_it_back(place: Place) -> None:
    now = place.clock.now()
    place.drawer.rows[KEY] = replace(ALICE, created_at=now - 95, expires_at=now + 20)
    await place.held.get(KEY)
    place.turns.gate.clear()
    assert place.held.ready(KEY) is not None
    await until(lambda: place.drawer.rows[KEY].version == 2)
    place.clock.step(1)
    del place.drawer.rows[KEY]
    place.drawer.gate.clear()
    reads = place.drawer.reads
    waiting = asyncio.create_task(place.held.get(KEY))
    await until(lambda: place.drawer.reads > reads)
    place.clock.step(0.1)
    place.turns.gate.set()
    await until(lambda: place.held.status()["refreshing"] == 0)
    place.drawer.gate.set()
    with pytest.raises(Ungranted):
        await waiting


def test_a_token_is_sent_until_shortly_before_its_end_and_refreshed_after_most_of_its_life() -> None:
    grant = replace(ALICE, created_at=1000.0, expires_at=4600.0)
    assert life(grant, 1000.0, 0.0) == (4595.0, 1000.0 + 0.8 * 3600)
    assert life(grant, 1000.0, 1.0) == (4595.0, 1000.0 + 0.72 * 3600)
    assert life(replace(grant, expires_at=1020.0), 1000.0, 0.0) == (1018.0, 1010.0)
    assert life(replace(grant, refresh=None), 1000.0, 0.0) == (4595.0, float("inf"))
    assert life(replace(grant, expires_at=None), 1000.0, 0.0) == (float("inf"), float("inf"))


def test_what_a_route_needs_beyond_the_grant_is_told_with_all_that_is_to_be_asked_for() -> None:
    slot = Slot(replace(ALICE, scopes=("b", "a")), 0.0, 0.0, 0.0)
    link = Link("https://gw.test/connect", frozenset({"corp"}))
    lacking(slot, frozenset({"a"}), "tracker", link, "corp")
    with pytest.raises(Forbidden) as refusal:
        lacking(slot, frozenset({"a", "d", "c"}), "tracker", link, "corp")
    assert refusal.value.members == {
        "provider": "tracker",
        "action": "reconnect",
        "missing_scopes": ["c", "d"],
        "request_scopes": ["a", "b", "c", "d"],
        "connect_url": "https://gw.test/connect?scope=a+b+c+d",
    }
    with pytest.raises(Forbidden) as unled:
        lacking(slot, frozenset({"d"}), "tracker", link, "api_keys")
    assert "connect_url" not in (unled.value.members or {}), "nobody can connect an API key's account in a browser"


async def test_what_ends_first_and_what_failed_last_is_told_to_who_looks(place: Place) -> None:
    now = place.clock.now()
    assert list(place.held.levels()) == [("gateway.grant.last_error", 0.0, {"provider": "tracker"})]
    for subject, ends in (("alice", 900), ("bob", 600), ("carol", -60), ("dave", None)):
        key = ("tracker", "corp", subject)
        place.drawer.rows[key] = replace(ALICE, subject=subject, refresh=None, expires_at=None if ends is None else now + ends)
        if ends is None or ends > 0:
            await place.held.get(key)
    levels = {name: (value, labels) for name, value, labels in place.held.levels()}
    assert levels["gateway.grant.expiry"][0] == 600
    place.provider.away = True
    place.drawer.rows[KEY] = replace(ALICE, version=7, expires_at=now - 1)
    place.clock.step(1)
    with pytest.raises(DependencyDown):
        await place.token()
    assert {name: value for name, value, _ in place.held.levels()}["gateway.grant.last_error"] == now + 1
