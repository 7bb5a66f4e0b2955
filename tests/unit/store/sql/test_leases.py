"""Leases: one holder at a time, an end without anybody's help, a number that grows. On both databases."""

import asyncio

from sqlalchemy import text

from gateway.store.sql.engine import Database
from gateway.store.sql.leases import Leases


async def test_of_many_takers_one_gets_the_lease(database: Database) -> None:
    leases = Leases(database)
    taken = await asyncio.gather(*(leases.take("grant:1", 30) for _ in range(10)))
    assert len([lease for lease in taken if lease is not None]) == 1


async def test_a_released_lease_is_taken_again_with_a_higher_number(database: Database) -> None:
    leases = Leases(database)
    first = await leases.take("grant:1", 30)
    assert first is not None
    await leases.release(first)
    second = await leases.take("grant:1", 30)
    assert second is not None
    assert (first.fence, second.fence) == (1, 2)
    assert not second.orphaned


async def test_a_lease_whose_holder_died_ends_by_itself_and_tells_the_next(database: Database) -> None:
    leases = Leases(database)
    first = await leases.take("grant:1", 30)
    assert first is not None
    await database.write(text("UPDATE leases SET until = until - 31"))
    second = await leases.take("grant:1", 30)
    assert second is not None
    assert second.orphaned
    assert second.fence == first.fence + 1


async def test_who_comes_back_too_late_releases_nothing(database: Database) -> None:
    leases = Leases(database)
    first = await leases.take("grant:1", 30)
    assert first is not None
    await database.write(text("UPDATE leases SET until = until - 31"))
    assert await leases.take("grant:1", 30) is not None
    await leases.release(first)
    assert await leases.take("grant:1", 30) is None


async def test_leases_of_two_things_do_not_meet(database: Database) -> None:
    leases = Leases(database)
    assert await leases.take("grant:1", 30) is not None
    assert await leases.take("grant:2", 30) is not None


async def test_a_lease_that_does_not_end_is_seized_from_whom_was_watched_and_from_nobody_else(database: Database) -> None:
    leases = Leases(database)
    assert await leases.fence("grant:1") == 0
    assert await leases.seize("grant:1", 30, 0) is None, "nobody has it"
    first = await leases.take("grant:1", 30)
    assert first is not None
    assert await leases.fence("grant:1") == first.fence
    await database.write(text("UPDATE leases SET until = until + 1e9"))
    assert await leases.take("grant:1", 30) is None
    seized = await asyncio.gather(*(leases.seize("grant:1", 30, first.fence) for _ in range(5)))
    (second,) = [each for each in seized if each is not None]
    assert (second.fence, second.orphaned) == (first.fence + 1, True)
    await leases.release(first)
    assert await leases.take("grant:1", 30) is None, "who had it before releases nothing"
    await leases.release(second)
    assert await leases.seize("grant:1", 30, second.fence) is None, "it was given back"
