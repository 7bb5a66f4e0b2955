"""Credentials that answers mint: the client gets a placeholder, spends it through this gateway, and nothing else can be done with it."""

import asyncio
import base64
import json
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import pytest_asyncio

from tests.granting import KEY
from tests.house import House, Reply, Seen, Upstream, house
from tests.minting import reply

TOKEN = "minted+0/9zA_b-C=d~7.e0123456789"
OTHER = "second+0/9zA_b-C=d~7.e0123456789"
IN = "X-Upstream-Authorization"
STS = f"""<?xml version="1.0" encoding="UTF-8"?>
<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleResult><Credentials>
    <AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>{TOKEN}</SecretAccessKey>
    <SessionToken>{OTHER}</SessionToken><Expiration>2040-01-01T00:00:00Z</Expiration>
  </Credentials></AssumeRoleResult>
</AssumeRoleResponse>""".encode()
RESULT = "/AssumeRoleResponse/AssumeRoleResult/Credentials"


def capturing(**capture: Any) -> dict[str, Any]:
    return {"spend_with": "installation", "fields": ["/token"], **capture}


def route(name: str, upstream: str = "mint", **more: Any) -> dict[str, Any]:
    return {"name": name, "match": {"path": f"/{name}/**"}, "upstream": upstream, "authenticate": ["jwt.corp"], **more}


ROUTES = [
    route("mint", capture=capturing(expires="/expires_at", optional=["/refresh_token", "/inner/0/token"])),
    route("long", capture=capturing(max_age="2h")),
    route("small", capture=capturing(max_size=256)),
    route("sts", capture=capturing(fields=[f"{RESULT}/SecretAccessKey", f"{RESULT}/SessionToken"], format="xml")),
    route("form", capture=capturing(fields=["/access_token"], format="form", expires="/expires_in")),
    route("spend", credential="installation"),
    route("either", credential=["installation", "bot"]),
    route("elsewhere", credential="other"),
]
KINDS = {
    "installation": {"inject": "captured", "sent_in": IN},
    "other": {"inject": "captured", "sent_in": IN, "header": "X-Api-Key"},
    "bot": {"inject": "bearer", "secret": {"env": "UPSTREAM_TOKEN"}},
}


class Scene:
    def __init__(self, gateway: House, upstream: Upstream, folder: Path) -> None:
        self.gateway = gateway
        self.upstream = upstream
        self.folder = folder

    async def ask(
        self, target: str, answer: bytes | None = None, *, who: str = "alice", method: str = "POST", **fields: str
    ) -> Reply:
        if answer is not None:
            self.upstream.answer = answer
        sent = {name.replace("_", "-"): value for name, value in fields.items()}
        return await self.gateway.get(target, token=self.gateway.keys.token(who), method=method, headers=sent)

    async def minted(self, target: str = "/mint/x", who: str = "alice") -> str:
        """A placeholder."""
        said = await self.ask(target, reply({"token": TOKEN, "expires_at": "2040-01-01T00:00:00Z"}, 201), who=who)
        assert said.status == 201
        placeholder: str = said.json()["token"]
        assert placeholder.startswith("lgp1_")
        return placeholder

    async def spent(self, value: str, target: str = "/spend/x", who: str = "alice") -> tuple[int, list[str]]:
        """The status, and what the upstream was shown, if it was asked."""
        before = len(self.upstream.seen)
        said = await self.ask(target, reply({"ok": True}), who=who, **{IN.replace("-", "_"): value})
        new = self.upstream.seen[before:]
        assert not any(name.lower() == IN.lower() or "lgp1_" in value for seen in new for name, value in seen.headers)
        return said.status, [each for seen in new for each in seen.all("authorization") + seen.all("x-api-key")]

    async def events(self, name: str) -> list[dict[str, Any]]:
        return [event for event in await self.gateway.events() if event["event"] == name]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    folder = tmp_path_factory.mktemp("captured")
    async with Upstream() as upstream:
        plain = {"url": f"http://127.0.0.1:{upstream.port}", "allow_plaintext": True, "allow_private": True}
        vault = {"keys": [{"id": "k1", "env": "VAULT_KEY"}]}
        given: dict[str, Any] = {"vault": vault, "credentials": KINDS, "upstreams": {"mint": plain}, "routes": ROUTES}
        async with house(folder, environ={"VAULT_KEY": KEY}, **given) as gateway:
            yield Scene(gateway, upstream, folder)


