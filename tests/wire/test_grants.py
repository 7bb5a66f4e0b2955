"""Requests that go out with the asking principal's own token, or not at all."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from gateway.core.errors import ConfigError
from gateway.core.secret import Secret
from gateway.credentials.grants.kept import Kept, forget
from gateway.store.sql.grants import GrantRows
from gateway.store.sql.model import Sqlite
from gateway.store.sql.rows import Conflict
from tests.granting import ENVIRON, Drawer, Provider, a_grant, granting, issuing
from tests.house import House, Reply, Seen, config, house
from tests.minting import Asked, Mint, reply
from tests.standalone import until

REFUSED = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n{}"
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@dataclass
class Place:
    """A gateway, its provider, and its drawer of grants."""

    house: House
    drawer: Drawer
    provider: Provider
    mint: Mint

    @property
    def kept(self) -> Kept:
        return self.drawer.kept

    async def ask(self, subject: str = "alice", method: str = "GET", **more: Any) -> Reply:
        return await self.house.get("/things/1", token=self.house.keys.token(subject), method=method, **more)

    def sent(self) -> list[str]:
        """The Authorization of every request that reached the upstream."""
        return [value for seen in self.house.upstream.seen for value in seen.all("authorization")]


@asynccontextmanager
async def place(folder: Path, over: dict[str, Any] | None = None, /, **grant: Any) -> AsyncIterator[Place]:
    provider = Provider()
    file = folder / "store.db"
    async with issuing(provider) as mint:
        parts = granting(folder, mint, {"file": str(file)}, **grant)
        parts["credentials"]["service"] = {"inject": "bearer", "secret": {"env": "SERVICE"}}
        drawer = Drawer(Sqlite(file=file))
        async with house(folder, environ={**ENVIRON, "SERVICE": "service-token"}, **parts, **(over or {})) as started, drawer:
            yield Place(started, drawer, provider, mint)


async def test_each_principal_goes_out_with_its_own_token_and_nobody_without(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        await here.kept.put(a_grant("alice"))
        await here.kept.put(a_grant("bob"))
        assert (await here.ask("alice")).status == 200
        assert (await here.ask("bob")).status == 200
        refused = await here.ask("carol")
        assert refused.status == 403
        assert refused.json()["type"] == "urn:latchgate:problem:upstream-credential-missing"
        assert (refused.json()["provider"], refused.json()["action"]) == ("tracker", "connect")
        assert here.sent() == ["Bearer canary-access-of-alice", "Bearer canary-access-of-bob"]


async def test_fifty_requests_on_an_expired_token_make_one_refresh_and_all_succeed(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        await here.kept.put(a_grant(refresh=Secret(b"canary-refresh-0"), expires_at=time.time() - 10))
        replies = await asyncio.gather(*(here.ask() for _ in range(50)))
        assert {reply.status for reply in replies} == {200}
        assert len(here.mint.asked) == 1
        assert set(here.sent()) == {"Bearer canary-access-1"}


async def test_a_provider_that_answers_twice_is_believed_once(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        await here.kept.put(a_grant(refresh=Secret(b"canary-refresh-0"), expires_at=time.time() - 10))
        smuggled = reply({"access_token": "canary-access-smuggled", "refresh_token": "canary-refresh-smuggled"})

        async def twice(asked: Asked) -> bytes:
            return await here.provider(asked) + smuggled

        here.mint.answer = twice
        assert (await here.ask()).status == 200
        assert here.sent() == ["Bearer canary-access-1"]
        assert len(here.mint.asked) == 1


async def test_a_token_that_an_upstream_refuses_is_replaced_once_and_the_request_sent_again(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        await here.kept.put(a_grant(refresh=Secret(b"canary-refresh-0")))

        def answer(seen: Seen) -> bytes:
            return FINE if seen.all("authorization") == ["Bearer canary-access-1"] else REFUSED

        here.house.upstream.answer = answer
        assert (await here.ask()).status == 200
        assert here.sent() == ["Bearer canary-access-of-alice", "Bearer canary-access-1"]
        here.house.upstream.answer = REFUSED
        assert (await here.ask()).status == 401
        assert len(here.mint.asked) == 1, "an upstream that refuses every token causes no loop"


async def test_a_token_that_is_refused_after_it_served_is_replaced_where_nothing_was_waited_for(tmp_path: Path) -> None:
    """A request that never waited for anything but its upstream is no task of asyncio's."""
    async with place(tmp_path) as here:
        await here.kept.put(a_grant(refresh=Secret(b"canary-refresh-0")))
        token = here.house.keys.token("alice")
        good = ["Bearer canary-access-of-alice"]
        here.house.upstream.answer = lambda seen: FINE if seen.all("authorization") == good else REFUSED
        for expected in ("Bearer canary-access-of-alice", "Bearer canary-access-1"):
            good[0] = expected
            assert (await here.house.get("/things/1", token=token)).status == 200
        assert len(here.mint.asked) == 1


