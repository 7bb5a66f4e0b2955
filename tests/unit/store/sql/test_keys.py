"""The table of API keys in both databases: what changed is found, of two writers one learns, and uses are noted sparsely."""

import pytest

from gateway.store.sql.engine import Database
from gateway.store.sql.keys import KeyRow, KeyRows
from gateway.store.sql.rows import Conflict

A, B = "A" * 12, "B" * 12


def row(id: str, version: int = 1, at: float = 100.0) -> KeyRow:
    return KeyRow(id, "{}", "code", version, at)


async def test_the_mark_is_another_after_every_change(database: Database) -> None:
    rows = KeyRows(database)
    marks = [await rows.mark()]
    await rows.put_all([(row(A), 0)])
    marks.append(await rows.mark())
    await rows.put_all([(row(B), 0)])
    marks.append(await rows.mark())
    await rows.put_all([(row(A, 2), 1)])
    marks.append(await rows.mark())
    assert len(set(marks)) == len(marks)
    await rows.touch([A, B], 1000.0, 60.0)
    assert await rows.mark() == marks[-1]
    assert await rows.versions() == {A: 2, B: 1}


async def test_of_two_writers_one_learns_that_it_was_second(database: Database) -> None:
    rows = KeyRows(database)
    await rows.put_all([(row(A), 0)])
    with pytest.raises(Conflict):
        await rows.put_all([(row(B), 0), (row(A), 0)])
    await rows.put_all([(row(A, 2), 1)])
    with pytest.raises(Conflict):
        await rows.put_all([(row(B), 0), (row(A, 2), 1)])
    assert await rows.versions() == {A: 2}


async def test_a_use_is_noted_once_in_its_time_whatever_replica_saw_it(database: Database) -> None:
    rows = KeyRows(database)
    await rows.put_all([(row(A), 0), (row(B), 0)])
    await rows.touch([A], 1000.0, 60.0)
    await rows.touch([A, B], 1030.0, 60.0)
    assert {each.id: each.used_at for each in await rows.of([A, B, "C" * 12])} == {A: 1000.0, B: 1030.0}
    await rows.touch([A, B], 1075.0, 60.0)
    assert {each.id: each.used_at for each in await rows.of([A, B])} == {A: 1075.0, B: 1030.0}