pytestmark = pytest.mark.asyncio(loop_scope="module")


def leaked(said: Reply) -> bool:
    """Whether a client could read a credential in an answer."""
    whole = said.body + repr(said.headers).encode()
    plain = whole.replace(b"\\/", b"/")
    return any(
        value.encode() in text or base64.b64encode(value.encode())[:-4] in text
        for value in (TOKEN, OTHER)
        for text in (whole, plain)
    )


# What is captured is spent


async def test_a_client_gets_a_placeholder_and_the_upstream_gets_the_credential(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answer = reply({"token": TOKEN, "expires_at": "2040-01-01T00:00:00Z", "permissions": {"contents": "read"}}, 201, "X-Extra: 1")
    said = await scene.ask("/mint/x", answer)
    assert (said.status, said["cache-control"], said.get("x-extra")) == (201, "no-store", None)
    told = said.json()
    assert (told["permissions"], told["expires_at"]) == ({"contents": "read"}, "2040-01-01T00:00:00Z")
    assert not leaked(said)
    placeholder = told["token"]
    basic = base64.b64encode(f"x-access-token:{placeholder}".encode()).decode()
    assert await scene.spent(f"Bearer {placeholder}") == (200, [f"Bearer {TOKEN}"])
    assert await scene.spent(f"token {placeholder}") == (200, [f"token {TOKEN}"])
    assert await scene.spent(placeholder) == (200, [TOKEN])
    assert await scene.spent(f"Basic {basic}") == (200, ["Basic " + base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()])
    captured = (await scene.events("credential.captured"))[-1]
    assert (captured["issuer"], captured["subject"], captured["route"], captured["upstream"]) == ("corp", "alice", "mint", "mint")
    assert (captured["credential"], captured["fields"]) == ("installation", ["/token"])
    assert captured["request_id"] == (await scene.gateway.requests())[-5]["request_id"]
    written = (scene.folder / "audit.jsonl").read_text() + "".join(str(record.__dict__) for record in caplog.records)
    assert TOKEN not in written
    assert placeholder not in written


async def test_the_credential_does_not_come_back_from_where_it_is_spent(scene: Scene) -> None:
    placeholder = await scene.minted()
    scene.upstream.answer = lambda seen: reply({"headers": seen.headers}, 200, f"X-Echo: {seen.all('authorization')[0]}")
    said = await scene.gateway.get("/spend/x", token=scene.gateway.keys.token(), headers={IN: f"Bearer {placeholder}"})
    assert said.status == 200
    assert not leaked(said)
    assert "REDACTED" in said["x-echo"]


async def test_an_opened_placeholder_is_remembered_and_another_credential_of_the_plan_is_not_taken_for_a_bad_one(
    scene: Scene,
) -> None:
    placeholder = await scene.minted()
    for _ in range(2):
        assert await scene.spent(f"Bearer {placeholder}", "/either/x") == (200, [f"Bearer {TOKEN}"])
    status, shown = await scene.spent("Bearer lgp1_" + "A" * 80, "/either/x")
    assert (status, shown) == (403, [])
    said = await scene.ask("/either/x", reply({}))
    assert said.status == 200
    assert "Bearer canary" in scene.upstream.seen[-1].all("authorization")[0]


async def test_a_captured_answer_in_xml_is_the_same_but_for_the_values(scene: Scene) -> None:
    """AWS STS AssumeRole."""
    said = await scene.ask("/sts/x", b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n%b" % (len(STS), STS))
    assert said.status == 200
    assert not leaked(said)
    text = said.body.decode()
    first = text.partition("<SecretAccessKey>")[2].partition("<")[0]
    second = text.partition("<SessionToken>")[2].partition("<")[0]
    assert text.replace(first, TOKEN).replace(second, OTHER) == STS.decode()
    assert await scene.spent(second) == (200, [OTHER])


async def test_a_captured_answer_in_a_form(scene: Scene) -> None:
    """github.com/login/oauth/access_token answers so unless it is asked for JSON."""
    body = f"access_token={TOKEN.replace('+', '%2B').replace('=', '%3D')}&expires_in=600&scope=repo%2Cuser".encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n" % len(body)
    said = await scene.ask("/form/x", head + body)
    told = parse_qs(said.body.decode(), strict_parsing=True)
    assert (told["expires_in"], told["scope"], leaked(said)) == (["600"], ["repo,user"], False)
    assert await scene.spent(f"Bearer {told['access_token'][0]}") == (200, [f"Bearer {TOKEN}"])


async def test_optional_fields_are_captured_where_they_are(scene: Scene) -> None:
    """Slack rotates both tokens with one answer."""
    answer = {"token": TOKEN, "refresh_token": OTHER, "inner": [{"token": f"{OTHER}-inner"}], "expires_at": 3600}
    said = (await scene.ask("/mint/x", reply(answer))).json()
    shown = [said["token"], said["refresh_token"], said["inner"][0]["token"]]
    assert [await scene.spent(f"Bearer {each}") for each in shown] == [
        (200, [f"Bearer {each}"]) for each in (TOKEN, OTHER, f"{OTHER}-inner")
    ]


# What else an answer may say of it


async def test_the_credential_is_masked_wherever_else_the_answer_says_it(scene: Scene) -> None:
    more = {"copy": TOKEN, "url": f"https://x:{TOKEN}@host/", "b": base64.b64encode(f"x:{TOKEN}".encode()).decode()}
    escaped = json.dumps({"token": TOKEN, "expires_at": 600, **more}).replace(
        TOKEN[:3], "".join(f"\\u{ord(s):04x}" for s in TOKEN[:3])
    )
    lines = (f"Location: /#token={TOKEN}", f"Set-Cookie: t={TOKEN}", f"X-RateLimit-Key: {TOKEN}", f"Link: <{TOKEN}>; rel=next")
    said = await scene.ask("/mint/x", reply(escaped.encode(), 200, *lines, f"X-{TOKEN[:6]}: 1"))
    assert said.status == 200
    assert not leaked(said)
    assert "REDACTED" in said.json()["url"]
    assert said["x-ratelimit-key"] == "REDACTED"
    assert [said.get(name) for name in ("location", "set-cookie", "link")] == [None, None, None]


async def test_neither_interim_answers_nor_trailers_pass(scene: Scene) -> None:
    body = json.dumps({"token": TOKEN, "expires_at": 600}).encode()
    hints = f"HTTP/1.1 103 Early Hints\r\nLink: <{TOKEN}>; rel=preload\r\n\r\n".encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"".join(b"1\r\n%c\r\n" % octet for octet in body) + f"0\r\nX-Token: {TOKEN}\r\n\r\n".encode()
    scene.upstream.answer = hints + head + chunks
    reader, writer = await asyncio.open_connection(*scene.gateway.address())
    token = scene.gateway.keys.token()
    asked = (
        f"POST /mint/x HTTP/1.1\r\nHost: gw.test\r\nAuthorization: Bearer {token}\r\nConnection: close, TE\r\nTE: trailers\r\n\r\n"
    )
    writer.write(asked.encode())
    async with asyncio.timeout(60):
        whole = await reader.read()
    writer.close()
    assert whole.startswith(b"HTTP/1.1 200")
    assert b"lgp1_" in whole
    assert TOKEN.encode() not in whole


async def test_a_head_answer_tells_no_length_and_a_failure_keeps_its_words(scene: Scene) -> None:
    said = await scene.ask("/mint/x", reply({"token": TOKEN, "expires_at": 600}, 200, "ETag: x"), method="HEAD")
    assert (said.status, said.get("content-length"), said.get("etag")) == (200, None, None)
    said = await scene.ask("/mint/x", reply({"message": "Bad credentials"}, 401))
    assert (said.status, said.json()) == (401, {"message": "Bad credentials"})
    said = await scene.ask("/mint/x", reply({"message": "odd", "token": TOKEN, "expires_at": 600}, 422))
    assert (said.status, leaked(said), said.json()["token"][:5]) == (422, False, "lgp1_")
    said = await scene.ask("/mint/x", reply(f"<p>{TOKEN}</p>".encode(), 500))
    assert (said.status, said.body) == (500, b"")
    said = await scene.ask("/mint/x", reply(b"", 302, f"Location: /?code={TOKEN}"))
    assert (said.status, said.get("location"), said.body) == (302, None, b"")


async def test_pipelined_requests_get_a_placeholder_each(scene: Scene) -> None:
    scene.upstream.answer = reply({"token": TOKEN, "expires_at": 600})
    one = f"POST /mint/x HTTP/1.1\r\nHost: gw.test\r\nAuthorization: Bearer {scene.gateway.keys.token()}\r\n"
    reader, writer = await asyncio.open_connection(*scene.gateway.address())
    writer.write(f"{one}\r\n{one}\r\n{one}Connection: close\r\n\r\n".encode())
    async with asyncio.timeout(60):
        whole = (await reader.read()).decode()
    writer.close()
    placeholders = re.findall(r"lgp1_[A-Za-z0-9._~-]{64,}", whole)
    assert (whole.count("HTTP/1.1 200"), len(set(placeholders)), TOKEN in whole) == (3, 3, False)


# What is not understood is withheld

GOOD = {"token": TOKEN, "expires_at": "2040-01-01T00:00:00Z"}
ODD: dict[str, bytes] = {
    "no JSON": reply(f"token={TOKEN}".encode()),
    "empty": reply(b""),
    "a member twice": reply(f'{{"token":"{TOKEN}","token":"{OTHER}","expires_at":600}}'.encode()),
    "a member twice, in other case": reply(f'{{"token":"{TOKEN}","Token":"{OTHER}","expires_at":600}}'.encode()),
    "nested twice": reply(f'{{"token":"{TOKEN}","expires_at":600,"in":{{"token":"{OTHER}","token":1}}}}'.encode()),
    "a second document": reply(json.dumps(GOOD).encode() + f'\n{{"token":"{OTHER}"}}'.encode()),
    "cut": reply(json.dumps(GOOD).encode()[:-1]),
    "lacking": reply({"access_token": TOKEN}),
    "no text": reply({"token": {"value": TOKEN}, "expires_at": 600}),
    "short": reply({"token": "short", "expires_at": 600}),
    "long": reply({"token": TOKEN * 200, "expires_at": 600}),
    "blanks": reply({"token": f"{TOKEN} {TOKEN}", "expires_at": 600}),
    "no expiry": reply({"token": TOKEN}),
    "over already": reply({"token": TOKEN, "expires_at": "2001-01-01T00:00:00Z"}),
    "no time": reply({"token": TOKEN, "expires_at": "soon"}),
    "a time nowhere": reply({"token": TOKEN, "expires_at": "2040-01-01T00:00:00"}),
    "endless": reply(f'{{"token":"{TOKEN}","expires_at":1e999}}'.encode()),
    "gzip": reply(GOOD, 200, "Content-Encoding: gzip"),
    "UTF-16": reply(GOOD, 200).replace(b"application/json", b"application/json; charset=utf-16"),
    "a part": reply(GOOD, 206, "Content-Range: bytes 0-9/10"),
    "an array": reply([GOOD]),
}


@pytest.mark.parametrize("name", ODD)
async def test_what_cannot_be_captured_from_is_withheld(name: str, scene: Scene) -> None:
    said = await scene.ask("/mint/x", ODD[name])
    assert (said.status, said.json()["type"].rpartition(":")[2]) == (403, "response-withheld")
    assert not leaked(said)


async def test_a_long_answer_is_withheld_and_the_connection_not_used_again(scene: Scene) -> None:
    said = await scene.ask("/small/x", reply({"token": TOKEN, "more": "x" * 300}))
    assert (said.status, leaked(said)) == (403, False)
    body = json.dumps({"token": TOKEN}).encode()
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    said = await scene.ask("/small/x", head + b"%x\r\n%b\r\n" % (len(body), body) + b"fff\r\n" + b" " * 0xFFF + b"\r\n0\r\n\r\n")
    assert (said.status, leaked(said)) == (403, False)


async def test_a_truncated_answer_is_no_answer(scene: Scene) -> None:
    body = json.dumps(GOOD).encode()
    for framing in (b"Content-Length: 9999\r\n\r\n" + body, b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(body), body)):

        def answer(seen: Seen, framing: bytes = framing) -> bytes:
            for writer in scene.upstream._writers:
                asyncio.get_running_loop().call_later(0.01, writer.close)
            return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + framing

        scene.upstream.answer = answer
        said = await scene.ask("/mint/x")
        assert (said.status, leaked(said)) == (502, False)


XML = {
    "a document type": b"<!DOCTYPE r [<!ENTITY e 'x'>]>" + STS.partition(b"?>")[2],
    "a comment within": STS.replace(b"<SessionToken>", b"<SessionToken><!-- -->"),
    "a section": STS.replace(OTHER.encode(), b"<![CDATA[" + OTHER.encode() + b"]]>"),
    "an element within": STS.replace(b"<SessionToken>", b"<SessionToken><b/>"),
    "twice": STS.replace(b"<SessionToken>", b"<SessionToken>x</SessionToken><SessionToken>"),
    "credentials twice": STS.replace(b"<Credentials>", b"<Credentials><SessionToken>x</SessionToken></Credentials><Credentials>"),
    "another encoding": STS.replace(b"UTF-8", b"UTF-16"),
    "not closed": STS.replace(b"</AssumeRoleResponse>", b""),
    "two documents": STS + STS.partition(b"?>")[2],
    "lacking": STS.replace(b"SessionToken", b"Token"),
    "empty": STS.replace(OTHER.encode(), b""),
    "deep": b"<a>" * 100 + b"</a>" * 100,
}


@pytest.mark.parametrize("name", XML)
async def test_xml_that_cannot_be_captured_from_is_withheld(name: str, scene: Scene) -> None:
    said = await scene.ask("/sts/x", reply(XML[name]).replace(b"application/json", b"text/xml"))
    assert (said.status, leaked(said)) == (403, False)


# What a placeholder is good for


async def test_a_placeholder_of_somebody_else_is_refused_and_told(scene: Scene) -> None:
    placeholder = await scene.minted(who="alice")
    assert await scene.spent(f"Bearer {placeholder}", who="alice") == (200, [f"Bearer {TOKEN}"])
    assert await scene.spent(f"Bearer {placeholder}", who="mallory") == (403, [])
    event = (await scene.events("placeholder.refused"))[-1]
    assert (event["issuer"], event["subject"], event["route"], event["credential"], event["fault"]) == (
        "corp",
        "mallory",
        "spend",
        "installation",
        "altered",
    )


async def test_a_placeholder_for_another_credential_is_refused(scene: Scene) -> None:
    placeholder = await scene.minted()
    assert await scene.spent(f"Bearer {placeholder}", "/elsewhere/x") == (403, [])


async def test_an_altered_placeholder_is_refused(scene: Scene) -> None:
    placeholder = await scene.minted()
    key_id, at, wrapped, nonce, text = placeholder.removeprefix("lgp1_").split("~")
    later = [key_id, str(int(at) + 3600), wrapped, nonce, text]
    bad = [
        "lgp1_" + "~".join(later),
        placeholder.replace("lgp1_", "lgs1_"),
        "lgp1_" + placeholder.removeprefix("lgp1_").replace("~", ":"),
        placeholder + "=",
        placeholder[:-1],
        placeholder[:-2] + ("AA" if placeholder[-2:] != "AA" else "BB"),
        f"lgp1_k9~{at}~{wrapped}~{nonce}~{text}",
        "lgp1_",
        "x" * 9000,
        "",
        "Bearer",
        "Basic !!",
        "Basic " + base64.b64encode(placeholder.encode()).decode(),
        f"Bearer {placeholder} {placeholder}",
    ]
    for value in bad:
        assert await scene.spent(value) == (403, []), value


async def test_two_placeholders_in_one_request_are_refused(scene: Scene) -> None:
    placeholder = await scene.minted()
    token = scene.gateway.keys.token()
    asked = f"GET /spend/x HTTP/1.1\r\nHost: gw.test\r\nAuthorization: Bearer {token}\r\n" + f"{IN}: {placeholder}\r\n" * 2 + "\r\n"
    assert (await scene.gateway.raw(asked.encode())).status == 403


async def test_a_placeholder_in_the_query_is_just_text_and_is_not_written_down(scene: Scene) -> None:
    placeholder = await scene.minted()
    said = await scene.ask(f"/spend/x?access_token={placeholder}", reply({"ok": True}))
    assert said.status == 403
    await scene.gateway.process.flush()
    assert placeholder not in (scene.folder / "audit.jsonl").read_text()


async def test_nothing_is_injected_where_no_placeholder_was_sent(scene: Scene) -> None:
    before = len(scene.upstream.seen)
    said = await scene.ask("/spend/x", reply({"ok": True}))
    assert (said.status, len(scene.upstream.seen)) == (403, before)
