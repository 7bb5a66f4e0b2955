"""A secret that lies in a key-value engine, over sockets: rotated, away, gone, and across reloads."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clouds import Asked, Reply, Service, serving
from tests.house import House, house
from tests.standalone import until


class Engine:
    """One secret, version by version."""

    def __init__(self) -> None:
        self.value: str | None = "canary-one"
        self.version = 1

    def __call__(self, asked: Asked) -> Reply:
        if asked.header("x-vault-token") != "engine-token":
            return 403, {"errors": ["permission denied"]}
        if self.value is None:
            return 404, {"errors": []}
        return 200, {"data": {"data": {"token": self.value}, "metadata": {"version": self.version}}}


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def service(engine: Engine) -> Iterator[Service]:
    with serving(engine) as service:
        yield service


def document(service: Service, **over: Any) -> dict[str, Any]:
    where = {"kind": "vault", "url": service.url, "token": {"env": "ENGINE"}, "allow_private": True, "allow_plaintext": True}
    return {
        "secret_sources": {"kv": {**where, "refresh": "1s", "stale_for": "1h", **over}},
        "credentials": {"bot": {"inject": "bearer", "secret": {"vault": "teams/bot", "field": "token"}}},
        "environ": {"ENGINE": "engine-token"},
    }


async def sent(gateway: House) -> str:
    """The credential of a request that is made now, or its status."""
    reply = await gateway.get("/things/1", token=gateway.keys.token())
    return str(gateway.upstream.seen[-1].all("authorization")) if reply.status == 200 else str(reply.status)


async def test_a_rotated_secret_is_used_a_deleted_one_refused_and_each_access_told(
    tmp_path: Path, engine: Engine, service: Service
) -> None:
    async with house(tmp_path, **document(service)) as gateway:
        assert await sent(gateway) == "['Bearer canary-one']"
        engine.value, engine.version = "canary-two", 2

        async def rotated() -> bool:
            return await sent(gateway) == "['Bearer canary-two']"

        await until(rotated, "the new value was not used")
        engine.value = None

        async def refused() -> bool:
            return await sent(gateway) == "503"

        await until(refused, "the deleted secret was used on")
        events = [event for event in await gateway.events() if event["event"] == "secret.accessed"]
        assert {event["outcome"] for event in events} >= {"replaced", "gone"}
        assert len({event["fingerprint"] for event in events if event["outcome"] == "replaced"}) == 2
        assert "canary" not in str(await gateway.events())


async def test_a_service_that_goes_away_costs_nothing_also_across_a_reload(
    tmp_path: Path, engine: Engine, service: Service
) -> None:
    async with house(tmp_path, **document(service)) as gateway:
        service.down = True
        asked = len(service.asked)

        async def failed() -> bool:
            return len(service.asked) > asked

        await until(failed, "the service was not asked again")
        assert await sent(gateway) == "['Bearer canary-one']"
        assert await gateway.process.reload()
        assert await sent(gateway) == "['Bearer canary-one']"


async def test_a_start_while_the_service_is_away_serves_and_has_the_secret_once_it_answers(
    tmp_path: Path, engine: Engine, service: Service
) -> None:
    service.down = True
    async with house(tmp_path, **document(service)) as gateway:
        assert await sent(gateway) == "503"
        service.down = False

        async def there() -> bool:
            return await sent(gateway) == "['Bearer canary-one']"

        await until(there, "the secret was not asked for again")
