"""A real OpenID provider (oidc-provider), as a process of its own, and a browser that authorises at it."""

import asyncio
import base64
import hashlib
import json
import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx

NODE = Path(__file__).parent / "node"
CLIENT = "gateway"
CLIENT_SECRET = "canary-client-secret"
CALLBACK = "https://gateway.example.com/callback"


def unused_port() -> int:
    """One to register at a provider before anybody listens there: below those the system gives to whoever asks for any."""
    for _ in range(1000):
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port is free")


@dataclass(frozen=True)
class OpenIdProvider:
    """Its port, and that of the API which takes its access tokens."""

    port: int
    api: int

    async def told(self, path: str, method: str = "GET") -> Any:
        """What the API tells beside: `counts`, or `grants/SUBJECT`."""
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.api}", timeout=30) as client:
            return (await client.request(method, f"/{path}")).raise_for_status().json()

    async def made(self, subject: str) -> dict[str, str]:
        """A grant made without a browser: `access_token` and `refresh_token`."""
        made: dict[str, str] = await self.told(f"grants/{subject}", "POST")
        return made

    async def authorised(self, subject: str) -> dict[str, Any]:
        """The same as a browser gets it: authorisation code with PKCE (RFC 7636), a login and a consent."""
        verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {"client_id": CLIENT, "response_type": "code", "scope": "openid offline_access", "prompt": "consent"}
        asked |= {"redirect_uri": CALLBACK, "code_challenge": challenge, "code_challenge_method": "S256"}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=30) as browser:
            page = await _followed(browser, await browser.get("/auth", params=asked))
            page = await _followed(browser, await browser.post(page, data={"prompt": "login", "login": subject, "password": "x"}))
            ended = await _followed(browser, await browser.post(page, data={"prompt": "consent"}))
            code = parse_qs(urlsplit(ended).query)["code"][0]
            form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": verifier}
            answer = await browser.post("/token", data=form, auth=(CLIENT, CLIENT_SECRET))
        given: dict[str, Any] = answer.raise_for_status().json()
        return given

    async def takes(self, refresh: str) -> bool:
        """Whether a refresh token is good: it is used up by that."""
        async with httpx.AsyncClient(timeout=30) as client:
            form = {"grant_type": "refresh_token", "refresh_token": refresh}
            answer = await client.post(f"http://127.0.0.1:{self.port}/token", data=form, auth=(CLIENT, CLIENT_SECRET))
            return answer.status_code == 200

    async def end(self, token: str) -> None:
        """End one access token early. Its grant and the refresh token live on, which RFC 7009's revocation would not let them."""
        async with httpx.AsyncClient(timeout=30) as client:
            headers = {"authorization": f"Bearer {token}"}
            (await client.delete(f"http://127.0.0.1:{self.api}/", headers=headers)).raise_for_status()


async def _followed(browser: httpx.AsyncClient, answer: httpx.Response) -> str:
    """Where redirects end: at a page of the provider, or at ours, which is not asked for."""
    while answer.is_redirect:
        target = urljoin(str(answer.url), answer.headers["location"])
        if target.startswith(CALLBACK):
            return target
        answer = await browser.get(target)
    return str(answer.raise_for_status().url)


@asynccontextmanager
async def openid_provider(node: str, folder: Path, **client: Any) -> AsyncIterator[OpenIdProvider]:
    """`client` are members of the client's registration, over those it has."""
    log = folder / "provider.log"
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            node,
            str(NODE / "provider.mjs"),
            env={**os.environ, "CLIENT_SECRET": CLIENT_SECRET, "CLIENT": json.dumps(client)},
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            line = b""
            while not line.startswith(b"{"):
                line = await process.stdout.readline()
                assert line, log.read_text()
        ports = json.loads(line)
        yield OpenIdProvider(ports["provider"], ports["api"])
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
