"""What is kept of an account and what is not, as it is attacked: another account by a link or a look-alike id, tokens that live on
at the provider, a session that ends meanwhile; and that nobody's address is blocked for what a provider refuses."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio

from gateway.credentials.grants.connecting import Connecting
from gateway.credentials.grants.exchange import Exchange
from gateway.credentials.grants.refresh import Pair
from gateway.portal.connections import TYPED
from tests.connecting import BASE, HTML, Accounts, Person, Place, connecting
from tests.house import Reply, Seen
from tests.login import ORIGIN, PAGE
from tests.standalone import PATIENCE, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
RULES = {"rules": [{"type": "brute_force", "threshold": 3, "window": "5m", "action": "block_address", "for": "15m"}]}
SCOPES = ["read", *(f"s{number}" for number in range(20))]
OK = {"id": 41, "login": "octo-alice"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """With detection on: whatever is counted here blocks all that come after."""
    async with connecting(tmp_path_factory.mktemp("kept"), over={"detection": RULES}, scopes=SCOPES) as here:
        yield here


@contextmanager
def answering(tracker: Accounts, path: str, answer: Callable[[Seen], tuple[int, Any]]) -> Iterator[None]:
    """One place of the provider answers so."""
    tracker.instead[path] = answer
    try:
        yield
    finally:
        del tracker.instead[path]


@contextmanager
def as_account(tracker: Accounts, **account: Any) -> Iterator[None]:
    tracker.account = account
    try:
        yield
    finally:
        tracker.account = dict(OK)


def ended(tracker: Accounts) -> list[str]:
    return [form["token"].removeprefix("canary-") for form in tracker.posted("/revoke")]


def given(tracker: Accounts) -> list[str]:
    """The last pair, in the order in which it is ended."""
    return [f"{kind}-tracker-{tracker.number}" for kind in ("refresh", "access")]


def problem(reply: Reply) -> tuple[int, str]:
    return reply.status, reply.json()["type"].rpartition(":")[2]


async def revoked(place: Place, subject: str) -> list[str]:
    events = await place.gateway.events()
    return [each["revoked"] for each in events if each["event"] == "grant.disconnected" and each["subject"] == subject]


async def test_an_account_that_nobody_tells_takes_nobodys_place(place: Place) -> None:
    """A token that may not say whose it is would be the first step, and any account the second."""
    person, tracker = await place.person("alice"), place.tracker
    assert (await person.connected(tracker)).status == 303
    with answering(tracker, "/me", lambda _: (403, {"error": "insufficient_scope"})):
        reply = await person.connected(tracker)
    assert (problem(reply), reply.json()["action"]) == ((403, "upstream-credential-missing"), "disconnect")
    assert (await person.connections())["tracker"]["account"] == "41"
    assert (await person.get("/app/x")).status == 200
    assert not set(given(tracker)) & set(ended(tracker)), "of the same account, for all that is known"


async def test_a_link_does_not_leave_out_the_scopes_that_tell_whose_account_it_is(place: Place) -> None:
    person = await place.person("berta")
    asked = parse_qs(urlsplit(await person.begun(scope="write")).query)
    assert asked["scope"] == [" ".join([*SCOPES, "write"])]


async def test_an_id_that_only_looks_the_same_is_another_account(place: Place) -> None:
    person, tracker = await place.person("carl"), place.tracker
    for known, other in (("carl", "carl\u200b"), ("x" * 128 + "a", "x" * 128 + "b")):
        with as_account(tracker, id=known):
            assert (await person.connected(tracker)).status == 303
            assert (await person.connected(tracker)).status == 303, "the same again"
        with as_account(tracker, id=other):
            assert problem(await person.connected(tracker)) == (403, "upstream-credential-missing")
        assert (await person.form(f"{BASE}/tracker/disconnect")).status == 303


async def test_tokens_that_are_not_kept_do_not_live_on_at_the_provider(place: Place) -> None:
    person, tracker = await place.person("dora"), place.tracker
    with answering(tracker, "/me", lambda _: (503, {})):
        assert problem(await person.connected(tracker)) == (503, "dependency-down")
    assert ended(tracker)[-2:] == given(tracker)
    assert (await person.connected(tracker)).status == 303
    with as_account(tracker, id=66, login="mallory"):
        assert problem(await person.connected(tracker)) == (403, "upstream-credential-missing")
    assert ended(tracker)[-2:] == given(tracker)
    assert (await person.get("/app/x")).status == 200


async def test_a_refresh_token_that_lives_on_is_not_told_as_ended(place: Place) -> None:
    person, tracker = await place.person("emil"), place.tracker

    def half(seen: Seen) -> tuple[int, Any]:
        return (503 if parse_qs(seen.body.decode())["token_type_hint"] == ["refresh_token"] else 200), {}

    assert (await person.connected(tracker)).status == 303
    with answering(tracker, "/revoke", half):
        assert (await person.form(f"{BASE}/tracker/disconnect")).status == 303
    assert await revoked(place, "emil") == ["no"]


async def test_a_pair_that_a_refresh_brings_after_the_end_is_ended_too(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    person, tracker, upstream = await place.person("finn"), place.tracker, place.gateway.upstream
    assert (await person.connected(tracker)).status == 303
    call, reached, gate = Exchange.__call__, asyncio.Event(), asyncio.Event()

    async def held(self: Exchange, *told: Any) -> Pair:
        pair = await call(self, *told)
        reached.set()
        await gate.wait()
        return pair

    monkeypatch.setattr(Exchange, "__call__", held)
    monkeypatch.setattr(upstream, "answer", b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
    asking = asyncio.create_task(person.get("/app/x"))
    await asyncio.wait_for(reached.wait(), PATIENCE)
    other = Person(place.gateway)
    other.jar = dict(person.jar)
    assert (await other.form(f"{BASE}/tracker/disconnect")).status == 303
    assert not set(given(tracker)) & set(ended(tracker))
    gate.set()

    async def is_over() -> bool:
        return ended(tracker)[-2:] == given(tracker)

    await until(is_over, "the pair lives on")
    await asking


async def test_a_session_that_ends_while_its_code_is_exchanged_gets_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    person, tracker = await place.person("gina"), place.tracker
    tracker.personal = {"canary-pat-gina": {"id": 7, "login": "gina"}}
    back, ask, body = tracker.authorised(await person.begun()), Connecting.account, {"token": "canary-pat-gina"}

    async def leaves(self: Connecting, *told: Any) -> Any:
        account = await ask(self, *told)
        leaving = Person(place.gateway)
        leaving.jar = dict(person.jar)
        assert (await leaving.write("/.gateway/logout")).status < 400
        return account

    monkeypatch.setattr(Connecting, "account", leaves)
    assert (await person.get(back, headers=PAGE)).status == 401
    assert ended(tracker)[-2:] == given(tracker)
    person = await place.person("gina")
    assert (await person.form(f"{BASE}/tracker/token", **body)).status == 401
    assert (await (await place.person("gina")).connections())["tracker"]["state"] == "none"


async def test_many_scopes_are_asked_for_and_stepped_up_from(place: Place) -> None:
    person, tracker = await place.person("hugo"), place.tracker
    tracker.grants = " ".join(SCOPES)
    try:
        assert (await person.connected(tracker)).status == 303
        denied = await person.get("/write/x")
        url = denied.json()["connect_url"].removeprefix(ORIGIN)
        assert (await person.get(url, headers=HTML)).status == 200
        asked = parse_qs(urlsplit(await person.begun(scope=parse_qs(urlsplit(url).query)["scope"][0])).query)
    finally:
        tracker.grants = "read"
    assert set(asked["scope"][0].split()) == {*SCOPES, "write"}


async def test_what_a_provider_refuses_blocks_nobodys_address(place: Place) -> None:
    person, tracker = await place.person("ines"), place.tracker
    tracker.refuses = (400, {"error": "invalid_grant"})
    try:
        for _ in range(4):
            assert problem(await person.connected(tracker)) == (401, "credential-invalid")
    finally:
        tracker.refuses = None
    for number in range(TYPED):
        wrong = await person.form(f"{BASE}/tracker/token", token=f"canary-typo-{number}")
        assert problem(wrong) == (401, "credential-invalid")
    again = await place.person("ines")
    asked = len(tracker.seen)
    spent = await again.form(f"{BASE}/tracker/token", token="canary-typo")
    assert (spent.status, spent["retry-after"], len(tracker.seen)) == (429, "600", asked)
    assert (await again.connections())["tracker"]["state"] == "none", "nobody is blocked"


@pytest.mark.parametrize("site", [None, "cross-site"])
async def test_a_page_that_leads_its_visitors_to_made_up_states_has_none_of_them_blocked(place: Place, site: str | None) -> None:
    """Also where a browser, or what stands before it, says nothing of the site."""
    person = await place.person("jana")
    headers = {name: value for name, value in {**PAGE, "Sec-Fetch-Site": site}.items() if value is not None}
    for _ in range(5):
        assert problem(await person.get(f"{BASE}/tracker/callback?state=made-up&code=x", headers=headers)) == (400, "state-invalid")
    assert (await person.connected(place.tracker)).status == 303
