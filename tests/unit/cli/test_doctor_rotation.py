"""What `gateway doctor` tells of secrets that rotate."""

import time
from pathlib import Path

from gateway.doctor.custody import rotations
from gateway.settings import load
from tests.rotating import scene
from tests.storing import ENVIRON


async def test_what_is_overdue_and_what_failed_is_told(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        here.provider.mood("exit")
        await here.rotor().turn()
        loaded = load([tmp_path / "config.yaml"], [], environ=ENVIRON)
        assert loaded.settings is not None
        told = await rotations(loaded, loaded.settings, here.beside.database, time.time())
        assert {problem.rule: problem.message for problem in told} == {
            "rotation-overdue": "the secret is in force for 2 days",
            "rotation-failed": "the last attempt to rotate failed: the hook ended with exit status 3",
        }
        assert {problem.path for problem in told} == {"credentials.bot.rotate"}
