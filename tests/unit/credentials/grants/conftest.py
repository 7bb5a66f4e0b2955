"""A store of grants with a key ring, in a SQLite file."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.core.secret import Secret
from gateway.credentials.grants.kept import Kept
from gateway.credentials.vault.keys import LocalKey
from gateway.credentials.vault.ring import Ring
from gateway.store.sql.engine import Database
from gateway.store.sql.grants import GrantRows
from gateway.store.sql.model import Sqlite
from gateway.store.sql.schema import ready
from tests.fakes import CountingMetrics, SteppedClock


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def metrics() -> CountingMetrics:
    return CountingMetrics()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database(Sqlite(file=tmp_path / "store.db"))
    try:
        await ready(opened)
        yield opened
    finally:
        await opened.close()


@pytest.fixture
def ring(clock: SteppedClock) -> Ring:
    return Ring([LocalKey("k1", Secret(os.urandom(32).hex().encode()))], clock.now)


@pytest.fixture
def kept(database: Database, ring: Ring, clock: SteppedClock, metrics: CountingMetrics) -> Kept:
    return Kept(GrantRows(database), ring, clock, metrics)
