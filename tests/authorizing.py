"""A gateway that is an authorization server, and a person who is sent there by clients."""

import base64
import hashlib
import html
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.house import House, Reply
from tests.login import KEY, ORIGIN, PAGE, Browser, Moved, ScriptedProvider, providers, replica, settings

CALLBACK = "https://app.test/cb"
NOTES = f"{ORIGIN}/notes"
OTHERS = f"{ORIGIN}/others"
VERIFIER = "verifier-" * 6
SAME = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
GRANTS = ["authorization_code", "refresh_token"]
SCOPES = ["notes:read", "notes:write", "offline_access"]
CLIENTS = {
    "app": {
        "auth": "none", "name": "The <App>", "grants": GRANTS, "scopes": SCOPES, "audiences": [NOTES, OTHERS],
        "redirect_uris": [CALLBACK, "http://127.0.0.1/cb"],
    },
    "server": {
        "secret": {"env": "SESSION_KEY"}, "grants": [*GRANTS, "client_credentials"], "scopes": SCOPES, "audiences": [NOTES],
        "redirect_uris": ["https://server.test/cb"],
    },
    "reader": {
        "secret": {"env": "SESSION_KEY"}, "grants": ["client_credentials"], "audiences": [OTHERS],
    },
    "once": {"auth": "none", "grants": ["authorization_code"], "audiences": [NOTES], "redirect_uris": ["https://once.test/cb"]},
}  # fmt: skip
SECRET = "Basic " + base64.b64encode(f"server:{KEY}".encode()).decode()
READER = "Basic " + base64.b64encode(f"reader:{KEY}".encode()).decode()


def challenge(verifier: str = VERIFIER) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def over(made: list[ScriptedProvider], session: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """The configuration beside that of logins."""
    plain = settings(made, session=session)
    routes = plain["routes"]
    for name, path, resource in (("app.notes", "/notes/**", "notes"), ("app.others", "/others/**", "others")):
        routes.append({"name": name, "match": {"path": path}, "upstream": "api", "authenticate": ["tokens"], "resource": resource})
    return {
        "authentication": {**plain["authentication"], "dpop": {}},
        "tokens": {"issuer": ORIGIN, "key": {"env": "SESSION_KEY"}, "refresh": {"grace": "60s"}},
        "clients": CLIENTS,
        "resources": {"notes": {"url": NOTES, "scopes": ["notes:read"]}, "others": {"url": OTHERS}},
        "routes": routes,
    } | more


@asynccontextmanager
async def server_house(
    folder: Path, clock: Moved | None = None, **more: Any
) -> AsyncIterator[tuple[House, list[ScriptedProvider]]]:
    """One gateway, with logins at two scripted providers."""
    async with providers("corp", "partner") as made:
        async with replica(folder, made, over=over(made, **more), clock=clock) as gateway:
            yield gateway, made


class Person(Browser):
    """Somebody with a browser."""

    async def sent(self, *, method: str = "GET", headers: Mapping[str, str] | None = None, **asked: Any) -> Reply:
        """A client sends him to the gateway; None leaves a parameter out."""
        query = urlencode(asked_of(**asked), doseq=True)
        if method == "GET":
            return await self.get(f"/.gateway/authorize?{query}", headers=PAGE if headers is None else headers)
        return await self.get(
            "/.gateway/authorize", method=method, headers={**PAGE, **FORM, **(headers or {})}, body=query.encode()
        )

    async def answers(
        self, page: Reply, answer: str = "allow", *, headers: Mapping[str, str] | None = None, **fields: str
    ) -> Reply:
        """He presses a button of the page."""
        body = urlencode({**hidden(page), "answer": answer, **fields}).encode()
        return await self.get("/.gateway/consent", method="POST", headers={**SAME, **FORM, **(headers or {})}, body=body)

    async def allows(self, **asked: Any) -> str:
        """A code, of a client that he allows all it asks for."""
        page = await self.sent(**asked)
        assert page.status == 200, page.body
        return told(led(await self.answers(page)))["code"]


def asked_of(**over: Any) -> dict[str, str | list[str]]:
    """What a client sends along."""
    plain = {"client_id": "app", "redirect_uri": CALLBACK, "response_type": "code", "scope": "notes:read", "state": "st&te"}
    plain |= {"resource": NOTES, "code_challenge": challenge(), "code_challenge_method": "S256"}
    return {name: value for name, value in (plain | over).items() if value is not None}


def hidden(page: Reply) -> dict[str, str]:
    """The hidden fields of a page's form."""
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page.body.decode())
    return {name: html.unescape(value) for name, value in found}


def led(page: Reply) -> str:
    """Where a page leads on to."""
    assert page.status == 200, page.body
    found = re.search(r'http-equiv="refresh" content="0;url=([^"]*)"', page.body.decode())
    assert found is not None, page.body
    return html.unescape(found[1])


def told(location: str) -> dict[str, str]:
    """What a client is told in the query of its redirect URI."""
    found = parse_qs(urlsplit(location).query, strict_parsing=True)
    assert all(len(values) == 1 for values in found.values())
    return {name: values[0] for name, values in found.items()}


async def posted(gateway: House, path: str, *, headers: Mapping[str, str] | None = None, **fields: Any) -> Reply:
    """What a client asks one of the endpoints."""
    body = urlencode({name: value for name, value in fields.items() if value is not None}).encode()
    return await gateway.get(f"/.gateway/{path}", method="POST", headers={**FORM, **(headers or {})}, body=body, host="gw.test")


async def redeemed(gateway: House, code: str, *, headers: Mapping[str, str] | None = None, **over: Any) -> Reply:
    """A code at the token endpoint."""
    plain: dict[str, str | None] = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "client_id": "app"}
    return await posted(gateway, "token", headers=headers, **(plain | {"code_verifier": VERIFIER} | over))


async def refreshed(gateway: House, token: str, *, headers: Mapping[str, str] | None = None, **over: Any) -> Reply:
    """A refresh token at the token endpoint."""
    plain: dict[str, str | None] = {"grant_type": "refresh_token", "refresh_token": token, "client_id": "app"}
    return await posted(gateway, "token", headers=headers, **(plain | over))


async def used(gateway: House, token: str, path: str = "/notes/1") -> int:
    """The status of a request with an access token."""
    return (await gateway.get(path, headers={"Authorization": f"Bearer {token}"}, host="gw.test")).status
