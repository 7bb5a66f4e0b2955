"""The operators' listener of a whole gateway: what stands open, what needs the token, and whom it never serves."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.exposition import parse
from tests.house import House, Upstream, house
from tests.standalone import Standalone, standalone, until

TOKEN = "operators-token-8c1f22"
ADMIN = {"address": "127.0.0.1:0", "token": {"env": "ADMIN_TOKEN"}, "hosts": ["ops.example.com"]}
OPEN = ["/livez", "/readyz", "/healthz", "/metrics"]
GUARDED = ["/config_dump", "/routes", "/loglevel"]
SLOW = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nslow\n"


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path, admin=ADMIN, environ={"ADMIN_TOKEN": TOKEN}) as running:
        yield running


@pytest.mark.parametrize("path", OPEN)
async def test_health_and_metrics_stand_open_to_who_can_connect(gateway: House, path: str) -> None:
    assert (await gateway.get(path, listener="admin", host="127.0.0.1")).status == 200


async def test_the_metrics_are_readable_and_count_requests(gateway: House) -> None:
    await gateway.get("/public/x")

    async def counted() -> bool:
        families = parse((await gateway.get("/metrics", listener="admin", host="localhost")).body)
        samples = families["gateway_requests_total"].samples
        return [(dict(labels)["gateway_route"], value) for (_, labels), value in samples.items()] == [("open.public", 1.0)]

    await until(counted, "the request was not counted")


@pytest.mark.parametrize("path", [*GUARDED, "/nothing-here", "/"])
async def test_everything_else_needs_the_token(gateway: House, path: str) -> None:
    reply = await gateway.get(path, listener="admin", host="localhost")
    assert (reply.status, reply["WWW-Authenticate"]) == (401, 'Bearer realm="gateway-admin"')
    answered = await gateway.get(path, listener="admin", host="localhost", token=TOKEN)
    assert answered.status == (200 if path in GUARDED else 404)
    assert answered["Cache-Control"] == "no-store"


async def test_without_a_configured_token_nothing_else_is_served_on_tcp(tmp_path: Path) -> None:
    async with house(tmp_path) as gateway:
        for path in GUARDED:
            assert (await gateway.get(path, listener="admin", host="localhost", token="")).status == 403


async def test_cve_2024_47616_a_clients_token_opens_nothing_of_the_operators(gateway: House) -> None:
    """attacks.md row 99: a valid token of the data path is nothing on the admin port, and the admin token nothing on a route."""
    client = gateway.keys.token(roles=["member", "admin"])
    assert (await gateway.get("/admin/x", token=client)).status == 200
    for path in GUARDED:
        assert (await gateway.get(path, listener="admin", host="localhost", token=client)).status == 401
    assert (await gateway.get("/admin/x", token=TOKEN)).status == 401


@pytest.mark.parametrize(
    "host", ["evil.com", "127.0.0.1.evil.com", "evil.com:9901", "localhost.evil.com", "ops.example.com.evil.com"]
)
async def test_cve_2025_64443_a_rebound_name_is_not_served(gateway: House, host: str) -> None:
    """attacks.md row 103: DNS rebinding. The row says 403; a name that is not ours is 421 here, as on every listener."""
    for path in ("/metrics", "/routes"):
        assert (await gateway.get(path, listener="admin", host=host, token=TOKEN)).status == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.com"},
        {"Origin": "http://localhost:9901"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://evil.com", "Content-Type": "text/plain"},
    ],
    ids=["foreign", "loopback", "null", "fetch metadata", "simple request"],
)
async def test_cve_2026_27589_a_page_in_a_browser_changes_nothing(gateway: House, headers: dict[str, str]) -> None:
    """attacks.md rows 103 and 143: a cross-origin POST or PUT to an admin port on loopback, even with the token."""
    for method in ("GET", "PUT", "POST"):
        reply = await gateway.get(
            "/loglevel", method=method, listener="admin", host="localhost", token=TOKEN, headers=headers, body=b"debug"
        )
        assert reply.status == (405 if method == "POST" else 403)
        assert reply.get("Access-Control-Allow-Origin") is None


async def test_cve_2025_24030_the_metrics_port_serves_nothing_that_changes_the_gateway(gateway: House) -> None:
    """attacks.md row 144: no /quitquitquit, no /load, no profiler, no way to upstreams: whatever the spelling, with the token."""
    for path in ("/quitquitquit", "/load", "/config", "/debug/pprof", "/public/x", "/admin/x", "/metrics/../routes", "/metrics/x"):
        for method in ("GET", "POST", "DELETE"):
            reply = await gateway.get(path, method=method, listener="admin", host="localhost", token=TOKEN)
            assert reply.status in (404, 405), (path, method)
    assert gateway.upstream.seen == []


async def test_cve_2026_44774_internal_names_are_not_routable(gateway: House) -> None:
    """attacks.md row 144: the operators' paths exist on no data listener, by whatever Host."""
    _, port = gateway.address("admin")
    for path in (*OPEN, *GUARDED):
        for host in ("localhost", "admin", f"127.0.0.1:{port}", "api", "gateway.internal"):
            assert (await gateway.get(path, host=host, token=TOKEN)).status == 404


