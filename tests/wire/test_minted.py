"""Minted credentials through a whole gateway: a token endpoint over TLS, an upstream, requests. Nothing goes out without a token."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.house import House, house
from tests.minting import Asked, Mint, reply

SECRET = "canary-client-secret-41"
OK = reply({"ok": True})
REFUSED = reply({"error": "bad token"}, 401)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@dataclass
class Scene:
    """A gateway, the mint it asks and the upstream it serves."""

    gateway: House
    mint: Mint
    tokens: list[str]

    async def get(self, target: str = "/things/1", subject: str = "alice", **more: Any) -> int:
        return (await self.gateway.get(target, token=self.gateway.keys.token(subject), **more)).status

    @property
    def sent(self) -> list[str]:
        """The Authorization of every request that reached the upstream; each has exactly one."""
        return [value for seen in self.gateway.upstream.seen for [value] in [seen.all("authorization")]]


def numbered(tokens: list[str], lifetime: int = 3600) -> Callable[[Asked], bytes]:
    """Another token for each request, and a note of it."""
    count = itertools.count(1)

    def answer(asked: Asked) -> bytes:
        tokens.append(f"minted-{next(count)}")
        return reply({"access_token": tokens[-1], "token_type": "Bearer", "expires_in": lifetime})

    return answer


def client(mint: Mint, ca: Path, **more: Any) -> dict[str, Any]:
    own = {"inject": "client_credentials", "client": {"id": "gw", "secret": {"env": "CLIENT_SECRET"}}}
    return {**own, "token_url": mint.url(), "dial": {"ca": str(ca), "allow_private": True}, **more}


def route(name: str, *credential: str) -> dict[str, Any]:
    return {
        "name": name,
        "match": {"path": f"/{name}/{{thing}}"},
        "upstream": "plain",
        "authenticate": ["jwt.corp"],
        "credential": list(credential),
    }


@asynccontextmanager
async def scene(
    folder: Path,
    authority: trustme.CA,
    *,
    kinds: dict[str, dict[str, Any]] | None = None,
    routes: list[dict[str, Any]] | None = None,
) -> AsyncIterator[Scene]:
    """`kinds` are credentials beside `bot`, or what is different of it."""
    tokens: list[str] = []
    ca = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    async with Mint(authority, numbered(tokens), name="127.0.0.1") as mint:
        made = {name: kind if "secret" in kind else client(mint, ca, **kind) for name, kind in {"bot": {}, **(kinds or {})}.items()}
        listed = routes or [route("things", "bot")]
        async with house(folder, credentials=made, routes=listed, environ={"CLIENT_SECRET": SECRET}) as gateway:
            yield Scene(gateway, mint, tokens)


async def test_many_requests_share_one_token_and_the_client_sees_none(authority: trustme.CA, tmp_path: Path) -> None:
    async with scene(tmp_path, authority) as on:
        on.gateway.upstream.answer = lambda seen: reply({"you": "sent"}, 200, f"X-Echo: {seen.all('authorization')[0]}")
        answers = await asyncio.gather(
            *(on.gateway.get(f"/things/{number}", token=on.gateway.keys.token()) for number in range(30))
        )
        assert {answer.status for answer in answers} == {200}
        assert on.tokens == ["minted-1"]
        assert set(on.sent) == {"Bearer minted-1"}
        assert not any("minted-1" in value for answer in answers for _, value in answer.headers)
        events = await on.gateway.events()
        told = [event for event in events if event["event"] == "token.refreshed"]
        assert [(event["credential"], event["provider"]) for event in told] == [("bot", f"127.0.0.1:{on.mint.port}")]
        assert {event["credential"] for event in events if event["event"] == "request"} == {"bot"}
        written = (tmp_path / "audit.jsonl").read_text()
        assert SECRET not in written
        assert "minted-1" not in written
        status = on.gateway.process.resources.status()["tokens"]
        assert (status["bot"]["tokens"], status["bot"]["error"]) == (1, None)


async def test_a_token_survives_a_reload_that_does_not_change_it(authority: trustme.CA, tmp_path: Path) -> None:
    async with scene(tmp_path, authority) as on:
        await on.get()
        assert await on.gateway.process.reload()
        await on.get()
        assert on.tokens == ["minted-1"]
        document = json.loads(json.dumps(on.gateway.process.loaded.source.value))
        document["credentials"]["bot"]["scope"] = ["other"]
        on.gateway.write(document)
        assert await on.gateway.process.reload()
        await on.get()
        assert on.tokens == ["minted-1", "minted-2"]


async def test_after_a_401_a_request_goes_out_once_more_with_another_token(authority: trustme.CA, tmp_path: Path) -> None:
    async with scene(tmp_path, authority) as on:
        on.gateway.upstream.answer = lambda seen: REFUSED if seen.all("authorization") == ["Bearer minted-1"] else OK
        assert await on.get(method="POST", body=b"said once, and again") == 200
        assert on.sent == ["Bearer minted-1", "Bearer minted-2"]
        assert [seen.body for seen in on.gateway.upstream.seen] == [b"said once, and again"] * 2
        [event] = await on.gateway.requests()
        assert (event["status"], event["credential"]) == (200, "bot")


async def test_an_upstream_that_refuses_every_token_is_asked_twice_and_its_answer_stands(
    authority: trustme.CA, tmp_path: Path
) -> None:
    async with scene(tmp_path, authority) as on:
        on.gateway.upstream.answer = REFUSED
        assert [await on.get() for _ in range(4)] == [401] * 4
        assert len(on.tokens) == 2
        assert len(on.sent) == 5


OUTAGES: dict[str, bytes] = {
    "redirects": reply(b"", 307, "Location: https://127.0.0.1:1/elsewhere"),
    "garbage": b"garbage\r\n\r\n",
    "hangs up": b"",
    "huge": reply(b"x" * 70_000),
    "announced giant": b"HTTP/1.1 200 OK\r\nContent-Length: 5000000000\r\n\r\n",
    "compressed": reply(b"x", 200, "Content-Encoding: gzip"),
    "not JSON": reply(b"<html>"),
    "line break in the token": reply({"access_token": "a\r\nX-Evil: 1", "token_type": "Bearer", "expires_in": 60}),
    "negative life": reply({"access_token": "a", "token_type": "Bearer", "expires_in": -1}),
    "endless life": reply(b'{"access_token": "a", "token_type": "Bearer", "expires_in": 1e999}'),
    "another type": reply({"access_token": "a", "token_type": "DPoP", "expires_in": 60}),
    "our secret back": reply({"error": SECRET, "error_description": SECRET}, 400),
    "refused": reply({"error": "invalid_client"}, 401),
}


async def test_without_a_token_nothing_is_forwarded_whatever_the_mint_does(authority: trustme.CA, tmp_path: Path) -> None:
    """Rows 125, 132: a token endpoint's fault never becomes an unauthenticated request."""
    kinds = {f"c{number}": {"scope": [str(number)]} for number, _ in enumerate(OUTAGES)}
    async with scene(tmp_path, authority, kinds=kinds, routes=[route(name, name) for name in kinds]) as on:
        on.mint.answer = lambda asked: list(OUTAGES.values())[int(asked.form["scope"])]
        answers = await asyncio.gather(*(on.get(f"/{name}/1") for name in kinds))
        assert dict(zip(OUTAGES, answers, strict=True)) == dict.fromkeys(OUTAGES, 503)
        assert len(on.mint.asked) == len(OUTAGES)
        assert on.gateway.upstream.seen == []
        events = await on.gateway.requests()
        assert {event["reason"] for event in events} == {"dependency-down"}
        assert SECRET not in (tmp_path / "audit.jsonl").read_text()


