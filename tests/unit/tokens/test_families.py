"""Refresh tokens: rotated at each use, one branch for ever, a copy ends the family."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway.core.errors import DependencyDown
from gateway.core.session_store import SessionStore
from gateway.store.sessions import MemorySessions
from gateway.tokens.families import Families
from gateway.tokens.granted import OFFLINE, Granted
from gateway.tokens.refusals import Refused
from gateway.tokens.seals import Seals
from tests.fakes import SteppedClock

ACCESS = 100


class House:
    """Families of one replica. `now` is what `current` makes of a consent."""

    def __init__(self, store: SessionStore, seals: Seals, clock: SteppedClock) -> None:
        self.revoked: list[str] = []
        self.now: Callable[[Granted], Granted | None] = lambda granted: granted
        self.full = False
        self.seconds: list[float] = []
        self.families = Families(
            store, seals, clock, lifetime=1000, grace=10, access=ACCESS, current=self._current, revoke=self._revoke
        )

    async def _current(self, granted: Granted) -> Granted | None:
        return self.now(granted)

    async def _revoke(self, family: str, seconds: float, _: str | None) -> None:
        if self.full:
            raise DependencyDown("no room")
        self.revoked.append(family)
        self.seconds.append(seconds)

    async def refused(self, token: str, client: str = "app", jkt: str | None = None) -> Refused:
        with pytest.raises(Refused) as found:
            await self.families.refresh(token, client, jkt)
        assert found.value.error == "invalid_grant"
        return found.value


@pytest.fixture
def house(clock: SteppedClock, seals: Seals) -> House:
    return House(MemorySessions(clock, 100), seals, clock)


async def test_a_refresh_token_is_used_once_and_its_copy_ends_the_family_at_any_replica(
    stores: tuple[SessionStore, SessionStore], seals: Seals, clock: SteppedClock, granted: Granted
) -> None:
    one, other = (House(store, seals, clock) for store in stores)
    first = await one.families.open(granted)
    found, second = await other.families.refresh(first, "app", None)
    assert found == granted
    _, third = await one.families.refresh(second, "app", None)
    assert len({first, second, third}) == 3
    refusal = await other.refused(first)
    assert (refusal.reused, refusal.guess) == (granted, False)
    assert other.revoked == [granted.family]
    assert (await one.refused(third)).reused is None
    assert not (await one.refused(third)).guess


async def test_a_lost_answer_is_repeated_and_is_no_second_branch(
    stores: tuple[SessionStore, SessionStore], seals: Seals, clock: SteppedClock, granted: Granted
) -> None:
    one, other = (House(store, seals, clock) for store in stores)
    first = await one.families.open(granted)
    _, second = await one.families.refresh(first, "app", None)
    clock.step(9)
    assert await other.families.refresh(first, "app", None) == (granted, second)
    _, third = await other.families.refresh(second, "app", None)
    assert (await one.refused(first)).reused == granted, "its successor was used"
    assert (await other.refused(third)).reused is None


async def test_a_replica_whose_clock_is_a_little_behind_takes_no_honest_request_for_a_copy(
    stores: tuple[SessionStore, SessionStore], seals: Seals, clock: SteppedClock, granted: Granted
) -> None:
    one, other = (House(store, seals, clock) for store in stores)
    first = await one.families.open(granted)
    found = await one.families.refresh(first, "app", None)
    clock.step(-1)
    assert await other.families.refresh(first, "app", None) == found


async def test_after_the_grace_a_used_token_is_a_copy(house: House, clock: SteppedClock, granted: Granted) -> None:
    first = await house.families.open(granted)
    await house.families.refresh(first, "app", None)
    clock.step(10)
    assert (await house.refused(first)).reused == granted
    assert house.revoked == [granted.family]


async def test_many_at_once_with_one_token_get_one_successor(
    stores: tuple[SessionStore, SessionStore], seals: Seals, clock: SteppedClock, granted: Granted
) -> None:
    both = [House(store, seals, clock) for store in stores]
    first = await both[0].families.open(granted)
    answers = await asyncio.gather(*(each.families.refresh(first, "app", None) for each in both * 5))
    assert len({token for _, token in answers}) == 1
    assert both[0].revoked + both[1].revoked == []


async def test_a_stolen_refresh_token_is_of_no_use_to_another_client_or_key(house: House, granted: Granted) -> None:
    bound = replace(granted, jkt="j" * 43)
    token = await house.families.open(bound)
    assert (await house.refused(token, "evil", "j" * 43)).guess
    assert (await house.refused(token, "app", None)).guess
    assert (await house.refused(token, "app", "k" * 43)).guess
    assert house.revoked == []
    assert (await house.families.refresh(token, "app", "j" * 43))[0] == bound


@pytest.mark.parametrize("how", ["empty", "short", "altered", "family", "unmarked", "beyond", "other letters"])
async def test_an_invented_refresh_token_is_a_guess(clock: SteppedClock, seals: Seals, granted: Granted, how: str) -> None:
    store = MemorySessions(clock, 10)
    house = House(store, seals, clock)
    token = await house.families.open(granted)
    flipped = "A" if token[40] != "A" else "B"
    wrong = {
        "empty": "",
        "short": token[:-1],
        "altered": token[:40] + flipped + token[41:],
        "family": "lgr_" + "A" * 22 + token[26:],
        "unmarked": token[:70] + "A" * 20,
        "beyond": token + "A",
        "other letters": token[:-2] + "\u00e9\u00e9",
    }[how]
    store._entries.clear()
    assert (await house.refused(wrong)).guess, "a genuine one of a family that is over is none"
    assert not (await house.refused(token)).guess


async def test_a_family_ends_when_its_time_is_over_however_often_it_was_refreshed(
    house: House, clock: SteppedClock, granted: Granted
) -> None:
    token = await house.families.open(granted)
    for _ in range(9):
        clock.step(110)
        _, token = await house.families.refresh(token, "app", None)
    clock.step(10)
    await house.refused(token)


async def test_a_refresh_gives_what_the_person_is_now_and_nothing_once_the_login_is_over(house: House, granted: Granted) -> None:
    token = await house.families.open(granted)
    house.now = lambda found: replace(found, groups=())
    found, token = await house.families.refresh(token, "app", None)
    assert found.groups == ()
    house.now = lambda _: None
    assert (await house.refused(token)).reused is None
    assert house.revoked == [granted.family]
    house.now = lambda found: found
    await house.refused(token)


@pytest.mark.parametrize("gone", [False, True])
async def test_families_end_with_their_session_but_for_those_that_outlive_it(house: House, granted: Granted, gone: bool) -> None:
    offline = replace(granted, scopes=(*granted.scopes, OFFLINE), family="0f" * 16)
    elsewhere = replace(granted, session="other", family="ee" * 16)
    tokens = [await house.families.open(each) for each in (granted, offline, elsewhere)]
    await house.families.end_session(granted.session, gone)
    assert house.revoked == [granted.family, *([offline.family] if gone else [])]
    await house.refused(tokens[0])
    assert (await house.families.look(tokens[1]) is None) is gone
    assert await house.families.look(tokens[2]) is not None


@pytest.mark.parametrize("parts", [("who", "corp", "alice"), ("sub", "corp", "a-1")])
async def test_what_outlived_its_session_is_found_by_whom_it_is_of(
    stores: tuple[SessionStore, SessionStore], seals: Seals, clock: SteppedClock, granted: Granted, parts: tuple[str, ...]
) -> None:
    one, other = (House(store, seals, clock) for store in stores)
    mine = [replace(granted, claims={"sub": "a-1"}, session=f"{n}", family=f"{n}a" * 16) for n in range(3)]
    [token, *_] = [await one.families.open(each) for each in mine]
    kept = await one.families.open(replace(granted, subject="bob", claims={"sub": "b-1"}, family="bb" * 16))
    assert await other.families.end_all(*parts) == 3
    assert other.revoked == [each.family for each in mine]
    await one.refused(token)
    assert await one.families.look(kept) is not None
    assert await other.families.end_all(*parts) == 0


async def test_a_copy_ends_the_family_though_there_is_no_room_to_remember_it(
    house: House, clock: SteppedClock, granted: Granted
) -> None:
    first = await house.families.open(granted)
    _, second = await house.families.refresh(first, "app", None)
    clock.step(10)
    house.full = True
    with pytest.raises(DependencyDown):
        await house.families.refresh(first, "app", None)
    assert await house.families.look(second) is None


async def test_logging_somebody_out_everywhere_ends_every_family_though_there_is_no_room_to_remember_them(
    house: House, granted: Granted
) -> None:
    mine = [replace(granted, claims={"sub": "a-1"}, session=f"{n}", family=f"{n}a" * 16) for n in range(3)]
    tokens = [await house.families.open(each) for each in mine]
    house.full = True
    with pytest.raises(DependencyDown):
        await house.families.end_all("who", "corp", "alice")
    assert [await house.families.look(token) for token in tokens] == [None, None, None]


async def test_a_logout_ends_every_family_of_the_session_though_there_is_no_room_to_remember_them(
    house: House, granted: Granted
) -> None:
    tokens = [await house.families.open(replace(granted, family=f"{n}b" * 16)) for n in range(3)]
    house.full = True
    with pytest.raises(DependencyDown):
        await house.families.end_session(granted.session, gone=False)
    assert [await house.families.look(token) for token in tokens] == [None, None, None]


async def test_tokens_of_a_longer_lifetime_are_revoked_for_as_long_as_they_count(
    clock: SteppedClock, seals: Seals, granted: Granted
) -> None:
    store = MemorySessions(clock, 10)
    token = await House(store, seals, clock).families.open(granted)
    lowered = House(store, seals, clock)
    lowered.families._access = 5
    clock.step(30)
    await lowered.families.refresh(token, "app", None)
    await lowered.families.end(granted)
    assert lowered.seconds == [70]


async def test_tokens_of_the_last_refresh_end_with_the_session_though_the_family_is_over(
    house: House, clock: SteppedClock, granted: Granted
) -> None:
    token = await house.families.open(granted)
    clock.step(999)
    await house.families.refresh(token, "app", None)
    clock.step(50)
    await house.families.end_session(granted.session, gone=False)
    assert house.revoked == [granted.family]


async def test_a_look_uses_nothing_up(house: House, granted: Granted) -> None:
    first = await house.families.open(granted)
    assert (await house.families.look(first) or pytest.fail("not found")).granted == granted
    _, second = await house.families.refresh(first, "app", None)
    assert await house.families.look(first) is None
    assert await house.families.issued(first) == granted
    assert await house.families.look(second) is not None
    assert await house.families.look("lgr_" + "A" * 86) is None


async def test_whoever_opens_the_store_has_no_token(clock: SteppedClock, seals: Seals, granted: Granted) -> None:
    store = MemorySessions(clock, 10)
    house = House(store, seals, clock)
    first = await house.families.open(granted)
    _, second = await house.families.refresh(first, "app", None)
    [(id, entry)] = store._entries.items()
    opened = (seals.open(entry.sealed, id) or b"").decode()
    assert "alice" in opened
    for token in (first, second):
        assert token not in opened
        assert token[4:] not in opened
    assert "alice" not in entry.sealed + id + "".join(entry.tags)
