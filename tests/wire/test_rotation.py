"""Secrets that rotate, in a running gateway and by hand; and commands that are killed in the middle of it."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from gateway.resources import Nobody, SystemClock
from gateway.rotations import Rotations
from tests.house import house
from tests.rotating import DAY, FIRST, Provider, Scene, after_its_death, command, rotating, scene, taking
from tests.standalone import until
from tests.storing import ENVIRON, Beside


async def test_a_running_gateway_rotates_what_is_due_and_its_requests_go_over(tmp_path: Path) -> None:
    provider = Provider(tmp_path)
    async with Beside(tmp_path / "store.db") as beside:
        here = Scene(tmp_path, provider, None, beside)
        await here.age()
        parts = rotating(tmp_path, 1, **provider.rotate())
        over = {key: parts[key] for key in ("vault", "database", "credentials")}
        async with house(tmp_path, environ=ENVIRON, **over) as gateway:
            gateway.upstream.answer = taking(provider)

            async def has_rotated() -> bool:
                assert (await gateway.get("/things/1", token=gateway.keys.token())).status == 200
                return gateway.upstream.seen[-1].all("authorization") == [f"Bearer {await here.in_force()}"] != [f"Bearer {FIRST}"]

            await until(has_rotated, "the new secret")
            told = [event["event"] for event in await gateway.events()]
            assert told.count("secret.rotated") == 1
            resources = gateway.process.resources
            later = Rotations(
                lambda: gateway.process.loaded,
                lambda: resources.stores.opened,
                here.fetch,
                Later(),
                Nobody(),
                gateway.process.trail.event,
            )
            await later.turn()
            assert provider.live == {await here.in_force()}
            assert (await gateway.get("/things/1", token=gateway.keys.token())).status == 200
        await here.fetch.close()


class Later(SystemClock):
    """Two hours from now."""

    @staticmethod
    def now() -> float:
        return SystemClock.now() + 2 * DAY / 24


async def test_by_hand_and_rehearsed(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        code, said = await command(here, "--dry-run")
        assert (code, here.provider.asked) == (0, [])
        assert "can be run" in said
        assert "bot: idle, due for 1 days" in said
        code, said = await command(here, "--revoke-now")
        assert (code, said.splitlines()[-1]) == (0, "bot: the old one is revoked")
        assert here.provider.live == {await here.in_force()}


async def test_killed_while_the_hook_mints_nothing_changes_and_it_is_told(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        here.provider.mood("kill minting")
        assert (await command(here))[0] == -signal.SIGKILL
        assert await here.in_force() == FIRST
        here.provider.mood("fine")
        await after_its_death(here)
        await here.rotor().turn()
        assert here.told[-1][1]["detail"].startswith("a gateway ended while the hook was minting")
        here.clock.step(60)
        await here.rotor().turn()
        assert await here.in_force() in here.provider.live - {FIRST}


async def test_killed_while_a_new_secret_is_tried_it_is_neither_lost_nor_minted_twice(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "secrets", "rotate-upstream", "bot", "--config", str(tmp_path / "config.yaml")),
            env={**os.environ, **ENVIRON},
            stderr=subprocess.DEVNULL,
        )
        here.upstream.answer = taking(here.provider, process.kill)
        await process.wait()
        assert (await here.in_force(), here.provider.asked) == (FIRST, ["mint"])
        here.upstream.answer = taking(here.provider)
        await after_its_death(here)
        await here.rotor().turn()
        assert here.provider.asked == ["mint"]
        assert here.provider.live == {FIRST, await here.in_force()}


async def test_killed_while_the_old_one_is_revoked_it_is_revoked_again(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        await here.rotor().turn()
        here.provider.mood("kill revoking")
        assert (await command(here, "--revoke-now"))[0] == -signal.SIGKILL
        here.provider.mood("fine")
        await after_its_death(here)
        here.clock.step(3600)
        await here.rotor().turn()
        assert here.events == ["secret.rotated", "secret.retired"]
        assert here.provider.live == {await here.in_force()}
