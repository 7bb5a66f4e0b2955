"""Tokens of GitLab, which end when the next one is made: what is in force, and what is told, however that goes."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.core.errors import DependencyDown
from gateway.credentials.rotation import gitlab, rotor, trial
from gateway.credentials.rotation.job import Outcome
from tests.gitlab_tokens import FIRST, handed, said, tokens
from tests.house import Seen
from tests.storing import Beside
from tests.tables import AnswerLost, Away, GoingAway, Meanwhile


async def test_the_new_token_is_in_force_at_once_and_the_old_one_has_ended(tmp_path: Path) -> None:
    async with tokens(tmp_path, lifetime="60d") as (here, there):
        assert await here.rotor().turn() is Outcome.REVOKED
        assert there.live == {await here.in_force()}
        assert there.ends == [(datetime.fromtimestamp(here.clock.now(), UTC) + timedelta(days=60)).date()]
        asked = [f"{method} /personal_access_tokens/self" for method in ("GET", "POST", "GET")]
        assert there.asked == [asked[0], asked[1] + "/rotate", asked[2]]
        assert here.events == ["secret.rotated", "secret.retired"]
        assert await here.rotor().turn() is Outcome.NOTHING


@pytest.mark.parametrize("kind", ["project", "group"])
async def test_a_token_of_a_project_or_group_rotates_there(tmp_path: Path, kind: str) -> None:
    async with tokens(tmp_path, **{kind: 7}) as (here, there):
        assert await here.rotor().turn() is Outcome.REVOKED
        assert there.asked[1] == f"POST /{kind}s/7/access_tokens/self/rotate"


@pytest.mark.parametrize("status", [400, 403, 405, 500])
async def test_a_refused_rotation_leaves_the_old_token_and_is_tried_again(tmp_path: Path, status: int) -> None:
    async with tokens(tmp_path) as (here, there):
        there.refuses = status
        assert await here.rotor().turn() is Outcome.FAILED
        assert here.why.startswith(f"GitLab answered {status}")
        assert await here.in_force() == FIRST
        assert await here.rotor().turn() is Outcome.WAITING
        there.refuses = 0
        here.clock.step(60)
        assert await here.rotor().turn() is Outcome.REVOKED


LOST: dict[str, Callable[[str], bytes]] = {
    "garbage": lambda token: b"garbage\r\n\r\n",
    "without a token": lambda token: said(200, {"id": 42}),
    "a token that none is": lambda token: said(200, {"token": token + "\n"}),
    "twice": lambda token: b'HTTP/1.1 200 X\r\nContent-Length: 32\r\n\r\n{"token":"12345678","token":"1"}',
    "huge": lambda token: b"HTTP/1.1 200 X\r\nContent-Length: 99999999\r\n\r\n",
    "slow": lambda token: b"",
    "another status": lambda token: said(502, {"token": token}),
}


@pytest.mark.parametrize("answer", LOST.values(), ids=list(LOST))
async def test_a_lost_answer_is_told_and_never_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, answer: Callable[[str], bytes]
) -> None:
    """To rotate with a token that has ended would end all that came of it, also what an operator has made since."""
    async with tokens(tmp_path) as (here, there):
        there.made = answer

        def bounding(seen: Seen) -> bytes:
            """Of the rotation alone, not of what is asked before and after it."""
            done = there.answer(seen)
            monkeypatch.setattr(gitlab, "SECONDS", 10.0 if there.ends else 5.0)
            return done

        if answer is LOST["slow"]:
            here.upstream.answer = bounding
        with caplog.at_level(logging.DEBUG):
            assert await here.rotor().turn() is Outcome.FAILED
        assert "may have ended" in here.why
        assert "canary" not in caplog.text
        here.clock.step(60)
        assert await here.rotor().turn() is Outcome.FAILED
        assert here.why == gitlab.ENDED
        assert "NAME" not in here.why
        assert len([asked for asked in there.asked if asked.startswith("POST")]) == 1
        [made] = there.live
        await here.beside.put("bot", made)
        here.clock.step(2 * 86400)
        there.made = handed
        assert await here.rotor().turn() is Outcome.REVOKED, "by hand it goes on"


async def test_a_new_token_that_does_not_count_is_in_force_all_the_same_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no way back: the old one has ended."""
    async with tokens(tmp_path) as (here, there):

        def stillborn(token: str) -> bytes:
            there.live.clear()
            return handed(token)

        there.made = stillborn
        monkeypatch.setattr(trial, "PAUSES", (60.0,))
        assert await here.rotor().turn() is Outcome.UNPROVEN
        assert (await here.in_force()) != FIRST
        assert here.events == ["secret.rotated", "secret.retired", "secret.rotation.failed"]


async def test_what_an_operator_stored_meanwhile_stays_and_the_new_token_is_revoked(tmp_path: Path) -> None:
    async with tokens(tmp_path) as (here, there):
        assert await here.rotor(rows=Meanwhile(here.beside)).turn() is Outcome.FAILED
        assert await here.in_force() == "by-hand-0123456789"
        assert (here.why, there.live) == (rotor.GONE, set())


async def test_a_database_that_is_away_for_a_moment_costs_no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotor, "KEPT_TRYING", (0.0, 0.0))
    async with tokens(tmp_path) as (here, there):
        rows = GoingAway(here.beside.database, 1, back_after=2)
        assert await here.rotor(rows=rows).turn() is Outcome.REVOKED
        assert there.live == {await here.in_force()}


async def test_a_database_that_stays_away_leaves_no_token_that_nobody_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotor, "KEPT_TRYING", (0.0, 0.0))
    async with tokens(tmp_path) as (here, there):
        with pytest.raises(DependencyDown):
            await here.rotor(rows=Away(here.beside.database, 1)).turn()
        assert (there.live, here.why) == (set(), rotor.LOST.replace("NAME", "bot"))


async def test_a_token_that_was_stored_unheard_is_not_revoked_when_the_database_stays_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it is back, what is in force counts."""
    monkeypatch.setattr(rotor, "KEPT_TRYING", (0.0, 0.0))
    async with tokens(tmp_path) as (here, there):
        with pytest.raises(DependencyDown):
            await here.rotor(rows=AnswerLost(here.beside.database, 1000)).turn()
        assert there.live == {await here.in_force()}
        assert here.events == ["secret.rotation.failed"]
        assert "whether the new one, 42, was stored is not known" in here.why
        assert "`gateway secrets seal bot --database`" in here.why


async def test_a_token_that_was_stored_unheard_is_found_by_the_next_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotor, "KEPT_TRYING", (0.0, 0.0))
    async with tokens(tmp_path) as (here, there):
        assert await here.rotor(rows=AnswerLost(here.beside.database, 0)).turn() is Outcome.REVOKED
        assert there.live == {await here.in_force()}
        assert here.events == ["secret.rotated", "secret.retired"]


async def test_nothing_is_asked_of_gitlab_while_the_database_is_away(tmp_path: Path) -> None:
    async with tokens(tmp_path) as (here, there):
        with pytest.raises(DependencyDown):
            await here.rotor(rows=GoingAway(here.beside.database, 0)).turn()
        assert there.asked == []


async def test_two_gateways_on_one_database_rotate_once(tmp_path: Path) -> None:
    async with tokens(tmp_path) as (here, there), Beside(tmp_path / "store.db") as other:
        outcomes = await asyncio.gather(here.rotor().turn(), here.rotor(other).turn(), here.rotor(other).turn())
        assert outcomes.count(Outcome.REVOKED) == 1
        assert there.live == {await here.in_force()}
