"""Several tabs of one browser log in at the same time; what other sites begin in it is bounded."""

from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import pytest_asyncio

from gateway.authn.login.pending import MOST, SLOTS
from tests.house import House
from tests.login import ORIGIN, PAGE, STATE, Browser, Moved, ScriptedProvider, login_house

pytestmark = pytest.mark.asyncio(loop_scope="module")
Place = tuple[House, ScriptedProvider, Moved]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    clock = Moved()
    async with login_house(tmp_path_factory.mktemp("tabs"), clock=clock) as (gateway, [corp]):
        yield gateway, corp, clock


async def begun(browser: Browser, place: Place, to: str) -> str:
    """Where the provider sends a tab back to; the tabs begin one after the other."""
    place[2].ahead += 0.01
    reply = await browser.get(f"/.gateway/login?{urlencode({'provider': 'corp', 'rd': to})}", headers=PAGE)
    assert reply.status == 303
    return place[1].authorised(reply["location"])


async def test_every_tab_comes_back_to_its_own_page_in_any_order(place: Place) -> None:
    browser = Browser(place[0])
    tabs = {f"/app/{number}": await begun(browser, place, f"/app/{number}") for number in range(MOST)}
    assert len(browser.pending) == MOST
    for to, back in reversed(tabs.items()):
        jar = dict(browser.jar)
        reply = await browser.get(back, headers=PAGE)
        assert (reply.status, reply.get("location")) == (303, f"{ORIGIN}{to}")
        kept, browser.jar = browser.jar, jar
        assert (await browser.get(back, headers=PAGE)).status == 400, "each is good once"
        browser.jar = kept
    assert browser.pending == {}
    assert (await browser.get("/app/home")).status == 200


async def test_a_flood_of_logins_another_site_begins_fills_no_jar_and_the_newest_count(place: Place) -> None:
    browser = Browser(place[0])
    tabs = [await begun(browser, place, f"/app/{number}") for number in range(SLOTS + MOST)]
    assert len(browser.pending) == MOST
    assert [(await browser.get(back, headers=PAGE)).status for back in tabs[-MOST - 1 :]] == [400, *[303] * MOST]


async def test_what_is_not_ours_is_given_up_first(place: Place) -> None:
    browser = Browser(place[0])
    tabs = [await begun(browser, place, "/app/x") for _ in range(MOST - 1)]
    free = next(name for slot in range(SLOTS) if (name := f"{STATE}{slot:x}") not in browser.jar)
    browser.jar[free] = "tossed"
    tabs.append(await begun(browser, place, "/app/x"))
    assert "tossed" not in browser.jar.values()
    assert [(await browser.get(back, headers=PAGE)).status for back in tabs] == [303] * MOST


@pytest.mark.parametrize("kind", ["another slot", "no slot", "none", "moved"])
async def test_a_state_that_points_elsewhere_is_refused_and_harms_no_other_login(place: Place, kind: str) -> None:
    browser = Browser(place[0])
    back = await begun(browser, place, "/app/x")
    [(name, value)] = browser.pending.items()
    state = parse_qs(urlsplit(back).query)["state"][0]
    other = f"{(int(state[0], 16) + 1) % SLOTS:x}"
    forged = {"another slot": other + state[1:], "no slot": "g" + state[1:], "none": "", "moved": other + state[1:]}[kind]
    if kind == "moved":
        browser.jar[f"{STATE}{other}"] = value
    reply = await browser.get(back.replace(state, forged), headers=PAGE)
    assert (reply.status, reply.json()["type"]) == (400, "urn:latchgate:problem:state-invalid")
    assert browser.jar[name] == value
    assert (await browser.get(back, headers=PAGE)).status == 303


async def test_no_upstream_is_told_of_logins_under_way(place: Place) -> None:
    gateway, corp, _ = place
    browser = Browser(gateway)
    await browser.login(corp)
    await begun(browser, place, "/app/x")
    assert (await browser.get("/app/home")).status == 200
    assert STATE not in str(gateway.upstream.seen[-1].headers)
