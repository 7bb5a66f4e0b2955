"""Commands that are killed at each question to a provider: what is in force counts, or it is told that it does not."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.credentials.rotation.gitlab import ENDED
from gateway.credentials.rotation.job import Outcome
from tests.gitlab_tokens import tokens
from tests.house import Seen
from tests.iam import keys
from tests.rotating import Stage, after_its_death
from tests.storing import ENVIRON


async def killed(here: Stage, answer: Callable[[Seen], bytes], question: int) -> None:
    """A rotation by hand, ended at its nth question: after the provider has done it, before it has answered."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "secrets", "rotate-upstream", "bot", "--config", str(here.folder / "config.yaml")),
        env={**os.environ, **ENVIRON},
        stderr=subprocess.DEVNULL,
    )

    def last(seen: Seen) -> bytes:
        done = answer(seen)
        if len(here.upstream.seen) == question:
            process.kill()
            return b""
        return done

    here.upstream.answer = last
    try:
        await asyncio.wait_for(process.wait(), 60)
    finally:
        if process.returncode is None:
            process.kill()
    assert (len(here.upstream.seen), process.returncode) == (question, -9)
    here.upstream.answer = answer
    await after_its_death(here)


async def turned(here: Stage, turns: int = 6) -> None:
    """Another gateway goes on, until the old one is revoked or it has had so many chances."""
    for _ in range(turns):
        if await here.rotor().turn() in {Outcome.REVOKED, Outcome.UNPROVEN}:
            return
        here.clock.step(3600)


@pytest.mark.parametrize("question", [1, 2, 3], ids=["listing", "creating", "asking"])
async def test_access_keys(tmp_path: Path, question: int) -> None:
    async with keys(tmp_path) as (here, there):
        await killed(here, there.answer, question)
        await turned(here)
        in_force = json.loads(await here.in_force())["AccessKeyId"]
        assert there.live[in_force]
        others = there.live.keys() - {in_force}
        assert len(others) == (1 if question == 2 else 0)
        assert all(other in here.why for other in others)
        assert there.asked.count("CreateAccessKey") == 1


@pytest.mark.parametrize("question", [1, 2, 3], ids=["asking", "rotating", "asking after"])
async def test_tokens_that_end_with_their_successor(tmp_path: Path, question: int) -> None:
    async with tokens(tmp_path) as (here, there):
        await killed(here, there.answer, question)
        await turned(here, 2 if question == 3 else 6)
        assert (await here.in_force() in there.live) == (question != 2)
        assert len(there.ends) == 1, "what may have ended is never asked for another"
        told = [fields["detail"] for name, fields in here.told if name == "secret.rotation.failed"]
        assert any("a gateway ended" in each for each in told)
        assert (ENDED in told) == (question == 2)
