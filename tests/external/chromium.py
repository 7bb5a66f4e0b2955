"""A real Chromium without a window, led over its DevTools protocol: tabs, what they asked and were answered, and the cookie jar."""

import asyncio
import base64
import hashlib
import itertools
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from websockets.asyncio.client import ClientConnection, connect

PATIENCE = 60.0
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--remote-debugging-port=0",
)


class Gone(Exception):
    """The page that was asked is being replaced by another."""


class Tab:
    """One tab. `told` is everything the browser told of it: requests, answers with their bodies, frames."""

    def __init__(self, browser: "Chromium", session: str) -> None:
        self._browser = browser
        self._session = session
        self._bodies: set[asyncio.Task[None]] = set()
        self.told: list[dict[str, Any]] = []

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Raises Gone where the page is no more."""
        return await self._browser.ask(method, self._session, **parameters)

    async def run(self, script: str) -> Any:
        """The value of an expression in the page, awaited. Raises Gone, and AssertionError for one that throws."""
        done = await self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    async def until(self, condition: str) -> None:
        """Wait until an expression holds in whatever page is there then."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not await self._holds(condition):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            where = await self.run("location.href + '\\n' + document.documentElement.outerHTML")
            raise AssertionError(f"never: {condition} at {where[:3000]}") from None

    async def _holds(self, condition: str) -> bool:
        with suppress(Gone):
            return bool(await self.run(f"document.readyState === 'complete' && Boolean({condition})"))
        return False

    async def go(self, url: str) -> None:
        """As if typed into the address bar; until what it leads to is shown, or refused."""
        await self.ask("Page.navigate", url=url)
        await self.until("location.href !== 'about:blank'")

    async def submit(self, **fields: str) -> None:
        """Fill in the page's form and send it."""
        filled = ";".join(f"document.querySelector('[name={name}]').value = {json.dumps(value)}" for name, value in fields.items())
        with suppress(Gone):
            await self.run(f"{filled}; document.querySelector('[type=submit]').click()")

    async def event(self, method: str, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """What the browser told with its first fitting event of a kind; waited for."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for event in self.told:
                    told: dict[str, Any] = event["params"]
                    if event["method"] == method and fits(told):
                        return told
                await asyncio.sleep(0.05)

    def heard(self, event: dict[str, Any]) -> None:
        """Keep an event, and the body of an answer while it is there."""
        self.told.append(event)
        if event["method"] == "Network.loadingFinished":
            task = asyncio.create_task(self._body(event["params"]["requestId"]))
            self._bodies.add(task)
            task.add_done_callback(self._bodies.discard)

    async def _body(self, request: str) -> None:
        with suppress(Gone):
            body = await self.ask("Network.getResponseBody", requestId=request)
            text = base64.b64decode(body["body"]).decode("latin-1") if body["base64Encoded"] else body["body"]
            self.told.append({"method": "body", "params": {"requestId": request, "body": text}})

    async def seen(self) -> str:
        """All that the browser told of this tab so far, as text."""
        await asyncio.gather(*self._bodies)
        return json.dumps(self.told)


class Chromium:
    """The running browser."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._tabs: dict[str, Tab] = {}

    async def read(self) -> None:
        """Hand out what the browser says, until it is gone."""
        async for line in self._socket:
            said = json.loads(line)
            if "id" in said:
                waiting = self._asked.pop(said["id"])
                if not waiting.done():
                    waiting.set_result(said)
            elif said.get("sessionId") in self._tabs:
                self._tabs[said["sessionId"]].heard(said)

    async def ask(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._asked[number] = asyncio.get_running_loop().create_future()
        asked = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        await self._socket.send(json.dumps(asked))
        async with asyncio.timeout(PATIENCE):
            said = await self._asked[number]
        if "error" in said:
            raise Gone(said["error"]["message"])
        result: dict[str, Any] = said["result"]
        return result

    async def tab(self, person: str | None = None) -> Tab:
        """A new tab, in the profile of a `person` (a browser context) or in the browser's own."""
        more = {"browserContextId": person} if person else {}
        target = (await self.ask("Target.createTarget", url="about:blank", **more))["targetId"]
        session = (await self.ask("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        tab = self._tabs[session] = Tab(self, session)
        for domain in ("Page", "Network", "Runtime", "Log"):
            await tab.ask(f"{domain}.enable")
        return tab

    async def person(self) -> str:
        """A profile with a jar of its own."""
        context: str = (await self.ask("Target.createBrowserContext"))["browserContextId"]
        return context

    async def jar(self, person: str, host: str) -> dict[str, dict[str, Any]]:
        """The cookies that a profile holds for a host, by name, with all that the browser knows of them."""
        held = (await self.ask("Storage.getCookies", browserContextId=person))["cookies"]
        return {cookie["name"]: cookie for cookie in held if cookie["domain"].lstrip(".") == host}


@asynccontextmanager
async def chromium(program: str, profile: Path, hosts: Mapping[str, int], certificate: Path) -> AsyncIterator[Chromium]:
    """A browser that finds `hosts`, each at a port of this machine for https, and nothing else by name. Of certificates that no
    authority it knows signed it takes this one alone."""
    leaf = x509.load_pem_x509_certificates(certificate.read_bytes())[0]
    key = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pin = base64.b64encode(hashlib.sha256(key).digest()).decode()
    found = ", ".join(f"MAP {host}:443 127.0.0.1:{port}" for host, port in hosts.items())
    log = profile / "stderr"
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            program,
            *FLAGS,
            f"--user-data-dir={profile / 'profile'}",
            f"--ignore-certificate-errors-spki-list={pin}",
            f"--host-resolver-rules={found}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            stdout=errors,
            stderr=errors,
        )
    try:
        async with asyncio.timeout(PATIENCE):
            address = profile / "profile" / "DevToolsActivePort"
            while not address.exists() or "\n" not in address.read_text():
                assert process.returncode is None, log.read_text()
                await asyncio.sleep(0.05)
        port, path = address.read_text().split("\n")[:2]
        async with connect(f"ws://127.0.0.1:{port}{path}", max_size=None, ping_interval=None, proxy=None) as socket:
            browser = Chromium(socket)
            reading = asyncio.create_task(browser.read())
            yield browser
            reading.cancel()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
