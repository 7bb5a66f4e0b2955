"""A store that is in memory or a real Redis, and what is kept in it."""

from collections.abc import AsyncIterator

import pytest

from gateway.authn.strength import StrongSecret
from gateway.core.secret import Secret
from gateway.core.session_store import SessionStore
from gateway.store.redis_sessions import RedisSessions
from gateway.store.server import Server
from gateway.store.sessions import MemorySessions
from gateway.tokens.granted import Granted
from gateway.tokens.seals import Seals
from tests.fakes import SteppedClock
from tests.redis_server import RedisServer


class Held:
    """A secret that is there."""

    name = "env:KEY"

    def current(self) -> Secret:
        return Secret(b"k3Jw9vQzP0sLx7TnB2mYc5RdF8hGaE1u")


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def seals() -> Seals:
    return Seals([StrongSecret(Held())], "test")


@pytest.fixture(params=["memory", "redis"])
async def stores(request: pytest.FixtureRequest, clock: SteppedClock) -> AsyncIterator[tuple[SessionStore, SessionStore]]:
    """What two replicas have: the same store in memory, or two connections to one Redis."""
    if request.param == "memory":
        made = MemorySessions(clock, 100)
        yield made, made
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    one, other = (RedisSessions(Server(server.url), "token", timeout=60) for _ in range(2))
    yield one, other
    await one.close()
    await other.close()


@pytest.fixture
def granted() -> Granted:
    return Granted(
        client="app",
        issuer="corp",
        subject="alice",
        groups=("staff",),
        claims={"sub": "alice", "acr": "gold"},
        scopes=("notes:read", "notes:write"),
        audiences=("https://gw.test/notes",),
        session="5e55" * 16,
        family="fa" * 16,
        jkt=None,
        at=1_780_000_000.0,
        until=1_780_086_400.0,
    )
