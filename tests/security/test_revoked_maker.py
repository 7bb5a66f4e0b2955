"""A token is of no use here when what it was minted from was taken back, however long its provider would take it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import trustme
from sqlalchemy import text

from gateway.core.secret import Secret
from gateway.credentials.stored.drawer import at
from tests.house import House, house
from tests.minting import Asked, Mint, reply
from tests.standalone import until
from tests.storing import ENVIRON, Beside, ring, storing


@dataclass
class Place:
    """A gateway whose client secret lies in the database, and the endpoint that gives tokens for it."""

    house: House
    beside: Beside
    mint: Mint
    asked: asyncio.Event
    answer: asyncio.Event

    async def ask(self) -> int:
        return (await self.house.get("/things/1", token=self.house.keys.token())).status

    @property
    def sent(self) -> list[str]:
        """What the upstream was shown last."""
        return self.house.upstream.seen[-1].all("authorization")

    async def comes(self, status: int) -> None:
        async def has_come() -> bool:
            return await self.ask() == status

        await until(has_come, f"status {status}")

    async def tells(self, name: str) -> None:
        async def has_told() -> bool:
            return name in [event["event"] for event in await self.house.events()]

        await until(has_told, name)


@asynccontextmanager
async def place(folder: Path) -> AsyncIterator[Place]:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def given(_: Asked) -> bytes:
        asked.set()
        await answer.wait()
        return reply({"access_token": f"canary-minted-{len(mint.asked)}", "token_type": "Bearer", "expires_in": 3600})

    file, ca = folder / "store.db", folder / "mint-ca.pem"
    async with Mint(trustme.CA(), given, name="localhost") as mint, Beside(file) as beside:
        mint.authority.cert_pem.write_to_path(str(ca))
        await beside.put("bot", "canary-client-secret")
        parts = storing({"file": str(file)})
        dial = {"ca": str(ca), "allow_private": True}
        client = {"id": "gw", "secret": {"sealed": "bot"}}
        parts["credentials"] = {"bot": {"inject": "client_credentials", "client": client, "token_url": mint.url(), "dial": dial}}
        async with house(folder, environ=ENVIRON, **parts) as started:
            yield Place(started, beside, mint, asked, answer)
            answer.set()


@pytest.mark.parametrize("change", ["revoked", "deleted", "altered"])
async def test_a_token_whose_client_secret_was_taken_back_is_sent_no_more(tmp_path: Path, change: str) -> None:
    async with place(tmp_path) as here:
        here.answer.set()
        assert await here.ask() == 200
        if change == "revoked":
            await here.beside.revoke("bot")
        elif change == "deleted":
            await here.beside.database.write(text("DELETE FROM secrets"))
        else:
            await here.beside.database.write(text("UPDATE secrets SET version = version + 1"))
        await here.comes(503)
        sent = len(here.house.upstream.seen)
        assert [await here.ask() for _ in range(3)] == [503] * 3
        assert len(here.house.upstream.seen) == sent
        await here.beside.database.write(text("DELETE FROM secrets"))
        await here.beside.put("bot", "canary-another-secret")
        assert len(here.mint.asked) == 1
        await here.comes(200)
        assert (len(here.mint.asked), here.sent) == (2, ["Bearer canary-minted-2"])


async def test_a_token_is_sent_no_more_though_nobody_saw_between_that_its_client_secret_was_revoked(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        here.answer.set()
        assert await here.ask() == 200
        row = await here.beside.rows.get("bot")
        assert row is not None
        another = ring().seal(at("bot", row.version + 2), Secret(b"canary-another-secret"))
        await here.beside.rows.put(replace(row, sealed=another), row.version + 2)

        async def is_minted_anew() -> bool:
            return await here.ask() == 200 and here.sent == ["Bearer canary-minted-2"]

        await until(is_minted_anew, "another token")


async def test_a_token_that_comes_after_its_client_secret_was_revoked_is_not_sent_by_who_waited_for_it(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        waiting = asyncio.create_task(here.ask())
        await here.asked.wait()
        await here.beside.revoke("bot")

        await here.tells("secret.revoked")
        here.answer.set()
        assert await waiting == 503
        assert here.house.upstream.seen == []


async def test_a_token_that_comes_after_another_client_secret_was_stored_is_sent_by_nobody(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        waiting = asyncio.create_task(here.ask())
        await here.asked.wait()
        await here.beside.revoke("bot")
        await here.tells("secret.revoked")
        await here.beside.put("bot", "canary-another-secret")
        await here.tells("secret.replaced")
        here.answer.set()
        assert await waiting == 503
        assert here.house.upstream.seen == []
        assert await here.ask() == 200
        assert (len(here.mint.asked), here.sent) == (2, ["Bearer canary-minted-2"])
