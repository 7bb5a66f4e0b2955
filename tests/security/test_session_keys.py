"""The key of sessions is replaced without logging anybody out, and a key that is gone opens nothing."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
import yaml

from tests.house import House
from tests.login import KEY, PAGE, Browser, Moved, ScriptedProvider, login_house

pytestmark = pytest.mark.asyncio(loop_scope="module")
OLD, NEW = {"file": "old.key"}, {"file": "new.key"}


@dataclass
class Place:
    gateway: House
    corp: ScriptedProvider
    clock: Moved

    async def keys(self, *keys: dict[str, str]) -> None:
        """Reload with other keys."""
        document = yaml.safe_load((self.gateway.folder / "config.yaml").read_text())
        document["authentication"]["sessions"]["key"] = list(keys)
        self.gateway.write(document)
        assert await self.gateway.process.reload()

    async def entered(self, subject: str) -> Browser:
        self.corp.claims = {"sub": subject}
        browser = Browser(self.gateway)
        assert (await browser.login(self.corp)).status == 303
        return browser


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    folder = tmp_path_factory.mktemp("keys")
    (folder / "old.key").write_text(KEY)
    (folder / "new.key").write_text(KEY[::-1])
    clock = Moved()
    async with login_house(folder, session={"key": OLD}, clock=clock, refresh="100s") as (gateway, [corp]):
        yield Place(gateway, corp, clock)


async def test_a_new_key_logs_nobody_out_and_ends_no_login_under_way(place: Place) -> None:
    await place.keys(OLD)
    browser, waiting = await place.entered("staying"), Browser(place.gateway)
    token = (await browser.whoami())["csrf_token"]
    back = place.corp.authorised((await waiting.get("/.gateway/login?provider=corp", headers=PAGE))["location"])
    await place.keys(NEW, OLD)
    assert (await browser.get("/app/home")).status == 200
    assert (await browser.write(X_CSRF_Token=token)).status == 200, "the token that a page holds from before"
    assert (await browser.whoami())["csrf_token"] != token
    assert (await waiting.get(back, headers=PAGE)).status == 303


async def test_who_logs_out_everywhere_reaches_sessions_under_either_key(place: Place) -> None:
    await place.keys(OLD)
    before = await place.entered("twice")
    await place.keys(NEW, OLD)
    after = await place.entered("twice")
    assert [each["current"] for each in (await after.get("/.gateway/sessions")).json()["sessions"]] == [False, True]
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    token = place.corp.logout_token(sub="twice", sid=None)
    posted = await place.gateway.get(
        "/.gateway/backchannel/corp", method="POST", headers=form, body=f"logout_token={token}".encode()
    )
    assert posted.status == 200
    assert [(await each.get("/app/home")).status for each in (before, after)] == [401, 401]


async def test_a_key_that_is_taken_away_ends_what_was_opened_under_it_also_where_it_was_sealed_anew(place: Place) -> None:
    """A refresh seals a record under the first key; found, to be ended, it is only by the key it was opened under."""
    await place.keys(OLD)
    before = await place.entered("leaving")
    await place.keys(NEW, OLD)
    refreshed, place.clock.ahead = place.corp.refreshed, place.clock.ahead + 101
    assert (await before.get("/app/home")).status == 200
    assert place.corp.refreshed == refreshed + 1
    after = await place.entered("arriving")
    await place.keys(NEW)
    assert [(await each.get("/app/home")).status for each in (before, after)] == [401, 200]
