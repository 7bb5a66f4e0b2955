"""Signs of theft are told, and refuse nobody by themselves: sessions in other networks, proofs and answers used twice."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio

from gateway.authn.login.model import Networks
from gateway.authn.login.moves import network
from tests.house import House, Reply
from tests.login import ORIGIN, PAGE, SESSION, Browser, ScriptedProvider, login_house

pytestmark = pytest.mark.asyncio(loop_scope="module")
PROXY = {"address": "127.0.0.1:0", "trusted_proxies": ["127.0.0.0/8"], "client_address": "x-forwarded-for"}
HOME, NEXT_DOOR, AWAY = "192.0.2.7", "192.0.2.200", "198.51.100.7"
Place = tuple[House, ScriptedProvider]


class Roaming(Browser):
    """A browser, or whoever copied its cookies, at an address."""

    at = HOME

    async def get(self, target: str, **asked: Any) -> Reply:
        return await super().get(target, **{**asked, "headers": {"X-Forwarded-For": self.at, **(asked.get("headers") or {})}})

    def copied(self, at: str) -> "Roaming":
        thief = Roaming(self.gateway, self.host)
        thief.jar, thief.at = dict(self.jar), at
        return thief


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Callable[[str], Place]]:
    """Gateways by what they do about a session that moves."""
    places: dict[str, Place] = {}
    async with AsyncExitStack() as stack:
        for on_move in ("tell", "step_up", "end"):
            house = login_house(tmp_path_factory.mktemp(on_move), session={"on_move": on_move}, over={"listen": PROXY})
            gateway, [corp] = await stack.enter_async_context(house)
            places[on_move] = gateway, corp
        yield places.__getitem__


async def signs(gateway: House, event: str, subject: str | None = None) -> list[dict[str, Any]]:
    found = [each for each in await gateway.events() if each["event"] == event]
    return [each for each in found if subject is None or each["subject"] == subject]


async def entered(place: Place, subject: str) -> Roaming:
    place[1].claims = {"sub": subject}
    browser = Roaming(place[0])
    assert (await browser.login(place[1])).status == 303
    return browser


async def test_a_phone_that_roams_is_not_locked_out_and_its_move_is_told(at: Callable[[str], Place]) -> None:
    phone = await entered(at("tell"), "roaming")
    for each in (NEXT_DOOR, AWAY, HOME, AWAY):
        phone.at = each
        assert (await phone.get("/app/home")).status == 200
    [sign] = await signs(phone.gateway, "auth.session.moved")
    assert sign["client"] == AWAY
    assert (sign["issuer"], sign["subject"], sign["detail"]) == ("corp", "roaming", "192.0.2.0/24 to 198.51.100.0/24")
    assert sign["credential_id"] == f"session:{(await phone.whoami())['session']}"


async def test_a_copied_cookie_is_of_no_use_in_another_network_until_its_owner_logs_in_there(at: Callable[[str], Place]) -> None:
    owner = await entered(at("step_up"), "owner")
    thief = owner.copied(AWAY)
    refused = await thief.get("/app/home")
    assert (refused.status, refused.json()["max_age"]) == (401, 0)
    assert (await thief.get("/.gateway/session")).status == 401
    assert SESSION in thief.jar
    assert (await owner.get("/app/home")).status == 200, "the owner is at home, and notices nothing"
    sent = await thief.get("/app/home", headers=PAGE)
    assert (sent.status, "max_age=0" in sent["location"]) == (303, True)
    owner.at = AWAY
    at("step_up")[1].since = int(time.time())
    assert (await owner.login(at("step_up")[1], max_age="0")).status == 303
    assert (await owner.get("/app/home")).status == 200, "he proved who he is, and is at home there now"
    assert (await thief.get("/app/home")).status == 401, "what was copied is over"


async def test_somebody_away_may_log_out(at: Callable[[str], Place]) -> None:
    owner = await entered(at("step_up"), "leaving")
    token = (await owner.whoami())["csrf_token"]
    owner.at = AWAY
    fields = {"Origin": ORIGIN, "X-CSRF-Token": token}
    assert (await owner.get("/.gateway/logout", method="POST", headers=fields)).status == 303
    owner.at = HOME
    [ended] = await signs(owner.gateway, "session.ended", "leaving")
    assert ended["cause"] == "logout"


async def test_a_copied_cookie_ends_its_session_where_that_is_wanted(at: Callable[[str], Place]) -> None:
    owner = await entered(at("end"), "watched")
    assert (await owner.copied(AWAY).get("/app/home")).status == 401
    assert (await owner.get("/app/home")).status == 401
    assert [each["cause"] for each in await signs(owner.gateway, "session.ended", "watched")] == ["used from another network"]


async def test_an_answer_of_the_provider_and_a_logout_token_that_come_again_are_told(at: Callable[[str], Place]) -> None:
    gateway, corp = at("tell")
    corp.claims = {"sub": "repeated"}
    browser = Roaming(gateway)
    begun = await browser.get("/.gateway/login?provider=corp", headers=PAGE)
    back, jar = corp.authorised(begun["location"]), dict(browser.jar)
    assert (await browser.get(back, headers=PAGE)).status == 303
    browser.jar = jar
    assert (await browser.get(back, headers=PAGE)).status == 400
    form = f"logout_token={corp.logout_token(sub='repeated')}".encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Forwarded-For": HOME}
    posted = [await gateway.get("/.gateway/backchannel/corp", method="POST", headers=headers, body=form) for _ in range(2)]
    assert [each.status for each in posted] == [200, 400]
    first, second = await signs(gateway, "auth.token.replayed")
    assert (first["issuer"], first["client"], first["detail"]) == ("corp", HOME, "login: used before")
    assert (second["subject"], second["detail"]) == ("repeated", "backchannel: a logout token that was used before")


@pytest.mark.parametrize(
    ("client", "found"),
    [
        ("203.0.113.9", "203.0.113.0/24"),
        ("::ffff:203.0.113.9", "203.0.113.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("", ""),
        ("unix", ""),
    ],
)
async def test_what_is_one_network(client: str, found: str) -> None:
    assert network(client, Networks()) == found
