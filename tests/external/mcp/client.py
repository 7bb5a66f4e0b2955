"""What an MCP client does that knows nothing but a server's URL: discovers, registers, authorises as alice, calls a tool.

Prints the requests it made and what came of them as JSON. The SDK is as its users have it; ours is the browser alone.
"""

import asyncio
import json
import sys
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2
from mcp import ClientSession
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

URL, SUBJECT = sys.argv[1:]
CALLBACK = "http://127.0.0.1:9/callback"


class Kept:
    """What the client knows between its requests."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


class Browser:
    """Logs in and consents where it is sent."""

    def __init__(self) -> None:
        self.ended = ""

    async def go(self, url: str) -> None:
        async with httpx2.AsyncClient(timeout=30) as browser:
            page = await self._followed(browser, await browser.get(url))
            page = await self._followed(
                browser, await browser.post(page, data={"prompt": "login", "login": SUBJECT, "password": "x"})
            )
            self.ended = await self._followed(browser, await browser.post(page, data={"prompt": "consent"}))

    async def came_back(self) -> AuthorizationCodeResult:
        told = {name: values[0] for name, values in parse_qs(urlsplit(self.ended).query).items()}
        return AuthorizationCodeResult(code=told["code"], state=told.get("state"), iss=told.get("iss"))

    async def _followed(self, browser: httpx2.AsyncClient, answer: httpx2.Response) -> str:
        while answer.is_redirect:
            target = urljoin(str(answer.url), answer.headers["location"])
            if target.startswith(CALLBACK):
                return f"{target}"
            answer = await browser.get(target)
        return f"{answer.raise_for_status().url}"


async def main() -> dict[str, Any]:
    kept, browser, asked = Kept(), Browser(), []
    metadata = OAuthClientMetadata(redirect_uris=[CALLBACK], client_name="test", token_endpoint_auth_method="none")
    auth = OAuthClientProvider(URL, metadata, kept, redirect_handler=browser.go, callback_handler=browser.came_back)

    async def note(answer: httpx2.Response) -> None:
        asked.append([answer.request.method, str(answer.request.url), answer.status_code])

    async with (
        httpx2.AsyncClient(auth=auth, timeout=30, event_hooks={"response": [note]}) as http,
        streamable_http_client(URL, http_client=http) as streams,
        ClientSession(streams[0], streams[1]) as session,
    ):
        await session.initialize()
        tools = [tool.name for tool in (await session.list_tools()).tools]
        answered = await session.call_tool("note", {"id": 7})
    assert kept.tokens is not None
    return {
        "tools": tools,
        "answered": [part.text for part in answered.content],
        "asked": asked,
        "scope": kept.tokens.scope,
        "token": kept.tokens.access_token,
    }


sys.stdout.write(json.dumps(asyncio.run(main())))
