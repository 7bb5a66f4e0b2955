"""Secrets whose home is the database: found at the start, followed while the gateway runs, refused when they are not what they were."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import text

from gateway.core.errors import ConfigError
from gateway.core.secret import Secret
from gateway.credentials.grants.kept import Kept
from gateway.credentials.stored.resealing import Resealing
from gateway.credentials.vault.place import entry
from gateway.custody import Custody
from gateway.process import Process
from gateway.resources import Nobody, SystemClock
from gateway.settings import load
from gateway.source import Source
from gateway.store.sql.grants import GrantRows
from tests.granting import ENVIRON as GRANTING
from tests.granting import Provider, a_grant, granting, issuing
from tests.house import House, config, house, written
from tests.minting import Mint
from tests.standalone import until
from tests.storing import BOTH_KEYS, ENVIRON, KEYS, Beside, ring, storing

FIRST, SECOND = "canary-stored-first", "canary-stored-second"


@dataclass
class Place:
    """A gateway and the database beside it."""

    house: House
    beside: Beside

    async def sent(self) -> str:
        """What the upstream was shown, else the status."""
        self.house.upstream.seen.clear()
        reply = await self.house.get("/things/1", token=self.house.keys.token())
        return self.house.upstream.seen[0].all("authorization")[0] if reply.status == 200 else str(reply.status)

    async def comes(self, expected: str) -> None:
        async def has_come() -> bool:
            return await self.sent() == expected

        await until(has_come, expected)

    async def told(self, *events: str) -> list[tuple[str, str]]:
        return [(each["event"], each["entry"]) for each in await self.house.events() if each["event"] in events]

    async def sql(self, statement: str) -> None:
        assert await self.beside.database.write(text(statement)) == 1


@asynccontextmanager
async def place(folder: Path, *stored: str, **over: Any) -> AsyncIterator[Place]:
    file = folder / "store.db"
    async with Beside(file) as beside:
        await beside.put("bot", FIRST)
        for name in stored:
            await beside.put(name, SECOND)
        async with house(folder, environ=ENVIRON, **storing({"file": str(file)}), **over) as started:
            yield Place(started, beside)


async def test_a_changed_row_takes_effect_in_the_running_gateway_and_a_revoked_one_refuses(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        assert await here.sent() == f"Bearer {FIRST}"
        await here.beside.put("bot", SECOND)
        await here.comes(f"Bearer {SECOND}")
        await here.beside.revoke("bot")
        await here.comes("503")
        assert here.house.upstream.seen == []
        await here.beside.put("bot", FIRST)
        await here.comes(f"Bearer {FIRST}")
        await here.sql("DELETE FROM secrets")
        await here.comes("503")
        told = await here.told("secret.replaced", "secret.revoked")
        assert told == [(f"secret.{what}", "bot") for what in ("replaced", "revoked", "replaced", "revoked")]


async def test_a_row_swapped_with_another_is_refused_and_alarmed(tmp_path: Path) -> None:
    async with place(tmp_path, "other") as here:
        await here.sql(
            "UPDATE secrets SET (sealed, version) = (SELECT sealed, version FROM secrets WHERE name = 'other') WHERE name = 'bot'"
        )
        await here.comes("503")
        assert await here.told("secret.refused") == [("secret.refused", "bot")]
        assert 'gateway_vault_refused_total{fault="altered"} 1' in here.house.process.telemetry.metrics.render().decode()
        assert not await here.house.process.reload()


async def test_what_is_followed_stays_followed_over_reloads(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        assert await here.house.process.reload()
        await here.beside.put("bot", SECOND)
        await here.comes(f"Bearer {SECOND}")
        await here.beside.put("bot", FIRST)
        assert await here.house.process.reload()
        assert await here.sent() == f"Bearer {FIRST}", "a reload reads what is there"


async def test_a_secret_that_moves_from_the_files_to_the_database_is_followed_there(tmp_path: Path) -> None:
    async with place(tmp_path, sealed={"bot": ring().seal(entry("bot"), Secret(FIRST.encode()))}) as here:
        assert await here.sent() == f"Bearer {FIRST}"
        await here.beside.put("bot", FIRST)
        here.house.write(config(here.house.upstream.port, **storing({"file": str(tmp_path / "store.db")})))
        assert await here.house.process.reload()
        await here.beside.revoke("bot")
        await here.comes("503")


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({}, "the variable VAULT_KEY is not set"),
        ({"VAULT_KEY": KEYS["k2"]}, "'bot' in the database does not open"),
    ],
    ids=["missing", "wrong"],
)
async def test_without_the_right_key_nothing_starts(tmp_path: Path, environ: dict[str, str], told: str) -> None:
    async with Beside(tmp_path / "store.db") as beside:
        await beside.put("bot", FIRST)
        (tmp_path / "config.yaml").write_text(written({"version": 1, **storing({"file": "store.db"})}))
        with pytest.raises(ConfigError) as refused:
            await Process(Source((tmp_path / "config.yaml",), (), environ)).start()
        assert any(told in str(problem) for problem in refused.value.problems)


async def test_a_mistake_elsewhere_does_not_say_that_what_is_stored_is_nowhere(tmp_path: Path) -> None:
    async with Beside(tmp_path / "store.db") as beside:
        await beside.put("bot", FIRST)
        (tmp_path / "config.yaml").write_text(written({"version": 1, **storing({"file": "store.db"}), "lisen": {}}))
        loaded = await asyncio.to_thread(load, [tmp_path / "config.yaml"], environ=ENVIRON)
        told = [str(problem) for problem in loaded.errors]
        assert any("lisen" in each for each in told)
        assert not [each for each in told if "sealed" in each]


async def test_a_name_that_is_nowhere_starts_nothing(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(written({"version": 1, **storing({"file": "store.db"}, "nowhere")}))
    with pytest.raises(ConfigError, match="nothing is sealed under the name 'nowhere'"):
        await Process(Source((tmp_path / "config.yaml",), (), ENVIRON)).start()


async def test_the_entry_of_the_files_goes_before_the_row(tmp_path: Path) -> None:
    async with place(tmp_path, sealed={"bot": ring().seal(entry("bot"), Secret(SECOND.encode()))}) as here:
        assert await here.sent() == f"Bearer {SECOND}"


async def under_load(gateway: House, document: dict[str, Any], mint: Mint) -> None:
    """Rotate the keys of a gateway that is asked all the time, and refreshes grants meanwhile."""
    process, done, statuses = gateway.process, asyncio.Event(), Counter[int]()

    async def ask(target: str) -> None:
        while not done.is_set():
            statuses[(await gateway.get(target, token=gateway.keys.token())).status] += 1

    async def renew(keys: list[dict[str, str]]) -> None:
        gateway.write(document | {"vault": {"keys": keys}})
        assert await process.reload()

    asking = [asyncio.create_task(ask(target)) for target in ("/things/1", "/admin/x", "/things/2")]
    try:
        await renew(BOTH_KEYS["keys"])
        parts = process.resources.clock, process.telemetry.metrics, process.trail.event, process.resources.stores.bell
        await Custody(lambda: process.loaded, lambda: process.resources.stores.opened, *parts).reseal(settled=0, pause=0)
        assert process.loaded.vault.status()["vault"]["stored"] == {"secrets": {"k2": 1}, "grants": {"k2": 1}}
        await renew(BOTH_KEYS["keys"][:1])
        before = statuses.total()
        await until(lambda: is_so(statuses.total() > before + 20 and len(mint.asked) >= 2), "requests and refreshes went on")
    finally:
        done.set()
        await asyncio.gather(*asking)
    assert set(statuses) == {200}
    sent = Counter(seen.all("authorization")[0].rpartition("-")[0] for seen in gateway.upstream.seen)
    assert sent.keys() >= {"Bearer canary-access", "Bearer canary-stored"}


async def is_so(condition: bool) -> bool:
    return condition


async def test_keys_rotate_while_requests_run_and_grants_are_refreshed_and_none_fails(tmp_path: Path) -> None:
    """New key in front, everything sealed anew, old key out: three configurations, and not one request that notices."""
    provider, file = Provider(), tmp_path / "store.db"
    provider.lifetime = 2  # seconds: every token is refreshed while this runs
    async with issuing(provider) as mint, Beside(file) as beside:
        parts = granting(tmp_path, mint, {"file": str(file)})
        await beside.put("stored", FIRST)
        kept = Kept(GrantRows(beside.database), ring(), SystemClock(), Nobody())
        await kept.put(a_grant(refresh=Secret(b"canary-refresh-0"), expires_at=time.time() + 1))
        parts["credentials"]["stored"] = {"inject": "bearer", "secret": {"sealed": "stored"}}
        shown = {"upstream": "api", "authenticate": ["jwt.corp"]}
        parts["routes"] = [
            {"name": "things", "match": {"path": "/things/{thing}"}, **shown},
            {"name": "stored", "match": {"path": "/admin/**"}, "credential": "stored", **shown},
        ]
        async with house(tmp_path, environ={**ENVIRON, **GRANTING}, apart=True, **parts) as gateway:
            await under_load(gateway, yaml.safe_load((tmp_path / "config.yaml").read_text()), mint)
        tally = await Resealing(beside.database, ring("k2"), time.time).tally(0)
        assert [[each.key_id for each in found] for found in tally.values()] == [["k2"], ["k2"]]