async def test_a_grant_that_was_connected_anew_is_not_taken_for_the_one_before(tmp_path: Path) -> None:
    """Its row is a first one again, and whoever read the first one before may still hold it."""
    async with place(tmp_path) as here:
        old = await here.kept.put(a_grant())
        assert (await here.ask()).status == 200
        await forget(GrantRows(here.drawer.database), old.key)
        new = await here.kept.put(replace(a_grant(), access=Secret(b"canary-access-anew")))
        assert old.version != new.version
        with pytest.raises(Conflict):
            await here.kept.put(replace(old, access=Secret(b"canary-access-refreshed")))

        async def is_new() -> bool:
            await here.ask()
            return here.sent()[-1] == "Bearer canary-access-anew"

        await until(is_new, "the old grant stays")


async def test_a_grant_that_the_provider_ended_is_refused_with_what_to_do_and_asked_for_no_more(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        await here.kept.put(a_grant(refresh=Secret(b"canary-unknown"), expires_at=time.time() - 10))
        for _ in range(3):
            reply = await here.ask()
            assert reply.status == 403
            assert (reply.json()["action"], reply.json()["problem"]) == ("reconnect", "refused")
        assert len(here.mint.asked) == 1
        assert here.sent() == []


async def test_a_revoked_grant_is_used_for_a_second_at_most(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        grant = await here.kept.put(a_grant())
        assert (await here.ask()).status == 200
        await forget(GrantRows(here.drawer.database), grant.key)
        revoked = time.monotonic()
        while (await here.ask()).status == 200:
            await asyncio.sleep(0.05)
        assert time.monotonic() - revoked < 20, "how long it takes on this machine says little; that it ends, all"


async def test_a_route_that_needs_more_than_the_grant_has_says_which_scopes(tmp_path: Path) -> None:
    async with place(tmp_path, requires_scopes=["issues:read", "issues:write"]) as here:
        await here.kept.put(a_grant(scopes=("issues:read",)))
        reply = await here.ask()
        assert reply.status == 403
        assert reply.json()["type"] == "urn:latchgate:problem:insufficient-scope"
        assert reply.json()["missing_scopes"] == ["issues:write"]
        assert here.sent() == []


async def test_what_a_route_needs_is_asked_beside_what_the_credential_needs_and_of_no_other_route(tmp_path: Path) -> None:
    issues = {"name": "issues", "match": {"path": "/issues/**"}, "upstream": "api", "authenticate": ["jwt.corp"]}
    routes = [*config(0)["routes"], {**issues, "credential": ["bot", "service"], "requires_scopes": ["issues:write"]}]
    async with place(tmp_path, {"routes": routes}, requires_scopes=["profile"]) as here:
        await here.kept.put(a_grant("alice", scopes=("profile", "email")))
        await here.kept.put(a_grant("bob", scopes=("email", "issues:write", "profile")))
        assert (await here.ask("alice")).status == 200
        token = here.house.keys.token
        refused = (await here.house.get("/issues/1", token=token("alice"))).json()
        told = {name: refused[name] for name in ("type", "status", "provider", "action", "missing_scopes", "request_scopes")}
        assert told == {
            "type": "urn:latchgate:problem:insufficient-scope",
            "status": 403,
            "provider": "tracker",
            "action": "reconnect",
            "missing_scopes": ["issues:write"],
            "request_scopes": ["email", "issues:write", "profile"],
        }
        assert (await here.house.get("/issues/1", token=token("bob"))).status == 200
        assert (await here.house.get("/issues/1", token=token("carol"))).status == 200, "she has no grant: the next of the list"
        assert here.sent() == ["Bearer canary-access-of-alice", "Bearer canary-access-of-bob", "Bearer service-token"]


async def test_a_row_that_was_tampered_with_is_answered_503_and_reaches_no_upstream(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        await here.kept.put(a_grant("mallory"))
        await here.drawer.database.write(text("UPDATE grants SET subject = 'alice'"))
        reply = await here.ask("alice")
        assert (reply.status, reply.json()["type"]) == (503, "urn:latchgate:problem:dependency-down")
        assert here.sent() == []
        metrics = (await here.house.get("/metrics", listener="admin", host="localhost")).body.decode()
        assert [line for line in metrics.splitlines() if line.startswith("gateway_grant_refused_total{") and line.endswith(" 1")]


async def test_every_change_of_a_grant_is_told_once_without_a_token(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        ended = time.time() - 10
        stored = await here.kept.put(a_grant(refresh=Secret(b"canary-refresh-0"), expires_at=ended, scopes=("read",)))
        broken = await here.kept.put(a_grant("bob", refresh=Secret(b"canary-unknown"), expires_at=ended))
        await here.kept.put(a_grant("mallory"))
        await here.drawer.database.write(text("UPDATE grants SET subject = 'carol' WHERE subject = 'mallory'"))
        for subject in ("alice", "alice", "bob", "bob", "carol", "carol"):
            await here.ask(subject)
        told = [each for each in await here.house.events() if each["event"].startswith("grant.")]
        assert [(each["event"], each["provider"], each["issuer"], each["subject"]) for each in told] == [
            ("grant.refreshed", "tracker", "corp", "alice"),
            ("grant.broken", "tracker", "corp", "bob"),
            ("grant.refused", "tracker", "corp", "carol"),
        ]
        assert (told[0]["version"], told[0]["scopes"], told[0]["expires_at"][:2]) == (stored.version + 1, ["read"], "20")
        assert re.fullmatch("[0-9a-f]{16}", told[0]["fingerprint"])
        assert (told[1]["version"], told[1]["problem"], told[2]["fault"]) == (broken.version + 1, "refused", "altered")
        assert "canary" not in str(told)


async def test_a_provider_that_fails_is_told_of_once_for_each_grant_until_it_is_well_again(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        here.mint.answer = b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"
        await here.kept.put(a_grant(refresh=Secret(b"canary-refresh-0"), expires_at=time.time() - 10))
        assert [(await here.ask()).status for _ in range(3)] == [503] * 3
        (told,) = [each for each in await here.house.events() if each["event"].startswith("grant.")]
        assert (told["event"], told["level"], told["subject"]) == ("grant.refresh.failed", "warning", "alice")
        assert "answered 500" in told["detail"]


async def test_no_token_is_told_in_answers_the_trail_or_on_the_operators_port(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        await here.kept.put(a_grant(refresh=Secret(b"canary-refresh-0"), expires_at=time.time() - 10))
        here.house.upstream.answer = lambda seen: (
            b"HTTP/1.1 200 OK\r\nX-Echo: " + seen.all("authorization")[0].encode() + b"\r\nContent-Length: 2\r\n\r\n{}"
        )
        said = [await here.ask(), await here.ask("nobody")]
        said += [
            await here.house.get(path, listener="admin", host="localhost")
            for path in ("/readyz?verbose", "/config_dump", "/metrics")
        ]
        texts = [str(reply.headers) + reply.body.decode() for reply in said] + [str(await here.house.events())]
        assert said[0].status == 200
        assert [text for text in texts if "canary-access" in text or "canary-refresh" in text or "canary-client" in text] == []


@pytest.mark.parametrize(
    ("without", "told"),
    [("database", "add `database:"), ("vault", "add `vault:"), ("providers", "unknown provider 'tracker'")],
)
async def test_what_a_grant_needs_is_asked_for_at_load(tmp_path: Path, without: str, told: str) -> None:
    async with issuing(Provider()) as mint:
        parts = granting(tmp_path, mint, {"file": str(tmp_path / "store.db")})
        del parts[without]
        with pytest.raises(ConfigError, match=told):
            async with house(tmp_path, environ=ENVIRON, **parts):
                raise AssertionError("it started")


async def test_a_schema_of_another_gateway_keeps_this_one_from_starting(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    drawer = Drawer(Sqlite(file=file))
    async with drawer, issuing(Provider()) as mint:
        await drawer.database.write(text("UPDATE alembic_version SET version_num = '9999'"))
        with pytest.raises(ConfigError, match="a newer gateway migrated the database"):
            async with house(tmp_path, environ=ENVIRON, **granting(tmp_path, mint, {"file": str(file)})):
                raise AssertionError("it started")
