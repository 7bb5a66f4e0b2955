"""The page on operators, played: the first account, roles, the command line, and sessions, on a unix socket and a real database."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import bcrypt
import httpx
import pytest

from gateway.operations import Entrance
from gateway.settings.load import load
from tests.conftest import ROOT
from tests.fakes import CountingMetrics, SteppedClock
from tests.house import House
from tests.login import Browser, ScriptedProvider, login_house
from tests.operating import ADA, BOB, KEY, NEXT
from tests.repository.test_docs import FENCE
from tests.typed import typed
from tests.unit.admin.test_admin import Running

PAGE = (ROOT / "docs" / "how-to" / "operators.md").read_text(encoding="utf-8")
ENVIRON = {"OPERATORS_KEY": KEY.decode(), "UPSTREAM_TOKEN": "x", "CLIENT_SECRET": "x", "SESSION_KEY": KEY.decode()[::-1]}


@pytest.mark.parametrize("number", range(2))
def test_each_configuration_of_the_page_loads_and_opens_the_listener(tmp_path: Path, number: int) -> None:
    block = [block for language, block in FENCE.findall(PAGE) if language == "yaml"][number]
    (tmp_path / "config.yaml").write_text(block, encoding="utf-8")
    loaded = load([tmp_path / "config.yaml"], environ={"OPERATORS_KEY": KEY.decode(), "OPERATORS_CLIENT_SECRET": "x"})
    assert loaded.errors == []
    assert loaded.settings is not None
    assert loaded.settings.admin.operators is not None
    running = Running()
    assert Entrance(running, SteppedClock(), CountingMetrics(), running.tell).app(loaded, loaded.settings, None) is not None


@dataclass
class Played:
    """A gateway with logins and operators, whose admin listener is a unix socket."""

    gateway: House
    corp: ScriptedProvider

    async def run(self, *arguments: str, stdin: str = "") -> "CompletedProcess[str]":
        def work() -> "CompletedProcess[str]":
            with pytest.MonkeyPatch.context() as patch:
                import io

                patch.setattr("sys.stdin", io.StringIO(stdin))
                return typed(self.gateway.folder, *arguments, "--config", "config.yaml", **ENVIRON)

        return await asyncio.to_thread(work)

    def client(self) -> httpx.AsyncClient:
        transport = httpx.AsyncHTTPTransport(uds=str(self.gateway.folder / "admin.sock"))
        return httpx.AsyncClient(transport=transport, base_url="http://localhost")


@pytest.fixture
async def played(tmp_path: Path) -> AsyncIterator[Played]:
    over = {
        "admin": {
            "address": f"unix:{tmp_path / 'house' / 'admin.sock'}",
            "operators": {"origin": "http://localhost", "key": {"file": "operators.key"}, "local": {}},
        },
        "database": {"file": "latchgate.db"},
    }
    (tmp_path / "house").mkdir()
    (tmp_path / "house" / "operators.key").write_bytes(KEY)
    (tmp_path / "house" / "operators.key").chmod(0o600)
    async with login_house(tmp_path / "house", "corp", over=over) as (gateway, [corp]):
        yield Played(gateway, corp)


async def test_the_page_played(played: Played) -> None:
    first = await played.run("operators", "bootstrap")
    assert (first.returncode, len(first.stdout.strip())) == (0, 43)
    async with played.client() as client:
        said = {"token": first.stdout.strip(), "name": "Ada", "password": ADA}
        answer = await client.post("/operators/bootstrap", json=said)
        assert (answer.status_code, answer.json()["operator"], answer.json()["role"]) == (201, "ada", "operator")
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-gateway-operator=")
        assert all(word in cookie for word in ("Secure", "HttpOnly", "SameSite=Strict", "Path=/"))
        jar = {"cookie": cookie.partition(";")[0]}
        assert (await client.get("/operators/me", headers=jar)).json()["operator"] == "ada"
        assert (await played.run("operators", "bootstrap")).returncode == 1

        made = await played.run("operators", "create", "vera", "--role", "viewer", stdin=BOB + "\n")
        assert (made.returncode, made.stderr) == (0, "vera (viewer) is created\n")
        assert "12 characters" in (await played.run("operators", "create", "eve", stdin="short\n")).stderr
        entered = await client.post("/operators/login", json={"name": "vera", "password": BOB})
        vera = {"cookie": entered.headers["set-cookie"].partition(";")[0]}
        assert entered.json()["must_change"] is True
        assert (await client.get("/routes", headers=vera)).status_code == 403, "another password first"
        token = {"x-csrf-token": entered.json()["csrf_token"]}
        entered = await client.post("/operators/password", json={"old": BOB, "new": NEXT}, headers=vera | token)
        vera = {"cookie": entered.headers["set-cookie"].partition(";")[0]}
        assert (await client.get("/routes", headers=vera)).status_code == 200
        assert (await played.run("operators", "disable", "vera")).returncode == 0

    old = bcrypt.hashpw(b"hunter2 hunter2", bcrypt.gensalt(4)).decode()
    (played.gateway.folder / ".htpasswd").write_text(f"old:{old}\nshort:{bcrypt.hashpw(b'hunter2', bcrypt.gensalt(4)).decode()}\n")
    assert (await played.run("operators", "import", ".htpasswd", "--role", "operator")).returncode == 0
    async with played.client() as client:
        entered = await client.post("/operators/login", json={"name": "old", "password": "hunter2 hunter2"})
        assert entered.json()["must_change"] is False
        entered = await client.post("/operators/login", json={"name": "short", "password": "hunter2"})
        assert entered.json()["must_change"] is True, "too short: seen when it is typed"
        jar = {"cookie": entered.headers["set-cookie"].partition(";")[0]}
    listed = {each["name"]: each for each in json.loads((await played.run("operators", "list", "--json")).stdout)}
    assert {name: each["imported"] for name, each in listed.items()} == {"ada": False, "vera": False, "old": False, "short": False}
    assert "$" not in (await played.run("operators", "list")).stdout
    assert (await played.run("operators", "reset", "old", "--factors", stdin=ADA + "\n")).returncode == 0
    assert (await played.run("operators", "reset", "nobody", stdin=ADA + "\n")).stderr == "no operator is called nobody\n"

    events = [event for event in await played.gateway.events() if event["event"].startswith("operator.")]
    done = [(event["account"], event["action"]) for event in events if event["event"] == "operator.account"]
    assert ("ada", "bootstrap") in done
    assert ("vera", "disabled") in done
    assert ("old", "imported") in done
    assert all(event["operator"] for event in events if event["event"] == "operator.account")


async def test_sessions_of_people_are_listed_and_ended_from_the_command_line(played: Played) -> None:
    browsers = [Browser(played.gateway) for _ in range(3)]
    for browser in browsers:
        await browser.login(played.corp)
    listed = json.loads((await played.run("sessions", "list", "--format", "json")).stdout)
    assert len(listed) == 3
    assert set(listed[0]) == {"session", "issuer", "subject", "scheme", "opened_at", "expires_at"}
    who = ("--issuer", listed[0]["issuer"], "--subject", listed[0]["subject"])
    assert (await played.run("sessions", "end", listed[0]["session"])).stdout == "ended\n"
    assert (await played.run("sessions", "end", listed[0]["session"])).returncode == 1
    assert (await browsers[0].get("/app/home")).status == 401
    assert (await browsers[1].get("/app/home")).status == 200
    assert listed[1]["session"] in (await played.run("sessions", "list", *who)).stdout
    assert (await played.run("sessions", "end", *who)).stdout == "ended 2\n"
    assert [(await browser.get("/app/home")).status for browser in browsers] == [401] * 3
    assert (await played.run("sessions", "end")).returncode == 2
    events = await played.gateway.events()
    assert {event["operator"] for event in events if event["event"] in ("session.ended", "operator.acted")} == {"unix socket"}
