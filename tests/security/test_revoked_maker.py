"""A token is of no use here when what it was minted from was taken back, however long its provider would take it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from sqlalchemy import text

from tests.house import House, house
from tests.minting import Asked, Mint, reply
from tests.standalone import until
from tests.storing import ENVIRON, Beside, storing


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

    async def comes(self, status: int) -> None:
        async def has_come() -> bool:
            return await self.ask() == status

        await until(has_come, f"status {status}")


@asynccontextmanager
async def place(folder: Path) -> AsyncIterator[Place]:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def given(_: Asked) -> bytes:
        asked.set()
        await answer.wait()
        return reply({"access_token": "canary-minted", "token_type": "Bearer", "expires_in": 3600})

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
        await here.comes(200)


async def test_a_token_that_comes_after_its_client_secret_was_revoked_is_not_sent_by_who_waited_for_it(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        waiting = asyncio.create_task(here.ask())
        await here.asked.wait()
        await here.beside.revoke("bot")

        async def is_told() -> bool:
            return "secret.revoked" in [event["event"] for event in await here.house.events()]

        await until(is_told, "the revocation")
        here.answer.set()
        assert await waiting == 503
        assert here.house.upstream.seen == []
