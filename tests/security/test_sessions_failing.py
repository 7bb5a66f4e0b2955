"""Sessions while something fails or ends beneath them: roles, claims, refreshes, the store."""

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Never

import pytest

from gateway.authn.login import renewal
from gateway.authn.login.provider import Provider
from gateway.core.errors import DependencyDown
from gateway.core.session_store import Stored
from gateway.store.sessions import MemorySessions
from tests.house import request_bytes
from tests.login import HOST, ORIGIN, SESSION, Browser, Moved, login_house, providers, replica, settings

MEMBERS = """
apiVersion: gateway/v1
kind: Policy
name: logins
routes: ["*"]
rules:
  - {name: members, allow: any, permission: "things:use"}
"""


async def away(*_: Any, **__: Any) -> Never:
    raise DependencyDown("the store is away")


class Wall(Moved):
    """A clock whose time of day alone is put forward: no session has to be looked for again."""

    def monotonic(self) -> float:
        return time.monotonic()


@pytest.mark.parametrize("clock", [Wall(), Moved()], ids=["on the same connection", "looked for again"])
async def test_a_role_that_ended_lives_on_in_no_session(tmp_path: Path, clock: Moved, monkeypatch: pytest.MonkeyPatch) -> None:
    end = datetime.fromtimestamp(time.time() + 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    binding = f'{{role: member, subjects: ["corp:alice"], expires_at: "{end}"}}'
    roles = f'apiVersion: gateway/v1\nkind: Roles\nroles: {{member: ["things:use"]}}\nbindings: [{binding}]\n'
    monkeypatch.setattr("tests.login.POLICY", MEMBERS)
    monkeypatch.setattr("tests.login.ROLES", roles)
    async with login_house(tmp_path, clock=clock, refresh="none") as (gateway, [corp]):
        browser = Browser(gateway)
        await browser.login(corp)
        again = request_bytes("/app/home", headers={"Cookie": f"{SESSION}={browser.jar[SESSION]}"}, host=HOST)
        reader, writer = await asyncio.open_connection(*gateway.address())
        try:
            for _ in range(3):
                writer.write(again)
                assert b"200 OK" in await reader.readuntil(b'{"ok":true}')
            clock.ahead = 1001
            writer.write(again)
            assert (await reader.readline()).startswith(b"HTTP/1.1 403")
        finally:
            writer.close()
        assert (await browser.get("/app/home")).status == 403


async def test_without_the_configured_subject_nobody_is_let_in(tmp_path: Path) -> None:
    clock = Moved()
    async with login_house(tmp_path, clock=clock, subject="email", refresh="10s") as (gateway, [corp]):
        browser = Browser(gateway)
        assert (await browser.login(corp)).status == 401
        corp.claims = {"email": "alice@corp.test"}
        assert (await browser.login(corp)).status == 303
        assert (await browser.get("/app/home")).status == 200
        corp.claims = {}
        clock.ahead += 11
        assert (await browser.get("/app/home")).status == 401
        ended = [event["cause"] for event in await gateway.events() if event["event"] == "session.ended"]
        assert ended == ["the provider refused a refresh"]


async def test_a_refresh_token_that_is_lost_ends_the_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renewal, "POLL", 0.001)
    clock = Moved()

    async def broken(*_: Any) -> Never:
        raise LookupError("surprise")

    async with login_house(tmp_path, clock=clock, refresh="10s") as (gateway, [corp]):
        for place, name, instead, status in (
            (MemorySessions, "replace", away, 503),
            (MemorySessions, "replace", broken, 500),
            (Provider, "refreshed", broken, 500),
        ):
            browser = Browser(gateway)
            await browser.login(corp)
            clock.ahead += 11
            with monkeypatch.context() as patch:
                patch.setattr(place, name, instead)
                assert (await browser.get("/app/home")).status == status
            used = corp.refreshed
            assert (await browser.get("/app/home")).status == 401
            assert corp.refreshed == used, "no refresh token is used twice"
        ended = [event["cause"] for event in await gateway.events() if event["event"] == "session.ended"]
        assert ended == ["a refresh was lost"] * 3


async def test_a_refresh_whose_storing_was_not_answered_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renewal, "POLL", 0.001)
    clock, put = Moved(), MemorySessions.replace

    async def unheard(store: MemorySessions, id: str, version: int, sealed: str) -> bool:
        if await put(store, id, version, sealed):
            raise DependencyDown("no answer in time")
        return False

    async with login_house(tmp_path, clock=clock, refresh="10s") as (gateway, [corp]):
        browser = Browser(gateway)
        await browser.login(corp)
        clock.ahead += 11
        monkeypatch.setattr(MemorySessions, "replace", unheard)
        assert (await browser.get("/app/home")).status == 200
        assert corp.refreshed == 1


async def test_a_refresh_takes_less_time_than_it_keeps_others_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert renewal.ASKED + renewal.KEPT < renewal.CLAIM
    clock = Moved()

    async def hangs(*_: Any) -> Never:
        await asyncio.Event().wait()
        raise AssertionError

    async with login_house(tmp_path, clock=clock, refresh="10s") as (gateway, [corp]):
        browser = Browser(gateway)
        await browser.login(corp)
        clock.ahead += 11
        with monkeypatch.context() as patch:
            patch.setattr(renewal, "ASKED", 0.01)
            patch.setattr(Provider, "refreshed", hangs)
            assert (await browser.get("/app/home")).status == 503
        clock.ahead += renewal.RETRY + 0.1
        assert (await browser.get("/app/home")).status == 200, "the claim was given back"
        assert corp.refreshed == 1


async def test_a_flood_of_one_cookie_does_not_mix_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who wait for the same look at the store are each told what their own route says."""
    async with providers("corp") as made:
        routes = settings(made)["routes"]
        next(route for route in routes if route["name"] == "app.either")["resource"] = "mcp"
        over = {"routes": routes, "resources": {"mcp": {"url": ORIGIN + "/either", "own_tokens_only": False}}}
        async with replica(tmp_path, made, over=over) as gateway:
            look = MemorySessions.get

            async def slow(store: MemorySessions, id: str) -> Stored | None:
                await asyncio.sleep(0.3)  # so that they wait together
                return await look(store, id)

            monkeypatch.setattr(MemorySessions, "get", slow)
            cookie = {"Cookie": f"{SESSION}={'A' * 43}"}
            paths = ["/either/x"] * 8 + ["/app/home"]
            replies = await asyncio.gather(*(gateway.get(path, headers=cookie, host=HOST) for path in paths))
            assert {reply.status for reply in replies} == {401}
            pointers = [str(reply.all("www-authenticate")).count("resource_metadata") for reply in replies]
            assert (set(pointers[:-1]), pointers[-1]) == ({pointers[0]}, 0)
            assert str(replies[0].all("www-authenticate")).count("resource_metadata") == len(replies[0].all("www-authenticate"))
