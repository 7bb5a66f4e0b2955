"""Rotations that are under way when `rotate` leaves the configuration: nothing of them is forgotten silently."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.cli import rotate_upstream
from gateway.cli.secrets_list import of_row
from gateway.credentials.rotation import turns
from gateway.credentials.rotation.job import Outcome
from gateway.credentials.rotation.rotor import Rotor
from gateway.doctor.custody import rotations
from gateway.resources import SystemClock
from gateway.rotations import Rotations
from gateway.settings import Loaded, load
from tests.rotating import FIRST, Scene, command, configure, never_ending, rotating, scene
from tests.storing import ENVIRON, ring

ORPHANED = "gateway.rotation.orphaned"
OVERDUE = "gateway.rotation.overdue"


class Gauges:
    """The last value of each."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None: ...

    def gauge(self, name: str, value: float, /, **labels: str) -> None:
        self.values[name] = value


def without(here: Scene) -> Loaded:
    """The configuration without `rotate`."""
    whole = rotating(here.folder, here.upstream.port)
    del whole["credentials"]["bot"]["rotate"]
    configure(here.folder, whole)
    loaded = load([here.folder / "config.yaml"], [], environ=ENVIRON)
    assert loaded.settings is not None
    return loaded


def looking(here: Scene, loaded: Loaded) -> tuple[Gauges, Callable[[], Awaitable[None]]]:
    gauges = Gauges()
    found = Rotations(lambda: loaded, lambda: here.beside.database, here.fetch, SystemClock(), gauges, here.tell)
    return gauges, found.turn


async def test_an_old_secret_whose_rotation_nothing_ends_is_told_until_it_is_ended(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        await here.rotor().turn()
        here.told.clear()
        loaded = without(here)
        assert loaded.settings is not None
        gauges, look = looking(here, loaded)
        await look()
        assert here.told == [], "a replica may have begun it with a configuration that is not read here yet"
        await look()
        await look()
        assert [(name, fields["entry"], fields["step"]) for name, fields in here.told] == [
            ("secret.rotation.orphaned", "bot", "overlap")
        ]
        assert "`gateway secrets rotate-upstream bot --forget`" in here.why
        assert gauges.values == {ORPHANED: 1, OVERDUE: 0}
        [problem] = await rotations(loaded, loaded.settings, here.beside.database, time.time())
        assert (problem.rule, "bot --forget" in problem.hint) == ("rotation-orphaned", True)
        row = await here.beside.rows.get("rotation:bot")
        assert row is not None
        assert of_row(loaded, row, time.time())["state"] == "overlap, orphaned"

        code, said = await command(here, "--forget")
        assert (code, said.splitlines()[-2:]) == (0, ["the rotation of bot (overlap) is forgotten", "revoke the one before"])
        await look()
        assert gauges.values == {ORPHANED: 0, OVERDUE: 0}
        assert await rotations(loaded, loaded.settings, here.beside.database, time.time()) == []
        assert (await command(here, "--forget"))[0] == 1
        assert FIRST in here.provider.live, "that is for the operator to do"


async def test_put_back_it_is_gone_on_with(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        await here.rotor().turn()
        kept = (tmp_path / "config.yaml").read_text()
        without(here)
        (tmp_path / "config.yaml").write_text(kept)
        here.clock.step(3600)
        assert await here.rotor().turn() is Outcome.REVOKED
        assert here.provider.live == {await here.in_force()}


@pytest.mark.parametrize("other", ["--dry-run", "--revoke-now"])
async def test_forgetting_goes_with_nothing_else_and_a_refused_command_changes_nothing(tmp_path: Path, other: str) -> None:
    async with scene(tmp_path) as here:
        await here.rotor().turn()
        without(here)
        code, said = await command(here, "--forget", other)
        assert code == 2
        assert "--forget goes with neither --dry-run nor --revoke-now" in " ".join(said.split())
        row = await here.beside.rows.get("rotation:bot")
        assert row is not None
        assert row.subject == "overlap"


async def test_a_lease_that_never_ends_keeps_nobody_from_forgetting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((turns, "MARGIN"), (rotate_upstream, "LEASE"), (rotate_upstream, "POLL")):
        monkeypatch.setattr(module, name, 0.001)
    async with scene(tmp_path) as here:
        await here.rotor().turn()
        await never_ending(here)
        await asyncio.to_thread(rotate_upstream.forget, without(here), ring(), "bot")
        row = await here.beside.rows.get("rotation:bot")
        assert row is not None
        assert row.subject == "idle"


async def test_a_lease_that_never_ends_keeps_nobody_from_revoking_what_leaked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in ((turns, "MARGIN"), (Rotor, "lasting"), (rotate_upstream, "POLL")):
        monkeypatch.setattr(module, name, 0.001)
    async with scene(tmp_path) as here:
        await here.rotor().turn()
        await never_ending(here)
        loaded = load([tmp_path / "config.yaml"], [], environ=ENVIRON)
        went_well, said = await asyncio.to_thread(rotate_upstream.rotate_now, loaded, ring(), "bot", revoke_now=True)
        assert (went_well, said) == (True, "bot: the old one is revoked")
        assert here.provider.live == {await here.in_force()}


async def test_without_rotate_no_secret_is_overdue_any_more(tmp_path: Path) -> None:
    """An alert that goes by the gauge would ring until the next start."""
    async with scene(tmp_path) as here:
        here.provider.mood("exit")
        live = [load([tmp_path / "config.yaml"], [], environ=ENVIRON)]
        gauges = Gauges()
        found = Rotations(lambda: live[-1], lambda: here.beside.database, here.fetch, SystemClock(), gauges, here.tell)
        await found.turn()
        assert gauges.values[OVERDUE] == 1
        live.append(without(here))
        await found.turn()
        assert gauges.values[OVERDUE] == 0


async def test_what_still_rotates_is_not_forgotten(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        await here.rotor().turn()
        code, said = await command(here, "--forget")
        assert code != 0
        assert "--revoke-now` ends it" in said
        assert (await here.rotor().standing())[1].phase == "overlap"


async def test_nothing_is_told_of_rotations_that_are_done(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        await here.rotor().turn()
        here.clock.step(3600)
        await here.rotor().turn()
        here.told.clear()
        gauges, look = looking(here, without(here))
        await look()
        await look()
        assert (here.told, gauges.values) == ([], {ORPHANED: 0, OVERDUE: 0})


@pytest.mark.parametrize(("mood", "left"), [("exit", 0), ("cannot revoke", 1)])
async def test_a_failed_mint_leaves_nothing_and_a_failed_revocation_does(tmp_path: Path, mood: str, left: int) -> None:
    async with scene(tmp_path) as here:
        here.provider.mood(mood)
        here.upstream.answer = b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"
        await here.rotor().turn()
        gauges, look = looking(here, without(here))
        await look()
        await look()
        assert gauges.values == {ORPHANED: left, OVERDUE: 0}
