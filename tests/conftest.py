"""Fixtures as nouns."""

import asyncio
import faulthandler
import gc
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvloop
from _pytest.faulthandler import fault_handler_stderr_fd_key as errors
from hypothesis import HealthCheck, settings

from tests.postgres_server import PostgresServer
from tests.redis_server import RedisServer

ROOT = Path(__file__).parents[1]
VECTORS = Path(os.environ.get("VECTORS") or ROOT.parent / "shared" / "vectors")

LONGEST = (
    "wire/workers/test_workers.py",
    "external/test_crash.py",
    "security/test_canary.py",
    "security/test_websockets.py",
    "wire/server/test_last_answer.py",
    "wire/test_shaped_answers.py",
    "external/test_refresh.py",
    "docs/test_sealed_secrets.py",
    "wire/test_rotation.py",
    "wire/test_endings.py",
    "wire/test_reload.py",
    "external/test_clients.py",
    "wire/test_websocket_ends.py",
    "external/test_openapi.py",
    "deploy/test_compose_runs.py",
    "wire/server/test_lifecycle.py",
    "unit/config/test_document.py",
    "unit/server/test_protocol.py",
    "cli/test_commands.py",
    "wire/test_body_rules.py",
    "wire/server/test_http2.py",
    "unit/settings/test_rules.py",
    "wire/test_admin.py",
)
"""The files that take longest, the longest first. Begun last, one alone would keep everybody waiting."""

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first (`--no-loadscope-reorder` keeps it so), each in its own order. No test may depend on it."""
    turns = {ROOT / "tests" / name: turn for turn, name in enumerate(LONGEST)}
    items.sort(key=lambda item: turns.get(item.path, len(turns)))


def pytest_collection_finish() -> None:
    """Ten thousand collected tests are a million objects, which every garbage collection would look at again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_exception_interact(node: pytest.Item | pytest.Collector) -> None:
    """Watch over the end of a test that failed, too: at a failure pytest stops its watches, lest they disturb a debugger.

    A loop whose servers were left open may never close, and in C, where no signal ends it.
    """
    patience = float(node.config.getini("faulthandler_timeout"))
    if isinstance(node, pytest.Item) and patience and not node.config.getoption("usepdb"):
        faulthandler.dump_traceback_later(patience, file=node.config.stash[errors], exit=True)
