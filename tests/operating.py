"""Operators of an admin listener that is answered in this process, over a database that replicas may share."""

import shutil
from collections.abc import Mapping
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import httpx

from gateway.admin.access import Access
from gateway.admin.app import Endpoints
from gateway.authn.operators_model import Operators
from gateway.authn.strength import StrongSecret
from gateway.core.secret import Secret
from gateway.detection.model import Detection
from gateway.fetch import HttpFetch
from gateway.operators.books import Books
from gateway.operators.desk import Desk
from gateway.operators.office import Office
from gateway.store.sql.engine import Database
from gateway.store.sql.model import Sqlite
from gateway.store.sql.schema import migrate
from tests.fakes import CountingMetrics, SteppedClock
from tests.unit.admin.test_admin import Running, Token

ORIGIN = "https://ops.example.com"
KEY = b"k3Jw9vQzP0sLx7TnB2mYc5RdF8hGaE1u"
ADA = "violet anvils sing at noon"
BOB = "nine copper kettles, humming"
NEXT = "slow rivers carry tall ships"


class Source:
    """A key that is there."""

    name = "env:OPERATORS_KEY"

    def current(self) -> Secret:
        return Secret(KEY)


async def template(folder: Path) -> Path:
    """A database with the newest tables and nobody in it."""
    database = Database(Sqlite(file=folder / "empty.db"))
    await migrate(database)
    await database.close()
    return folder / "empty.db"


class Replica:
    """One gateway's admin listener. Those of the same `file` share the accounts."""

    def __init__(self, file: Path, *, clock: SteppedClock | None = None, detection: Detection | None = None, **model: Any) -> None:
        self.clock = clock or SteppedClock()
        self.running = Running()
        self.metrics = CountingMetrics()
        self.desk = Desk(self.clock, self.metrics, self.running.tell)
        said = {"origin": ORIGIN, "key": {"env": "OPERATORS_KEY"}, "local": {}} | model
        self.file = file
        self.office = Office(
            self.desk,
            Operators.model_validate(said),
            StrongSecret(Source()),
            (lambda: Database(Sqlite(file=file))) if said["local"] is not None else None,
            detection or Detection(),
            fetching=lambda: HttpFetch(user_agent="test"),
            floor=0.0,
        )
        access = Access(hosts=[], token=Token(), local=False, office=self.office)
        self.app = Endpoints(self.running).under(access)

    def events(self, name: str) -> list[dict[str, Any]]:
        return [each for each in self.running.told if each["event"] == name]

    async def add(self, name: str, password: str, role: Any = "operator") -> None:
        async with self.office.books() as books:
            await books.create(name, role, password, "test", must_change=False)

    async def books(self, work: Any) -> Any:
        """What `work` gives of the accounts, as the command line has them."""
        async with self.office.roll() as roll:
            return await work(Books(roll, self.office.passwords, self.office.seal, self.clock.now))


class Browser:
    """Keeps cookies as browsers do, and sends what its pages may."""

    def __init__(self, replica: Replica, address: str = "192.0.2.1") -> None:
        self.replica = replica
        self.address = address
        self.cookies: dict[str, str] = {}
        self.csrf = ""

    async def send(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        transport = httpx.ASGITransport(app=self.replica.app, client=(self.address, 4711))
        fields = {"cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}
        fields |= {"x-csrf-token": self.csrf} if self.csrf and method not in {"GET", "HEAD"} else {}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
            answer = await client.request(method, path, json=body, headers=fields)
        for field in answer.headers.get_list("set-cookie"):
            for name, morsel in SimpleCookie(field).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
        if answer.is_success and "csrf_token" in answer.text:
            self.csrf = answer.json()["csrf_token"]
        return answer

    async def login(self, name: str, password: str, code: str | None = None) -> httpx.Response:
        said: Mapping[str, str] = {"name": name, "password": password} | ({} if code is None else {"code": code})
        return await self.send("POST", "/operators/login", said)


def copied(empty: Path, folder: Path) -> Path:
    """A database of one's own."""
    file = folder / "operators.db"
    shutil.copy(empty, file)
    file.chmod(0o600)
    return file
