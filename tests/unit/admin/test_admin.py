"""The admin listener: what stands open, what needs the token, and what a browser or a rebound name may not do."""

from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from starlette.datastructures import Headers

from gateway.admin.access import Access
from gateway.admin.app import Answers, Endpoints
from gateway.admin.operators import OperatorAnswers
from gateway.admin.places import NEEDS
from gateway.admin.security_keys import security_keys
from gateway.core.errors import DependencyDown, Forbidden
from gateway.core.secret import Secret

TOKEN = "the-operators-token"
OPEN = ["/livez", "/readyz", "/healthz", "/metrics"]
GUARDED = ["/config_dump", "/routes", "/blocks", "/loglevel", "/sessions", "/nothing-here"]


class Running:
    """A gateway that is what the test says."""

    def __init__(self) -> None:
        self.is_ready = True
        self.word = "info"
        self.blocked: set[str] = set()
        self.told: list[dict[str, Any]] = []

    def ready(self) -> bool:
        return self.is_ready

    async def status(self) -> Mapping[str, Any]:
        return {"issuers": {"corp": "never loaded"}}

    async def metrics(self) -> bytes:
        return b"target_info 1\n"

    def describe(self) -> Mapping[str, Any]:
        return {"generation": "0123456789ab"}

    async def routes(self) -> list[Mapping[str, Any]]:
        return [{"name": "issues"}]

    async def blocks(self) -> Mapping[str, Any]:
        return {"addresses": [{"network": each} for each in self.blocked], "identities": []}

    async def release(self, address: str) -> bool:
        if address == "nonsense":
            raise ValueError(address)
        known = address in self.blocked
        self.blocked.discard(address)
        return known

    def level(self) -> str:
        return self.word

    def set_level(self, level: str) -> None:
        self.word = level

    async def sessions(self, issuer: str, subject: str) -> list[Mapping[str, Any]]:
        return [{"session": "abc", "issuer": issuer, "subject": subject}]

    async def end_session(self, name: str, operator: str) -> bool:
        return name == "abc"

    async def end_sessions(self, issuer: str, subject: str, operator: str) -> int:
        return 2

    def tell(self, event: str, /, **fields: Any) -> None:
        self.told.append({"event": event, **fields})


class Token:
    """A secret that is there, or is not."""

    name = "file:token"

    def __init__(self, value: bytes | None = TOKEN.encode()) -> None:
        self.value = value

    def current(self) -> Secret:
        if self.value is None:
            raise DependencyDown("no file")
        return Secret(self.value)


async def ask(
    path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None, content: bytes = b"", **access: Any
) -> httpx.Response:
    rules: dict[str, Any] = {"hosts": ["ops.example.com"], "token": Token(), "local": False} | access
    running = rules.pop("running", Running())
    transport = httpx.ASGITransport(app=Endpoints(running).under(Access(**rules)))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:9901") as client:
        return await client.request(method, path, headers=headers, content=content)


def bearer(token: str = TOKEN) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("path", OPEN)
async def test_health_and_metrics_need_no_token(path: str) -> None:
    assert (await ask(path)).status_code == 200


@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize(
    ("headers", "token", "status"),
    [
        ({}, Token(), 401),
        (bearer("wrong"), Token(), 401),
        ({"Authorization": f"Basic {TOKEN}"}, Token(), 401),
        (bearer("\xe9".encode("latin-1").decode("latin-1")), Token(), 401),
        (bearer(), Token(None), 503),
        (bearer(), None, 403),
        ({}, None, 403),
    ],
    ids=["none", "wrong", "other scheme", "not ascii", "secret unreadable", "no token configured", "neither"],
)
async def test_everything_else_needs_the_token(path: str, headers: dict[str, str], token: Token | None, status: int) -> None:
    raw = {name: value.encode("latin-1").decode("latin-1") for name, value in headers.items()}
    answer = await ask(path, headers=httpx.Headers(list(raw.items()), encoding="latin-1"), token=token)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert TOKEN not in answer.text


async def test_the_token_opens_and_the_answers_are_not_kept() -> None:
    answer = await ask("/config_dump", headers=bearer())
    assert answer.json() == {"generation": "0123456789ab"}
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_an_address_is_released_once_and_only_with_the_token() -> None:
    running = Running()
    running.blocked.add("192.0.2.1")
    assert (await ask("/blocks?address=192.0.2.1", method="DELETE", running=running)).status_code == 401
    assert running.blocked == {"192.0.2.1"}
    assert (await ask("/blocks", headers=bearer(), running=running)).json()["addresses"] == [{"network": "192.0.2.1"}]
    for status in (200, 404):
        answer = await ask("/blocks?address=192.0.2.1", method="DELETE", headers=bearer(), running=running)
        assert answer.status_code == status
    assert (await ask("/blocks?address=nonsense", method="DELETE", headers=bearer(), running=running)).status_code == 400