async def test_two_hosts_are_none_of_ours(gateway: House) -> None:
    reply = await gateway.raw(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: evil.com\r\n\r\n", listener="admin")
    assert reply.status == 421


async def test_the_dump_and_the_routes_show_what_is_served_and_no_secret(gateway: House) -> None:
    routes = (await gateway.get("/routes", listener="admin", host="localhost", token=TOKEN)).json()
    assert [(route["name"], route["upstream"], route["credential"]) for route in routes] == [
        ("open.public", "plain", None),
        ("admin", "api", "bot"),
        ("things", "api", "bot"),
    ]
    dump = await gateway.get("/config_dump", listener="admin", host="localhost", token=TOKEN)
    assert dump.json()["credentials"]["bot"] == {"inject": "bearer", "secret": {"env": "UPSTREAM_TOKEN"}, "rotate": None}
    assert TOKEN.encode() not in dump.body


async def test_what_went_wrong_last_shows_to_who_asks(gateway: House) -> None:
    (gateway.folder / "config.yaml").write_text("version: 1\nrouts: []\n")
    assert not await gateway.process.reload()
    reply = await gateway.get("/readyz?verbose", listener="admin", host="localhost")
    assert (reply.status, reply.json()["ready"], reply.json()["last_reload"]) == (200, True, "refused")


# A process of its own, on unix sockets


async def test_a_unix_socket_without_a_token_is_open_to_who_can_reach_the_file(tmp_path: Path) -> None:
    async with Upstream() as upstream, standalone(tmp_path, upstream) as running:
        for path in (*OPEN, *GUARDED):
            assert (await running.get(path, listener="admin")).status == 200
        assert (await running.get("/routes", listener="admin", host="evil.com")).status == 421
        assert (await running.get("/routes", listener="admin", headers={"Origin": "https://evil.com"})).status == 403


def lines(running: Standalone) -> list[dict[str, str]]:
    return [json.loads(line) for line in running.stderr.splitlines() if line.startswith(b"{")]


async def test_the_log_level_changes_what_is_logged_while_running(tmp_path: Path) -> None:
    async with Upstream() as upstream, standalone(tmp_path, upstream, log={"level": "error"}) as running:
        await running.reload("applied")
        assert "configuration applied" not in [line["message"] for line in lines(running)]
        changed = await running.get("/loglevel", method="PUT", listener="admin", body=b"info")
        assert (changed.status, changed.body) == (200, b"info\n")
        await running.reload("applied")

        async def logged() -> bool:
            return "configuration applied" in [line["message"] for line in lines(running)]

        await until(logged, "the new level lets nothing through")


async def test_a_reload_that_names_no_other_level_keeps_the_one_that_was_set(tmp_path: Path) -> None:
    """Who is looking for a fault must not lose sight of it because somebody else changed a route."""
    async with Upstream() as upstream, standalone(tmp_path, upstream, log={"level": "error"}) as running:
        await running.get("/loglevel", method="PUT", listener="admin", body=b"debug")
        await running.reload("applied")
        assert (await running.get("/loglevel", listener="admin")).body == b"debug\n"
        running.write({**running.document(), "log": {"level": "warning"}})
        await running.reload("applied")
        assert (await running.get("/loglevel", listener="admin")).body == b"warning\n"


async def test_while_draining_it_is_alive_and_not_ready_and_finishes_what_is_in_flight(tmp_path: Path) -> None:
    reached, answer = asyncio.Event(), asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        reached.set()
        await answer.wait()
        writer.write(SLOW)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(slow, "127.0.0.1", 0)
    upstream = Upstream(port=server.sockets[0].getsockname()[1])
    async with standalone(tmp_path, upstream, listen={"drain": {"timeout": "20s"}}) as running:
        request = asyncio.create_task(running.get("/public/slow"))
        await reached.wait()
        running.process.terminate()

        async def unready() -> bool:
            return (await running.get("/readyz", listener="admin")).status == 503

        await until(unready, "readiness did not fail")
        assert (await running.get("/livez", listener="admin")).status == 200
        assert (await running.get("/healthz", listener="admin")).status == 503
        with pytest.raises(OSError):
            await running.get("/public/late")
        answer.set()
        assert (await request).body == b"slow\n"
        assert await asyncio.wait_for(running.process.wait(), 20) == 0
    server.close()


async def test_a_served_gateway_tells_every_metric_once(tmp_path: Path) -> None:
    async with Upstream() as upstream, standalone(tmp_path, upstream) as running:
        families = parse((await running.get("/metrics", listener="admin")).body)
    assert "gateway_log_dropped_total" in families


@pytest.mark.parametrize(("prometheus", "status"), [(True, 200), (False, 404)])
async def test_metrics_are_served_only_where_they_are_wanted(tmp_path: Path, prometheus: bool, status: int) -> None:
    async with house(tmp_path, telemetry={"metrics": {"prometheus": prometheus}}) as gateway:
        assert (await gateway.get("/metrics", listener="admin", host="localhost")).status == status
