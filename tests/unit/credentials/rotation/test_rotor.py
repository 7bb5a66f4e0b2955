"""The steps of a rotation: with a real hook, a real database, and an upstream that takes exactly what is live."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.core.errors import DependencyDown
from gateway.credentials.rotation import turns
from gateway.credentials.rotation.job import LONGEST_PAUSE, Outcome, pause
from gateway.credentials.rotation.rotor import GONE
from gateway.credentials.rotation.turns import Turns
from gateway.store.sql.leases import Lease, Leases
from tests.rotating import FIRST, never_ending, scene
from tests.storing import Beside
from tests.tables import GoingAway, Meanwhile

HOUR = 3600.0


async def test_a_new_secret_is_minted_tried_and_put_in_force_and_the_old_one_revoked_after_the_overlap(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        assert await here.rotor().turn() is Outcome.OVERLAPPING
        second = await here.in_force()
        assert second != FIRST
        assert here.provider.live == {FIRST, second}
        assert here.upstream.seen[-1].all("authorization") == [f"Bearer {second}"]
        here.clock.step(HOUR - 1)
        assert await here.rotor().turn() is Outcome.NOTHING
        here.clock.step(1)
        assert await here.rotor().turn() is Outcome.REVOKED
        assert here.provider.live == {second}
        assert await here.rotor().turn() is Outcome.NOTHING
        assert here.events == ["secret.rotated", "secret.retired"]
        here.clock.step(24 * HOUR)
        assert await here.rotor().turn() is Outcome.OVERLAPPING
        here.clock.step(HOUR)
        assert await here.rotor().turn() is Outcome.REVOKED, "the hook knew the handle that it gave before"


async def test_the_hook_is_told_by_standard_input_alone(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        await here.rotor().turn()
        here.clock.step(HOUR)
        await here.rotor().turn()
        assert here.provider.calls == [
            ["mint", ["revoke", "secret"], ["LANG", "PATH"], []],
            ["revoke", ["current", "revoke", "secret"], ["LANG", "PATH"], []],
        ]


@pytest.mark.parametrize(
    ("mood", "cause"),
    [
        ("hang", "did not end within 1 s"),
        ("exit", "ended with exit status 3"),
        ("junk", "answered no JSON"),
        ("flood", "answered more than 64 KiB"),
    ],
)
async def test_a_hook_that_fails_leaves_the_old_secret_and_is_tried_again_later(tmp_path: Path, mood: str, cause: str) -> None:
    async with scene(tmp_path, patience="1s") as here:
        here.provider.mood(mood)
        assert await here.rotor().turn() is Outcome.FAILED
        assert await here.in_force() == FIRST
        assert here.told == [("secret.rotation.failed", failed("mint", f"the hook {cause}"))]
        assert here.metrics.counted("gateway.rotation.steps", credential="bot", outcome="failed") == 1
        assert await here.rotor().turn() is Outcome.WAITING
        assert here.provider.asked == ["mint"]
        here.provider.mood("fine")
        here.clock.step(60)
        assert await here.rotor().turn() is Outcome.OVERLAPPING


async def test_what_the_upstream_refuses_is_revoked_and_the_old_one_stays(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        here.provider.mood("stillborn")
        assert await here.rotor().turn() is Outcome.FAILED
        assert await here.in_force() == FIRST
        assert here.provider.asked == ["mint", "revoke"]
        assert here.told == [("secret.rotation.failed", failed("verify", "the upstream answered 401 instead of 200"))]
        assert await here.rotor().turn() is Outcome.WAITING


async def test_what_is_not_used_is_revoked_before_anything_else_is_minted(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        here.upstream.answer = b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"
        here.provider.mood("cannot revoke")
        assert await here.rotor().turn() is Outcome.FAILED
        here.clock.step(60)
        assert await here.rotor().turn() is Outcome.FAILED
        assert here.provider.asked == ["mint", "revoke", "revoke"]
        assert len(here.provider.live) == 2
        here.provider.mood("fine")
        here.clock.step(LONGEST_PAUSE)
        await here.rotor().turn()
        assert here.provider.live == {FIRST}


async def test_an_old_one_that_cannot_be_revoked_is_told_and_tried_again(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        await here.rotor().turn()
        here.provider.mood("cannot revoke")
        here.clock.step(HOUR)
        assert await here.rotor().turn() is Outcome.FAILED
        assert here.told[-1] == ("secret.rotation.failed", failed("revoke", "the hook ended with exit status 1"))
        here.provider.mood("fine")
        here.clock.step(60)
        assert await here.rotor().turn() is Outcome.REVOKED
        assert here.provider.live == {await here.in_force()}


async def test_an_old_one_that_was_put_back_stays_and_the_new_one_goes(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        await here.rotor().turn()
        await here.beside.put("bot", FIRST)
        here.clock.step(HOUR)
        assert await here.rotor().turn() is Outcome.FAILED
        assert here.provider.live == {FIRST}
        assert await here.in_force() == FIRST


async def test_what_an_operator_stored_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        rows = Meanwhile(here.beside)
        assert await here.rotor(rows=rows).turn() is Outcome.FAILED
        assert await here.in_force() == "by-hand-0123456789"
        assert here.told == [("secret.rotation.failed", failed("switch", GONE))]
        assert here.provider.live == {FIRST}


async def test_a_secret_that_was_revoked_does_not_rotate(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        await here.beside.revoke("bot")
        assert await here.rotor().turn(at_once=True) is Outcome.NOTHING
        assert here.provider.asked == []


async def test_two_gateways_on_one_database_rotate_once(tmp_path: Path) -> None:
    async with scene(tmp_path) as here, Beside(tmp_path / "store.db") as other:
        outcomes = await asyncio.gather(here.rotor().turn(), here.rotor(other).turn(), here.rotor(other).turn())
        assert outcomes.count(Outcome.OVERLAPPING) == 1
        assert set(outcomes) <= {Outcome.OVERLAPPING, Outcome.BUSY, Outcome.NOTHING}
        assert here.provider.asked == ["mint"]


async def test_a_lease_that_never_ends_is_taken_from_who_has_had_it_for_longer_than_any_lasts(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        await never_ending(here)
        assert await here.rotor().turn() is Outcome.BUSY
        here.clock.step(here.rotor().lasting + turns.MARGIN - 1)
        assert await here.rotor().turn() is Outcome.BUSY
        await here.beside.database.write(text("UPDATE leases SET fence = fence + 1"))
        here.clock.step(2)
        assert await here.rotor().turn() is Outcome.BUSY, "that is another one"
        here.clock.step(here.rotor().lasting + turns.MARGIN + 1)
        assert await here.rotor().turn() is Outcome.OVERLAPPING
        here.clock.step(HOUR)
        assert await here.rotor().turn() is Outcome.REVOKED


async def test_what_another_one_did_while_its_lease_was_waited_for_is_not_done_once_more(tmp_path: Path) -> None:
    """By hand the next step is gone at once: that would be the end of an overlap which has just begun."""

    class Late(Turns):
        async def take(self, leases: Leases, name: str, seconds: float) -> Lease | None:
            assert await other.turn() is Outcome.OVERLAPPING
            return await super().take(leases, name, seconds)

    async with scene(tmp_path) as here:
        other = here.rotor()
        here.turns = Late(here.clock.monotonic)
        assert await here.rotor().turn(at_once=True) is Outcome.BUSY
        assert FIRST in here.provider.live


@pytest.mark.parametrize("write", range(4))
async def test_a_database_that_goes_away_at_any_write_costs_nothing_in_force(tmp_path: Path, write: int) -> None:
    """Writes are: minting, minted, the switch, the overlap."""
    async with scene(tmp_path) as here:
        with pytest.raises(DependencyDown):
            await here.rotor(rows=GoingAway(here.beside.database, write)).turn()
        assert await here.in_force() in here.provider.live
        for _ in range(4):
            here.clock.step(HOUR)
            if await here.rotor().turn() is Outcome.REVOKED:
                break
        assert here.provider.live == {await here.in_force()}


def failed(step: str, cause: str) -> dict[str, str]:
    return {"entry": "bot", "credential": "bot", "step": step, "detail": cause}


def test_pauses_grow_to_six_hours() -> None:
    assert [pause(failures) for failures in (1, 2, 3, 40)] == [60, 120, 240, LONGEST_PAUSE]