async def test_two_tokens_are_none() -> None:
    fields = httpx.Headers([("Authorization", f"Bearer {TOKEN}"), ("Authorization", f"Bearer {TOKEN}")])
    assert (await ask("/routes", headers=fields)).status_code == 401


async def test_a_unix_socket_without_a_token_is_open_to_who_can_reach_it() -> None:
    assert (await ask("/routes", token=None, local=True)).status_code == 200
    assert (await ask("/routes", token=Token(), local=True)).status_code == 401


@pytest.mark.parametrize("host", ["evil.example.net", "127.0.0.1.evil.example.net", "localhost.evil.net", "", "a b"])
async def test_a_name_that_is_not_ours_is_refused_before_anything_else(host: str) -> None:
    """DNS rebinding: a browser sends the attacker's name to a loopback address."""
    answer = await ask("/metrics", headers={"Host": host})
    assert answer.status_code == 421


@pytest.mark.parametrize(
    "host", ["ops.example.com", "OPS.example.com:9901", "localhost:9901", "127.0.0.1:9901", "[::1]:9901", "10.0.0.7:9901"]
)
async def test_our_names_and_any_address_are_taken(host: str) -> None:
    assert (await ask("/metrics", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}],
)
async def test_a_browser_on_another_page_is_refused_even_with_the_token(headers: dict[str, str]) -> None:
    assert (await ask("/routes", headers={**headers, **bearer()})).status_code == 403


async def test_what_is_not_there_is_a_problem_document() -> None:
    answer = await ask("/nothing-here", headers=bearer())
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:latchgate:problem:no-route")


async def test_a_gateway_that_is_not_ready_says_503_and_stays_alive() -> None:
    running = Running()
    running.is_ready = False
    assert (await ask("/readyz", running=running)).status_code == 503
    assert (await ask("/livez", running=running)).status_code == 200


async def test_dependencies_show_only_when_asked_and_never_make_it_unready() -> None:
    answer = await ask("/readyz?verbose")
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "issuers": {"corp": "never loaded"}})
    assert "issuers" not in (await ask("/readyz")).text


async def test_the_log_level_is_told_and_set() -> None:
    running = Running()
    answer = await ask("/loglevel", method="PUT", headers=bearer(), content=b"DEBUG\n", running=running)
    assert (answer.status_code, answer.text, running.word) == (200, "debug\n", "debug")


@pytest.mark.parametrize("content", [b"", b"trace", b"\xff\xfe", b"x" * 5000], ids=["empty", "unknown", "not utf-8", "endless"])
async def test_a_level_that_is_none_changes_nothing(content: bytes) -> None:
    running = Running()
    answer = await ask("/loglevel", method="PUT", headers=bearer(), content=content, running=running)
    assert (answer.status_code, running.word) == (400, "info")


@pytest.mark.parametrize("path", [*OPEN, "/routes"])
async def test_other_methods_are_not_served(path: str) -> None:
    assert (await ask(path, method="POST", headers=bearer())).status_code == 405


async def test_sessions_are_listed_and_ended_by_name_and_by_person_and_the_trail_tells_who_did_it() -> None:
    running = Running()
    person = "issuer=corp&subject=ada"
    assert (await ask(f"/sessions?{person}", headers=bearer(), running=running)).json()["sessions"][0]["subject"] == "ada"
    for path, status in (("/sessions/abc", 204), ("/sessions/other", 404), (f"/sessions?{person}", 200), ("/sessions", 400)):
        assert (await ask(path, method="DELETE", headers=bearer(), running=running)).status_code == status
    assert (await ask("/sessions?issuer=corp", headers=bearer(), running=running)).status_code == 400
    assert [(each["operator"], each["target"]) for each in running.told] == [("admin token", "abc"), ("admin token", "corp:ada")]


def test_every_endpoint_says_what_it_needs_and_nothing_else_is_in_the_table() -> None:
    """Default deny: an endpoint that is in no line is nobody's."""
    answered = set(Answers(Running()).table()) | set(OperatorAnswers(Running()).table()) | set(security_keys())
    assert answered == NEEDS.keys()
    assert {place for place, need in NEEDS.items() if need == "nothing"} == {
        *(("GET", path) for path in OPEN),
        ("POST", "/operators/login"),
        ("POST", "/operators/bootstrap"),
        ("GET", "/operators/oidc"),
    }
    assert [place for place, need in NEEDS.items() if need == "return"] == [("GET", "/operators/oidc/callback")]
    assert {place for place, need in NEEDS.items() if need == "viewer" and place[0] != "GET"} == set()


async def test_an_endpoint_that_is_in_no_line_is_refused_also_with_the_token() -> None:
    access = Access(hosts=[], token=Token(), local=False)
    with pytest.raises(Forbidden):
        await access.admit("GET", None, Headers({"host": "127.0.0.1", **bearer()}))


async def test_without_operators_nobody_can_log_in() -> None:
    answer = await ask("/operators/login", method="POST", headers=bearer(), content=b"{}")
    assert answer.status_code == 405
