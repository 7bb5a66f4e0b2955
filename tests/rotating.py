"""A provider whose live tokens are files of a folder, a hook that mints and revokes there, and an upstream that takes what is live.

The hook's mood is a file beside it: what it does besides, or instead.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import text

from gateway.core.secret import Secret
from gateway.credentials.rotation.job import Place
from gateway.credentials.rotation.rotor import Rotor
from gateway.credentials.rotation.turns import Turns
from gateway.credentials.stored.drawer import at
from gateway.fetch import HttpFetch
from gateway.settings import load
from gateway.settings.rotating import jobs
from gateway.store.sql.leases import Leases
from gateway.store.sql.secrets import SecretRow, SecretRows
from tests.fakes import CountingMetrics, SteppedClock
from tests.house import Seen, Upstream, config, written
from tests.storing import ENVIRON, Beside, ring, storing

HOOK = """
import json, os, secrets, signal, sys, time
folder, action = sys.argv[1], sys.argv[2]
told = json.load(sys.stdin)
mood = open(folder + "/mood").read()
with open(folder + "/calls", "a") as calls:
    calls.write(json.dumps([action, sorted(told), sorted(os.environ), sys.argv[3:]]) + "\\n")
def live(token):
    return folder + "/live/" + token
if mood == "hang":
    time.sleep(60)
if mood == "exit":
    sys.exit(3)
if mood == "junk":
    print("no JSON, and the old one is", told["secret"])
    sys.exit()
if mood == "look":
    with open(folder + "/seen", "a") as seen:
        try:
            open(f"/proc/{os.getppid()}/environ", "rb").read()
            seen.write("read\\n")
        except PermissionError:
            seen.write("refused\\n")
if mood == "flood":
    while True:
        print("x" * 65536)
if action == "mint":
    token = "canary-minted-" + secrets.token_hex(8)
    if mood != "stillborn":
        open(live(token), "w").close()
    if mood == "kill minting":
        os.kill(os.getppid(), signal.SIGKILL)
    print(json.dumps({"secret": token, "revoke": "id of " + token}))
else:
    assert told["current"] != told["secret"]
    assert told["revoke"] in (None, "id of " + told["secret"])
    if mood == "cannot revoke":
        sys.exit(1)
    if os.path.exists(live(told["secret"])):
        os.unlink(live(told["secret"]))
    if mood == "kill revoking":
        os.kill(os.getppid(), signal.SIGKILL)
"""
FIRST = "canary-first-0123456789"
DAY = 86400.0


class Provider:
    """What it has minted and not revoked, and what its hook was called with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "live").mkdir()
        (folder / "hook.py").write_text(HOOK)
        self.mood("fine")
        self.allow(FIRST)

    def mood(self, mood: str) -> None:
        (self.folder / "mood").write_text(mood)

    def allow(self, token: str) -> None:
        (self.folder / "live" / token).touch()

    @property
    def live(self) -> set[str]:
        return {each.name for each in (self.folder / "live").iterdir()}

    @property
    def calls(self) -> list[list[Any]]:
        file = self.folder / "calls"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    @property
    def asked(self) -> list[str]:
        return [call[0] for call in self.calls]

    def rotate(self, *, patience: str = "10s", **over: Any) -> dict[str, Any]:
        hook = {"command": [sys.executable, "-ISE", str(self.folder / "hook.py"), str(self.folder)], "timeout": patience}
        return {"every": "1d", "overlap": "1h", "hook": hook, "verify": {"path": "/me", "within": "100ms"}} | over


class Stage:
    """One secret that rotates, in a database; what is told of it."""

    def __init__(self, folder: Path, upstream: Upstream, beside: Beside) -> None:
        self.folder, self.upstream, self.beside = folder, upstream, beside
        self.clock, self.metrics = SteppedClock(time.time()), CountingMetrics()
        self.turns = Turns(self.clock.monotonic)
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.fetch = HttpFetch(user_agent="tests")

    def tell(self, name: str, /, **fields: Any) -> None:
        self.told.append((name, fields))

    @property
    def events(self) -> list[str]:
        return [name for name, _ in self.told]

    @property
    def why(self) -> str:
        """What the last event says."""
        return str(self.told[-1][1]["detail"])

    def rotor(self, beside: Beside | None = None, rows: SecretRows | None = None) -> Rotor:
        """What a gateway has, made anew as after a restart."""
        loaded = load([self.folder / "config.yaml"], [], environ=ENVIRON)
        assert loaded.settings is not None, [str(problem) for problem in loaded.problems]
        here = beside or self.beside
        place = Place(rows or here.rows, Leases(here.database), self.turns, ring(), self.clock, self.metrics, self.tell)
        return Rotor(jobs(loaded.settings, self.fetch, self.clock.now)["bot"], place)

    async def in_force(self) -> str:
        row = await self.beside.rows.get("bot")
        assert row is not None
        return ring().open(at("bot", row.version), row.sealed).secret.reveal().decode()

    async def age(self, value: str = FIRST, days: float = 2) -> None:
        """Store a secret that has been there for days."""
        then = time.time() - days * DAY
        row = SecretRow("bot", ring().seal(at("bot", 7), Secret(value.encode())), "k1", created_at=then, updated_at=then)
        await self.beside.rows.put(row, 7)


