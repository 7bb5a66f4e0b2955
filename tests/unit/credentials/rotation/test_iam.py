"""Access keys that IAM mints: both halves are one secret, and of two that a user may have none is forgotten."""

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.core.errors import DependencyDown
from gateway.credentials.rotation import trial
from gateway.credentials.rotation.iam import endpoint
from gateway.credentials.rotation.job import Outcome
from gateway.store.sql.secrets import SecretRows
from tests.iam import FIRST, FIRST_ID, answered, handed, keys
from tests.rotating import Stage
from tests.storing import Beside
from tests.tables import GoingAway, Meanwhile

HOUR = 3600.0


async def id_in_force(here: Stage) -> str:
    return str(json.loads(await here.in_force())["AccessKeyId"])


async def test_new_keys_are_in_force_as_one_and_the_old_ones_are_deleted_after_the_overlap(tmp_path: Path) -> None:
    async with keys(tmp_path) as (here, there):
        assert await here.rotor().turn() is Outcome.OVERLAPPING
        document = json.loads(await here.in_force())
        assert set(there.live) == {FIRST_ID, document["AccessKeyId"]}
        assert document["SecretAccessKey"] == "canaryMINTED0123/+="
        here.clock.step(HOUR)
        assert await here.rotor().turn() is Outcome.REVOKED
        assert set(there.live) == {document["AccessKeyId"]}
        assert there.asked == ["ListAccessKeys", "CreateAccessKey", "GetCallerIdentity", "DeleteAccessKey"]


async def test_a_user_that_has_two_keys_already_keeps_both_and_the_other_is_named(tmp_path: Path) -> None:
    async with keys(tmp_path) as (here, there):
        there.live["AKIDOFSOMEBODYELSE00"] = False
        assert await here.rotor().turn() is Outcome.FAILED
        assert "has another access key, AKIDOFSOMEBODYELSE00" in here.why
        assert len(there.live) == 2


LOST: dict[str, Callable[[str], bytes]] = {
    "garbage": lambda _: b"garbage\r\n\r\n",
    "no xml": lambda _: answered(b"nothing"),
    "two keys": lambda _: answered(handed("AKIDTWICE00000000001") + handed("AKIDTWICE00000000002")),
    "an id that is none": lambda _: handed("AKID$(reboot)"),
    "huge": lambda _: b"HTTP/1.1 200 X\r\nContent-Length: 99999999\r\n\r\n",
}


@pytest.mark.parametrize("answer", LOST.values(), ids=list(LOST))
async def test_keys_whose_answer_was_lost_are_named_before_anything_else_is_made(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, answer: Callable[[str], bytes]
) -> None:
    async with keys(tmp_path) as (here, there):
        there.made = answer
        with caplog.at_level(logging.DEBUG):
            assert await here.rotor().turn() is Outcome.FAILED
        assert "canary" not in caplog.text
        assert await here.in_force() == FIRST
        [lost] = there.live.keys() - {FIRST_ID}
        here.clock.step(60)
        assert await here.rotor().turn() is Outcome.FAILED
        assert lost in here.why
        assert there.asked.count("CreateAccessKey") == 1
        del there.live[lost]
        there.made = handed
        here.clock.step(2 * HOUR)
        assert await here.rotor().turn() is Outcome.OVERLAPPING


@pytest.mark.parametrize(("code", "told"), [(b"AccessDenied", "AccessDenied"), (b"canary", "403")])
async def test_what_iam_refuses_leaves_the_old_keys(tmp_path: Path, code: bytes, told: str) -> None:
    async with keys(tmp_path) as (here, there):
        there.refuses = {"CreateAccessKey": code}
        assert await here.rotor().turn() is Outcome.FAILED
        assert here.why == f"AWS IAM answered {told} to CreateAccessKey"
        assert await here.in_force() == FIRST


async def test_keys_that_aws_does_not_know_in_time_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "PAUSES", (60.0,))
    async with keys(tmp_path) as (here, there):
        there.refuses = {"GetCallerIdentity": b"InvalidClientTokenId"}
        assert await here.rotor().turn() is Outcome.FAILED
        assert (await here.in_force(), set(there.live)) == (FIRST, {FIRST_ID})


async def test_keys_that_may_not_be_deleted_are_ended_and_it_is_told_until_they_are(tmp_path: Path) -> None:
    async with keys(tmp_path) as (here, there):
        await here.rotor().turn()
        there.refuses = {"DeleteAccessKey": b"AccessDenied"}
        here.clock.step(HOUR)
        assert await here.rotor().turn() is Outcome.FAILED
        assert there.live[FIRST_ID] is False
        assert f"AccessDenied ({FIRST_ID} is inactive now)" in here.why
        there.refuses = {}
        here.clock.step(60)
        assert await here.rotor().turn() is Outcome.REVOKED
        assert set(there.live) == {await id_in_force(here)}


async def test_keys_that_are_gone_already_are_revoked(tmp_path: Path) -> None:
    async with keys(tmp_path) as (here, there):
        await here.rotor().turn()
        del there.live[FIRST_ID]
        here.clock.step(HOUR)
        assert await here.rotor().turn() is Outcome.REVOKED


async def test_where_another_users_keys_are_in_force_the_old_ones_delete_themselves(tmp_path: Path) -> None:
    """Asked with another user's keys, IAM says that there is no such key."""
    async with keys(tmp_path) as (here, there):
        await here.rotor().turn()
        await here.beside.put("bot", FIRST.replace("FIRST0", "OTHER0"))
        here.clock.step(HOUR)
        assert await here.rotor().turn() is Outcome.REVOKED
        assert FIRST_ID not in there.live


async def test_what_an_operator_stored_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    async with keys(tmp_path) as (here, there):
        assert await here.rotor(rows=Meanwhile(here.beside)).turn() is Outcome.FAILED
        assert set(there.live) == {FIRST_ID}


@pytest.mark.parametrize("write", range(4))
async def test_a_database_that_goes_away_at_any_write_leaves_no_keys_that_nobody_holds(tmp_path: Path, write: int) -> None:
    async with keys(tmp_path) as (here, there):
        with pytest.raises(DependencyDown):
            await here.rotor(rows=GoingAway(here.beside.database, write)).turn()
        for _ in range(4):
            here.clock.step(HOUR)
            if await here.rotor(rows=SecretRows(here.beside.database)).turn() is Outcome.REVOKED:
                break
        assert set(there.live) == {await id_in_force(here)}


async def test_two_gateways_on_one_database_make_one_pair(tmp_path: Path) -> None:
    async with keys(tmp_path) as (here, there), Beside(tmp_path / "store.db") as other:
        await asyncio.gather(here.rotor().turn(), here.rotor(other).turn(), here.rotor(other).turn())
        assert there.asked.count("CreateAccessKey") == 1


async def test_temporary_keys_do_not_rotate(tmp_path: Path) -> None:
    async with keys(tmp_path) as (here, there):
        await here.beside.put("bot", FIRST.replace("}", ', "SessionToken": "canary-session"}'))
        assert await here.rotor().turn(at_once=True) is Outcome.FAILED
        assert "temporary" in here.why
        assert there.asked == []


def test_each_partition_has_one_endpoint() -> None:
    assert [endpoint(region)[1] for region in ("eu-central-1", "cn-northwest-1", "us-gov-east-1")] == [
        "us-east-1",
        "cn-north-1",
        "us-gov-west-1",
    ]
