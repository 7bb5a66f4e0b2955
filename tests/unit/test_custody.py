"""What a running gateway does with the rows of others: it seals anew only under a key that is theirs, too."""

import base64
from pathlib import Path

import pytest
import yaml

from gateway.custody import Custody
from gateway.resources import Nobody, SystemClock
from gateway.settings import load
from gateway.store.bell import Bell
from tests.storing import BOTH_KEYS, ENVIRON, Beside, storing

FOREIGN = base64.b64encode(bytes(range(200, 232))).decode()


@pytest.mark.parametrize(("key", "under"), [(ENVIRON["NEXT_KEY"], "k2"), (FOREIGN, "k1")], ids=["theirs", "another of its id"])
async def test_a_gateway_with_another_key_of_the_same_id_seals_nothing_anew(
    tmp_path: Path, key: str, under: str, caplog: pytest.LogCaptureFixture
) -> None:
    file, metrics = tmp_path / "store.db", Nobody()
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"version": 1, **storing({"file": str(file)}), "vault": BOTH_KEYS}))
    async with Beside(file, "k2") as newer, Beside(file, "k1") as older:
        await newer.put("theirs", "value")
        await older.put("bot", "value")
        loaded = load([tmp_path / "config.yaml"], environ={**ENVIRON, "NEXT_KEY": key})
        clock = SystemClock()
        custody = Custody(lambda: loaded, lambda: newer.database, clock, metrics, lambda *_, **__: None, Bell(clock.monotonic))
        await custody.reseal(settled=0, pause=0)
        row = await older.rows.get("bot")
    assert row is not None
    assert row.key_id == under
    assert ("the first key opens nothing that is under it" in caplog.text) == (under == "k1")
