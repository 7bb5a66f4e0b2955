"""Gauges of what is held, as of the moment somebody looks."""

import time
from pathlib import Path

import yaml

from gateway.core.secret import Secret
from gateway.credentials.stored.drawer import Facts
from gateway.credentials.stored.following import Following
from gateway.credentials.stored.source import StoredSource
from gateway.operations import levels
from gateway.resources import Nobody, SystemClock, dry
from gateway.settings import Loaded, load
from tests.storing import ENVIRON, Beside, ring, storing

EXPIRY = "gateway.secret.expiry"


def told(loaded: Loaded) -> dict[str, float]:
    """Seconds until each secret ends, by its source."""
    families = {family.instrument.name: family.points for family in levels(dry(), loaded)}
    return {dict(labels)["source"]: value for labels, value in families.get(EXPIRY, ()) if isinstance(value, float)}


async def test_when_a_stored_secret_ends_is_a_gauge_that_follows_it(tmp_path: Path) -> None:
    file, now = tmp_path / "store.db", time.time()
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"version": 1, **storing({"file": str(file)})}))
    async with Beside(file) as beside:

        async def put(ends: float | None) -> None:
            await beside.drawer.put("bot", Secret(b"value"), Facts(expires_at=ends))

        await put(now + 1000)
        loaded = load([tmp_path / "config.yaml"], environ=ENVIRON)
        [source] = loaded.secrets.of(StoredSource)
        assert loaded.vault.model is not None

        async def look() -> dict[str, float]:
            assert loaded.vault.model is not None
            following = Following(SystemClock(), Nobody(), lambda *_, **__: None)
            await following.look(beside.rows, ring(), {"bot": source}, loaded.vault.model)
            return told(loaded)

        assert 0 < told(loaded)["sealed:bot"] <= 1000
        await put(now - 1000)
        assert -2000 < (await look())["sealed:bot"] <= -1000
        await put(None)
        assert await look() == {}
        await put(now + 1000)
        assert (await look()).keys() == {"sealed:bot"}
        await beside.revoke("bot")
        assert await look() == {}
