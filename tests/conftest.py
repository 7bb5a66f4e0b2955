"""Fixtures as nouns."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvloop
from hypothesis import HealthCheck, settings

from tests.postgres_server import PostgresServer
from tests.redis_server import RedisServer

ROOT = Path(__file__).parents[1]
VECTORS = Path(os.environ.get("VECTORS") or ROOT.parent / "shared" / "vectors")

# How long an example takes says something about the machine, nothing about the code.
settings.register_profile("calm", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("calm")


@pytest.fixture(scope="session")
def vectors() -> Path:
    """Test vectors others published. They lie beside the checkout; a user's clone has none."""
    if not VECTORS.is_dir():
        if os.environ.get("CI"):
            pytest.fail("the folder with published test vectors is missing")
        pytest.skip("the folder with published test vectors is not beside this checkout")
    return VECTORS


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """A real Redis of the test's own. Its folder is short, as a unix socket's path must be."""
    folder = Path(tempfile.mkdtemp(prefix="redis-"))
    server = RedisServer(folder).start()
    yield server
    server.kill()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real PostgreSQL that the tests of one process share; each asks it for a database of its own."""
    server = PostgresServer()
    try:
        yield server.start()
    finally:
        server.stop()


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The tests run on the loop that serves: uvloop's transports and timers are not the standard library's."""
    return {"uvloop": uvloop.new_event_loop}
