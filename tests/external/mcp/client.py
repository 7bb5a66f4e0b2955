"""What an MCP client does that knows nothing but a server's URL: discovers, registers, authorises as alice, calls a tool.

With a third argument it is known by that client_id, and does not register; `CA` names a file of authorities. Prints the requests it made and what came of them as JSON. The SDK is as its users have it; ours is the browser alone.
"""

import asyncio
import html
import json
import os
import re
import ssl
import sys
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2
from mcp import ClientSession
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

URL, SUBJECT, *KNOWN = sys.argv[1:]
TRUST = ssl.create_default_context(cafile=os.environ["CA"]) if "CA" in os.environ else True
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
        async with httpx2.AsyncClient(timeout=30, verify=TRUST) as browser:
            page = await self._followed(browser, await browser.get(url))
            login = {"prompt": "login", "login": SUBJECT, "password": "x"}
            page = await self._followed(browser, await browser.post(page.url, data=login))
            page = await self._followed(browser, await browser.post(page.url, data={"prompt": "consent"}))
            if not self.ended:
                await self._allow(browser, page)

    async def _allow(self, browser: httpx2.AsyncClient, page: httpx2.Response) -> None:
        """Press the button of the gateway's own page."""
        fields = dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page.text))
        answer = {name: html.unescape(value) for name, value in fields.items()} | {"answer": "allow"}
        place = re.search(r'<form method="post" action="([^"]*)">', page.text)
        assert place is not None, page.text
        headers = {"Origin": f"{page.url.scheme}://{page.url.netloc.decode()}", "Sec-Fetch-Site": "same-origin"}
        left = await browser.post(urljoin(str(page.url), place[1]), data=answer, headers=headers)
        onward = re.search(r'content="0;url=([^"]*)"', left.raise_for_status().text)
        assert onward is not None, left.text
        self.ended = html.unescape(onward[1])

    async def came_back(self) -> AuthorizationCodeResult:
        told = {name: values[0] for name, values in parse_qs(urlsplit(self.ended).query).items()}
        return AuthorizationCodeResult(code=told["code"], state=told.get("state"), iss=told.get("iss"))

    async def _followed(self, browser: httpx2.AsyncClient, answer: httpx2.Response) -> httpx2.Response:
        while answer.is_redirect:
            target = urljoin(str(answer.url), answer.headers["location"])
            if target.startswith(CALLBACK):
                self.ended = target
                return answer
            answer = await browser.get(target)
        return answer.raise_for_status()


async def main() -> dict[str, Any]:
    kept, browser, asked = Kept(), Browser(), []
    if KNOWN:
        kept.client = OAuthClientInformationFull(client_id=KNOWN[0], redirect_uris=[CALLBACK], token_endpoint_auth_method="none")
    metadata = OAuthClientMetadata(redirect_uris=[CALLBACK], client_name="test", token_endpoint_auth_method="none")
    auth = OAuthClientProvider(URL, metadata, kept, redirect_handler=browser.go, callback_handler=browser.came_back)

    async def note(answer: httpx2.Response) -> None:
        asked.append([answer.request.method, str(answer.request.url), answer.status_code])

    async with (
        httpx2.AsyncClient(auth=auth, timeout=30, verify=TRUST, event_hooks={"response": [note]}) as http,
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
        "refreshes": kept.tokens.refresh_token is not None,
    }


sys.stdout.write(json.dumps(asyncio.run(main())))