class Scene(Stage):
    """The same with a provider."""

    def __init__(self, folder: Path, provider: Provider, upstream: Upstream | None, beside: Beside) -> None:
        super().__init__(folder, upstream or Upstream(), beside)
        self.provider = provider


def taking(provider: Provider, before: Callable[[], None] = lambda: None) -> Callable[[Seen], bytes]:
    """What an upstream answers that takes exactly the tokens that are live."""

    def answer(seen: Seen) -> bytes:
        before()
        shown = [value.removeprefix("Bearer ") for value in seen.all("authorization")]
        status = b"200 OK" if len(shown) == 1 and shown[0] in provider.live else b"401 Unauthorized"
        return b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\n{}"

    return answer


def rotating(folder: Path, port: int, **rotate: Any) -> dict[str, Any]:
    """The parts of a configuration in which the secret `bot` rotates."""
    parts = storing({"file": str(folder / "store.db")})
    parts["credentials"]["bot"]["rotate"] = rotate
    return config(port, **parts)


def configure(folder: Path, whole: dict[str, Any]) -> None:
    """Write what of a configuration a rotation needs."""
    document = {key: whole[key] for key in ("version", "vault", "database", "credentials", "audit", "upstreams")}
    (folder / "config.yaml").write_text(written(document))


@asynccontextmanager
async def stage(folder: Path, credential: Callable[[int], dict[str, Any]], first: str) -> AsyncIterator[Stage]:
    """A credential whose secret is two days old, and its upstream, of which it is told the port."""
    async with Upstream() as upstream, Beside(folder / "store.db") as beside:
        whole = rotating(folder, upstream.port)
        whole["credentials"]["bot"] = credential(upstream.port)
        configure(folder, whole)
        found = Stage(folder, upstream, beside)
        await found.age(first)
        try:
            yield found
        finally:
            await found.fetch.close()


@asynccontextmanager
async def scene(folder: Path, **rotate: Any) -> AsyncIterator[Scene]:
    """A provider, its upstream, and a secret two days old that is to be replaced every day."""
    provider = Provider(folder)
    async with Upstream() as upstream, Beside(folder / "store.db") as beside:
        upstream.answer = taking(provider)
        configure(folder, rotating(folder, upstream.port, **provider.rotate(**rotate)))
        found = Scene(folder, provider, upstream, beside)
        await found.age()
        try:
            yield found
        finally:
            await found.fetch.close()


async def command(here: Stage, *arguments: str) -> tuple[int, str]:
    """`gateway secrets rotate-upstream bot`, as a process of its own: its exit code and what it said."""
    config = ("--config", str(here.folder / "config.yaml"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "secrets", "rotate-upstream", "bot", *config, *arguments),
        env={**os.environ, **ENVIRON, "UPSTREAM_TOKEN": "x" * 20},
        stderr=subprocess.PIPE,
    )
    try:
        _, said = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
    assert "canary" not in said.decode()
    return process.returncode or 0, said.decode()


async def never_ending(here: Stage) -> None:
    """Somebody has the lease, by a clock that was put back since or by hand."""
    taken = "INSERT INTO leases (name, holder, fence, orphaned, until) VALUES ('rotation:bot', 'x', 7, 0, 1e18)"
    again = "ON CONFLICT (name) DO UPDATE SET holder = 'x', until = 1e18"
    assert await here.beside.database.write(text(f"{taken} {again}")) == 1


async def after_its_death(here: Stage) -> None:
    """The lease of who was killed has ended."""
    assert await here.beside.database.write(text("UPDATE leases SET until = 0")) == 1
