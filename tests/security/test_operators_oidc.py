"""Operators of an OpenID provider: who has no role, or comes back from another login, is refused."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.fakes import SteppedClock
from tests.login import ScriptedProvider, providers
from tests.operating import ADA, Browser, Replica

MAPPED = {"viewers": ["readers"], "operators": ["changers"]}


@pytest.fixture
async def corp() -> AsyncIterator[ScriptedProvider]:
    async with providers("corp") as [made]:
        yield made


class Now(SteppedClock):
    """The provider's tokens are of today."""

    def __init__(self) -> None:
        import time

        super().__init__(unix=time.time())


def operated(corp: ScriptedProvider, folder: Path, **more: Any) -> Replica:
    """A listener without accounts of its own."""
    entry = {"provider": corp.entry(client_secret=None), **MAPPED}
    return Replica(folder / "none.db", clock=Now(), local=None, oidc=entry | more)


async def entered(browser: Browser, corp: ScriptedProvider, groups: list[str]) -> httpx.Response:
    corp.claims["groups"] = groups
    begun = await browser.send("GET", "/operators/oidc")
    assert begun.status_code == 303
    back = urlsplit(corp.authorised(begun.headers["location"]))
    assert back.netloc == "ops.example.com"
    return await browser.send("GET", f"{back.path}?{back.query}", sec_fetch_site="cross-site", sec_fetch_mode="navigate")


async def test_a_group_gives_its_role_and_the_greater_of_two(corp: ScriptedProvider, tmp_path: Path) -> None:
    replica = operated(corp, tmp_path)
    for groups, role, write in ((["readers"], "viewer", 403), (["staff", "readers", "changers"], "operator", 400)):
        browser = Browser(replica)
        answer = await entered(browser, corp, groups)
        assert (answer.status_code, answer.json()["role"], answer.json()["operator"]) == (200, role, "oidc:alice")
        assert (await browser.send("GET", "/routes")).status_code == 200
        assert (await browser.send("PUT", "/loglevel")).status_code == write
    assert {each["operator"] for each in replica.events("operator.login")} == {"oidc:alice"}


async def test_an_operator_without_a_role(corp: ScriptedProvider, tmp_path: Path) -> None:
    replica = operated(corp, tmp_path)
    for groups in ([], ["staff"], ["Changers"], ["changers "]):
        browser = Browser(replica)
        assert (await entered(browser, corp, groups)).status_code == 403
        assert browser.cookies == {}
        assert (await browser.send("GET", "/routes")).status_code == 401
    assert len(replica.events("operator.login.failed")) == 4


async def test_coming_back_with_the_state_of_another_browser_or_twice(corp: ScriptedProvider, tmp_path: Path) -> None:
    replica = operated(corp, tmp_path)
    corp.claims["groups"] = ["changers"]
    attacker, victim = Browser(replica), Browser(replica)
    begun = await attacker.send("GET", "/operators/oidc")
    back = urlsplit(corp.authorised(begun.headers["location"]))
    target = f"{back.path}?{back.query}"
    await victim.send("GET", "/operators/oidc")
    jar = dict(attacker.cookies)
    assert (await victim.send("GET", target)).status_code == 400, "login CSRF"
    assert (await Browser(replica).send("GET", target)).status_code == 400, "no cookie"
    assert (await attacker.send("GET", target)).status_code == 200
    attacker.cookies = jar
    assert (await attacker.send("GET", target)).status_code == 400
    assert len(corp.tokens) == 1


async def test_a_role_that_the_configuration_takes_away_ends_the_session(corp: ScriptedProvider, tmp_path: Path) -> None:
    before = operated(corp, tmp_path)
    browser = Browser(before)
    await entered(browser, corp, ["changers"])
    after = operated(corp, tmp_path, operators=["others"])
    after.desk.sessions._held = before.desk.sessions._held
    browser.replica = after
    assert (await browser.send("GET", "/routes")).status_code == 401


async def test_a_group_that_was_lost_at_the_provider_counts_for_an_hour_at_most(corp: ScriptedProvider, tmp_path: Path) -> None:
    replica = operated(corp, tmp_path)
    browser, statuses = Browser(replica), []
    answer = await entered(browser, corp, ["changers"])
    assert "Max-Age=3600" in answer.headers["set-cookie"]
    for _ in range(5):
        replica.clock.step(840)
        statuses.append((await browser.send("GET", "/routes")).status_code)
    assert statuses == [200] * 4 + [401]


async def test_there_are_no_passwords_where_a_provider_knows_operators(corp: ScriptedProvider, tmp_path: Path) -> None:
    replica = operated(corp, tmp_path)
    browser = Browser(replica)
    assert (await browser.login("ada", ADA)).status_code == 404
    await entered(browser, corp, ["changers"])
    assert (await browser.send("POST", "/operators/password", {"old": ADA, "new": ADA})).status_code == 404
    assert (await browser.send("GET", "/operators")).status_code == 404