async def test_two_principals_and_two_hosts_get_their_own_tokens_at_once(authority: trustme.CA, tmp_path: Path) -> None:
    """Rows 106 to 108: onecli #251, an injection cache without the host in its key."""

    def exchanged(asked: Asked) -> bytes:
        subject = asked.form["subject_token"].split(".")[1]
        return reply({"access_token": f"{asked.form['audience']}.{subject}", "token_type": "Bearer", "expires_in": 600})

    kinds = {"bot": {"inject": "token_exchange", "audience": ["one"]}, "other": {"inject": "token_exchange", "audience": ["two"]}}
    async with scene(tmp_path, authority, kinds=kinds, routes=[route("things", "bot"), route("others", "other")]) as on:
        on.mint.answer = exchanged
        tokens = {who: on.gateway.keys.token(who) for who in ("alice", "bob")}
        asks = [(who, where) for who in tokens for where in ("things", "others")] * 5
        await asyncio.gather(*(on.gateway.get(f"/{where}/{who}", token=tokens[who]) for who, where in asks))
        assert len(on.gateway.upstream.seen) == 20
        for seen in on.gateway.upstream.seen:
            _, where, who = seen.target.split("/")
            audience = {"things": "one", "others": "two"}[where]
            assert seen.all("authorization") == [f"Bearer {audience}.{tokens[who].split('.')[1]}"]
        assert len(on.mint.asked) == 4
        for log in tmp_path.glob("*.jsonl"):
            assert not any(token.split(".")[2] in log.read_text() for token in tokens.values())


async def test_only_having_none_leads_on_to_the_next_credential(authority: trustme.CA, tmp_path: Path) -> None:
    shared = {"inject": "bearer", "secret": {"env": "UPSTREAM_TOKEN"}}
    kinds: dict[str, dict[str, Any]] = {"bot": {"inject": "token_exchange"}, "shared": shared}
    async with scene(tmp_path, authority, kinds=kinds, routes=[route("things", "bot", "shared")]) as on:
        on.mint.answer = reply({"error": "invalid_grant"}, 400)
        assert await on.get(subject="without-an-account") == 200
        on.mint.answer = reply({"access_token": "hers", "token_type": "Bearer", "expires_in": 600})
        assert await on.get(subject="alice") == 200
        on.mint.answer = reply({"error": "server_error"}, 500)
        assert await on.get(subject="bob") == 503
        assert on.sent == ["Bearer canary-upstream-token-7f3a", "Bearer hers"]
        events = await on.gateway.requests()
        assert [(event["credential"], event["reason"]) for event in events] == [
            ("shared", None),
            ("bot", None),
            (None, "dependency-down"),
        ]


async def test_at_the_end_of_the_list_there_is_a_refusal(authority: trustme.CA, tmp_path: Path) -> None:
    async with scene(tmp_path, authority, kinds={"bot": {"inject": "token_exchange"}}) as on:
        on.mint.answer = reply({"error": "access_denied"}, 403)
        answer = await on.gateway.get("/things/1", token=on.gateway.keys.token())
        assert (answer.status, answer.json()["type"]) == (403, "urn:latchgate:problem:upstream-credential-missing")
        assert "access_denied" not in answer.body.decode()
        assert on.gateway.upstream.seen == []
        [event] = await on.gateway.requests()
        assert event["detail"] == f"bot: 127.0.0.1:{on.mint.port}: answered 403 access_denied"


async def test_a_body_that_is_not_at_hand_is_not_sent_again(authority: trustme.CA, tmp_path: Path) -> None:
    async with scene(tmp_path, authority) as on:
        on.gateway.upstream.answer = REFUSED
        assert await on.get(method="POST", body=b"x" * 70_000) == 401
        assert len(on.gateway.upstream.seen) == 1
