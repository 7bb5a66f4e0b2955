"""Several processes on one port, seen from outside: restarted, reloaded, replaced and drained under load."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.exposition import Scraped, parse
from tests.house import AUDIENCE, ISSUER, Seen, Upstream, config, request_bytes, written
from tests.population import population
from tests.standalone import PATIENCE, Standalone, standalone, until

EACH = {"per_worker": True}


class Several:
    """A gateway of two workers on a TCP port."""

    def __init__(self, gateway: Standalone, upstream: Upstream) -> None:
        self.gateway = gateway
        self.upstream = upstream
        self.port = 0

    def hold(self) -> asyncio.Event:
        """The upstream answers nothing any more; set when a request has reached it."""
        asked = asyncio.Event()

        def silence(_: Seen) -> bytes:
            asked.set()
            return b""

        self.upstream.answer = silence
        return asked

    async def find(self) -> None:
        """Its port, which the system gave."""

        async def started() -> bool:
            return any(event["event"] == "gateway.started" for event in self.events())

        await until(started, "no event of the start")
        started_event = next(event for event in self.events() if event["event"] == "gateway.started")
        self.port = int(started_event["listeners"]["listen"].rpartition(":")[2] or 0)

    def events(self) -> list[dict[str, Any]]:
        whole, _, _ = self.gateway.audit.rpartition(b"\n")  # the last one may just be being written
        return [json.loads(line) for line in whole.split(b"\n") if line]

    def requests(self) -> Counter[str]:
        return Counter(event["request_id"] for event in self.events() if event["event"] == "request")

    async def status(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.gateway.get("/readyz?verbose", listener="admin")).json()
        return found

    async def pids(self) -> dict[str, int]:
        """Process ids of those that serve, by place."""
        workers = (await self.status())["workers"]
        return {place: worker["pid"] for place, worker in workers.items() if worker["state"] == "serving"}

    async def metrics(self) -> dict[str, Scraped]:
        return parse((await self.gateway.get("/metrics", listener="admin")).body)

    async def counted(self, name: str, **labels: str) -> float:
        """The sum of a counter's samples that have these labels."""
        samples = (await self.metrics())[name].samples if name in await self.metrics() else {}
        return sum(value for (_, found), value in samples.items() if set(labels.items()) <= set(found))

    async def told(self, name: str, times: int = 1) -> list[dict[str, Any]]:
        """Events of a name, when there are so many."""

        async def there() -> bool:
            return [event["event"] for event in self.events()].count(name) >= times

        await until(there, f"not {times} events {name}")
        found = [event for event in self.events() if event["event"] == name]
        assert len(found) == times
        return found

    async def complete(self, ids: list[str]) -> None:
        """Wait until each of these requests is written down, then see that each is there once and every line is whole."""

        async def written_down() -> bool:
            return set(ids) <= set(self.requests())

        await until(written_down, f"requests without an event: {len(set(ids) - set(self.requests()))} of {len(ids)}")
        assert set(self.requests().values()) <= {1}
        assert len(set(ids)) == len(ids)

    async def replaced(self, before: dict[str, int], places: set[str]) -> None:
        """Wait until other processes serve these places."""

        async def others() -> bool:
            now = await self.pids()
            return len(now) == 2 and all(now[place] != before[place] for place in places)

        await until(others, f"not replaced: {before}; {self.gateway.stderr.decode(errors='replace')[-4000:]}")


@asynccontextmanager
async def several(folder: Path, **over: Any) -> AsyncIterator[Several]:
    async with Upstream() as upstream:
        over = {"rate_limits": EACH, "address": "127.0.0.1:0", "options": ["--workers", "2"], **over}
        async with standalone(folder, upstream, **over) as gateway:
            made = Several(gateway, upstream)
            await made.find()
            yield made


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Several]:
    async with several(tmp_path) as made:
        yield made


async def test_connections_are_spread_over_the_workers_and_one_scrape_adds_them_up(two: Several) -> None:
    async with population(two.port, clients=32) as clients:
        await clients.more(200)
    assert (clients.statuses, clients.lost) == ({200}, [])
    total = await two.counted("gateway_requests_total")
    assert total == len(clients.answers)
    made = [worker["audit"]["made"] for worker in (await two.status())["workers"].values()]
    assert all(made)
    assert sum(made) == total
    cpu = (await two.metrics())["process_cpu_seconds_total"].samples
    assert {dict(labels)["worker"] for _, labels in cpu} == {"0", "1", "supervisor"}
    assert await two.counted("gateway_workers") == 2
    await two.complete(clients.ids)


async def test_a_killed_worker_is_replaced_and_no_answered_request_lacks_its_event(two: Several) -> None:
    async with population(two.port, clients=16) as clients:
        await clients.more(100)
        before = await two.pids()
        scraped = await two.counted("gateway_requests_total")
        os.kill(before["0"], signal.SIGKILL)
        await two.replaced(before, {"0"})
        await clients.more(100)
        assert (await two.pids())["1"] == before["1"]
        assert await two.counted("gateway_requests_total") >= scraped
    # What was in flight on the killed one is lost, and one request of each of its connections at most.
    assert clients.statuses == {200}
    assert len(clients.lost) <= 16
    await two.complete(clients.ids)
    assert await two.counted("gateway_worker_restarts_total", cause="died") == 1
    (ended,) = await two.told("worker.stopped")
    assert (ended["pid"], ended["exit"], ended["cut_off"]) == (before["0"], -signal.SIGKILL, True)


async def test_connections_that_wait_for_a_dead_worker_are_answered(two: Several) -> None:
    before = await two.pids()
    for pid in before.values():
        os.kill(pid, signal.SIGSTOP)
    waiting = [asyncio.create_task(population_of_one(two.port)) for _ in range(24)]
    await asyncio.sleep(0.2)
    os.kill(before["0"], signal.SIGKILL)
    os.kill(before["1"], signal.SIGCONT)
    assert set(await asyncio.wait_for(asyncio.gather(*waiting), PATIENCE)) == {200}
    await two.replaced(before, {"0"})


async def population_of_one(port: int) -> int:
    async with population(port, clients=1) as clients:
        await clients.more(1)
        clients.end()
    assert clients.lost == []
    return clients.answers[0].status


async def test_a_reload_reaches_every_worker_and_drops_nothing(two: Several) -> None:
    document = two.gateway.document()
    async with population(two.port) as clients:
        for turn in range(2):
            document["security_headers"] = {"X-Turn": str(turn)}
            two.gateway.write(document)
            await two.gateway.reload("applied")
            status = await two.status()
            assert {worker["generation"] for worker in status["workers"].values()} == {status["generation"]}
            await clients.more(20)
    assert (clients.statuses, clients.lost) == ({200}, [])
    assert clients.answers[-1]["X-Turn"] == "1"
    await two.complete(clients.ids)
    await two.told("config.changed", 2)


async def test_a_configuration_that_is_refused_changes_no_worker(two: Several) -> None:
    before = await two.status()
    document = two.gateway.document()
    document["authentication"]["jwt"]["corp"]["jwks"]["file"] = "gone.json"
    two.gateway.write(document)
    await two.gateway.reload("refused")
    after = await two.status()
    assert {worker["generation"] for worker in after["workers"].values()} == {before["generation"]}
    assert after["last_reload"] == "refused"
    assert await two.pids() == {place: worker["pid"] for place, worker in before["workers"].items()}
    await two.told("config.refused")


async def test_a_restarted_worker_serves_what_the_others_serve_and_not_what_is_being_edited(two: Several) -> None:
    before = await two.pids()
    generation = (await two.status())["generation"]
    (two.gateway.folder / "config.yaml").write_text("version: 1\nrouts: [")
    os.kill(before["0"], signal.SIGKILL)
    await two.replaced(before, {"0"})
    assert {worker["generation"] for worker in (await two.status())["workers"].values()} == {generation}


async def test_workers_are_replaced_one_by_one_and_no_request_is_dropped(two: Several) -> None:
    async with population(two.port, clients=16) as clients:
        await clients.more(100)
        for _ in range(2):
            before = await two.pids()
            two.gateway.process.send_signal(signal.SIGUSR2)
            await two.replaced(before, {"0", "1"})
            await clients.more(50)
    assert (clients.lost, clients.statuses) == ([], {200})
    await two.complete(clients.ids)
    assert await two.counted("gateway_requests_total") == len(clients.answers)


async def test_a_worker_told_to_go_is_replaced_and_no_request_is_dropped(two: Several) -> None:
    async with population(two.port, clients=16) as clients:
        await clients.more(100)
        before = await two.pids()
        os.kill(before["1"], signal.SIGTERM)
        await two.replaced(before, {"1"})
        await clients.more(100)
    assert (clients.lost, clients.statuses) == ([], {200})


async def test_a_drain_answers_what_is_in_flight_everywhere_and_ends_with_0(tmp_path: Path) -> None:
    async with several(tmp_path, listen={"drain": {"delay": "1s", "timeout": "10s"}}) as two:
        async with population(two.port, clients=16) as clients:
            await clients.more(100)
            two.gateway.process.send_signal(signal.SIGTERM)

            async def unready() -> bool:
                return (await two.gateway.get("/readyz", listener="admin")).status == 503

            await until(unready, "ready while draining")
            await clients.more(20)
            clients.end()
        assert await asyncio.wait_for(two.gateway.process.wait(), PATIENCE) == 0
        assert (clients.lost, clients.statuses) == ([], {200})
        await two.complete(clients.ids)
        assert two.events()[-1]["event"] == "gateway.stopped"


async def test_a_second_signal_ends_everybody_at_once_and_says_that_requests_were_cut_off(tmp_path: Path) -> None:
    async with several(tmp_path, listen={"drain": {"timeout": "60s"}}) as two:
        held = two.hold()
        _, writer = await asyncio.open_connection("127.0.0.1", two.port)
        writer.write(request_bytes("/public/x"))
        await asyncio.wait_for(held.wait(), PATIENCE)
        two.gateway.process.send_signal(signal.SIGTERM)

        async def drains() -> bool:
            return b'"draining"' in two.gateway.stderr

        await until(drains, "no drain")
        two.gateway.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(two.gateway.process.wait(), PATIENCE) == 1
        writer.close()
        assert two.events()[-1] | {"event": "gateway.stopped", "cut_off": True} == two.events()[-1]
        (cut,) = [event for event in two.events() if event["event"] == "request"]
        assert cut["error"] == "client-gone"


async def test_a_stop_while_workers_are_replaced_is_obeyed(two: Several) -> None:
    async with population(two.port) as clients:
        await clients.more(50)
        two.gateway.process.send_signal(signal.SIGUSR2)
        two.gateway.process.send_signal(signal.SIGHUP)
        await two.told("config.changed")
        clients.end()
        try:
            assert await two.gateway.end() == 0
        except TimeoutError:
            raise AssertionError(two.gateway.stderr.decode()) from None
    assert (clients.lost, clients.statuses) == ([], {200})
    await two.complete(clients.ids)


async def test_listeners_come_and_go_with_a_reload(tmp_path: Path) -> None:
    async with several(tmp_path, listen=None, listeners={"listen": {"address": "127.0.0.1:0"}}) as two:
        document = two.gateway.document()
        more = {"address": f"unix:{two.gateway.sockets}/more"}
        document["listeners"] = {"listen": {"address": "127.0.0.1:0"}, "more": more, "third": {"address": "127.0.0.1:0"}}
        two.gateway.write(document)
        async with population(two.port) as clients:
            await two.gateway.reload("applied")
            assert {(await two.gateway.get("/public/x", listener="more")).status for _ in range(8)} == {200}
            with socket.create_server(("127.0.0.1", 0)) as taken:
                document["listeners"]["taken"] = {"address": f"127.0.0.1:{taken.getsockname()[1]}"}
                two.gateway.write(document)
                await two.gateway.reload("refused")
            for gone in ("more", "third", "taken"):
                del document["listeners"][gone]
            two.gateway.write(document)
            await two.gateway.reload("applied")
            await clients.more(20)
        assert not Path(two.gateway.socket("more")).exists()
        assert (clients.lost, clients.statuses) == ([], {200})
        before = await two.pids()
        os.kill(before["1"], signal.SIGKILL)
        await two.replaced(before, {"1"})


async def test_a_reload_that_the_operators_listener_cannot_follow_changes_nothing_and_the_next_one_is_good(two: Several) -> None:
    good = two.gateway.document()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        document = two.gateway.document() | {"admin": {"address": f"127.0.0.1:{taken.getsockname()[1]}"}}
        two.gateway.write(document)
        await two.gateway.reload("refused")
    two.gateway.write(good | {"security_headers": {"X-Turn": "1"}})
    await two.gateway.reload("applied")
    async with population(two.port) as clients:
        await clients.more(20)
    assert {answer["X-Turn"] for answer in clients.answers} == {"1"}


async def test_while_workers_drain_nobody_connects_any_more(tmp_path: Path) -> None:
    async with several(tmp_path, listen={"drain": {"timeout": "60s"}}) as two:
        held = two.hold()
        _, writer = await asyncio.open_connection("127.0.0.1", two.port)
        writer.write(request_bytes("/public/x"))
        await asyncio.wait_for(held.wait(), PATIENCE)
        two.gateway.process.send_signal(signal.SIGTERM)

        async def refused() -> bool:
            try:
                _, another = await asyncio.open_connection("127.0.0.1", two.port)
            except ConnectionRefusedError:
                return True
            another.close()
            return False

        await until(refused, "connections are taken, or kept waiting, while draining")
        assert two.gateway.process.returncode is None
        writer.close()
        assert await asyncio.wait_for(two.gateway.process.wait(), PATIENCE) == 0


async def test_a_place_whose_worker_cannot_use_its_files_is_filled_after_the_next_reload(two: Several) -> None:
    keys = two.gateway.folder / "jwks.json"
    good = keys.read_text()
    keys.write_text("nonsense")
    before = await two.pids()
    os.kill(before["0"], signal.SIGKILL)

    async def refuses() -> bool:
        return b"a worker refuses the configuration" in two.gateway.stderr

    await until(refuses, "the restarted worker took broken keys")
    assert await two.pids() == {"1": before["1"]}
    for _ in range(12):
        assert await population_of_one(two.port) == 200
    keys.write_text(good)
    await two.gateway.reload("applied")
    await two.replaced(before, {"0"})


async def test_when_no_worker_can_use_the_files_any_more_the_gateway_ends_with_78(two: Several) -> None:
    (two.gateway.folder / "jwks.json").write_text("nonsense")
    for pid in (await two.pids()).values():
        os.kill(pid, signal.SIGKILL)
    assert await asyncio.wait_for(two.gateway.process.wait(), PATIENCE) == 78


async def test_replacing_again_and_again_leaves_nothing_behind(two: Several) -> None:
    async def descriptors() -> dict[str, float]:
        samples = (await two.metrics())["process_open_fds"].samples
        return {dict(labels)["worker"]: value for (_, labels), value in samples.items()}

    first = await descriptors()
    for _ in range(2):
        before = await two.pids()
        two.gateway.process.send_signal(signal.SIGUSR2)
        await two.replaced(before, {"0", "1"})
        await two.gateway.reload("applied")

    async def as_before() -> bool:
        return await descriptors() == first

    await until(as_before, f"descriptors before: {first}")


async def test_watching_reloads_everybody(tmp_path: Path) -> None:
    async with several(tmp_path, options=["--workers", "2", "--watch"]) as two:
        generation = (await two.status())["generation"]
        document = two.gateway.document()
        document["security_headers"] = {"X-Turn": "1"}
        two.gateway.write(document)
        await two.told("config.changed")
        workers = (await two.status())["workers"].values()
        assert generation not in {worker["generation"] for worker in workers}


async def test_operators_see_routes_and_set_the_level_everywhere(two: Several) -> None:
    names = [route["name"] for route in (await two.gateway.get("/routes", listener="admin")).json()]
    assert "open.public" in names
    assert (await two.gateway.get("/config_dump", listener="admin")).json()["version"] == 1
    reply = await two.gateway.get("/loglevel", listener="admin", method="PUT", body=b"error")
    assert reply.body == b"error\n"
    assert (await two.gateway.get("/loglevel", listener="admin")).body == b"error\n"


async def test_limits_in_memory_are_refused_with_both_ways_out(tmp_path: Path) -> None:
    code, errors = await refused(tmp_path, {})
    assert code == 78
    assert b"rate_limits" in errors
    assert b"redis" in errors
    assert b"per_worker: true" in errors


async def test_a_replay_store_of_one_worker_alone_is_refused(tmp_path: Path) -> None:
    """A proof used at one worker would count once more at each other: with several, memory is no protection."""
    issuer = {"issuer": ISSUER, "audience": [AUDIENCE], "jwks": {"file": "jwks.json"}, "algorithms": ["ES256"]}
    over = {"rate_limits": EACH, "authentication": {"jwt": {"corp": issuer}, "dpop": {"nonce": {}}}}
    code, errors = await refused(tmp_path, over)
    assert code == 78
    assert b"state.store: memory with --workers above 1" in errors
    assert b"state: {store: {redis:" in errors
    assert b"authentication.dpop.nonce" in errors


async def test_a_port_that_is_taken_is_one_clear_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, errors = await refused(tmp_path, {"rate_limits": EACH, "listen": {"address": address}})
    assert code == 78
    assert address.encode() in errors
    assert b"in use" in errors


async def test_a_second_gateway_does_not_share_the_port_of_the_first(two: Several, tmp_path: Path) -> None:
    folder = tmp_path / "second"
    folder.mkdir()
    code, errors = await refused(folder, {"rate_limits": EACH, "listen": {"address": f"127.0.0.1:{two.port}"}})
    assert code == 78
    assert b"in use" in errors


async def test_a_configuration_that_a_worker_refuses_ends_the_start_with_its_problems(tmp_path: Path) -> None:
    document = {"rate_limits": EACH, "cors": {"app": {"origins": ["https://a.example"], "methods": ["GET"]}}}
    broken = {"routes": [*config(1)["routes"], {**config(1)["routes"][0], "name": "open.again"}]}
    code, errors = await refused(tmp_path, document | broken)
    assert code == 78
    assert b"config.yaml" in errors


async def refused(folder: Path, over: dict[str, Any]) -> tuple[int, bytes]:
    """Exit code and standard error of a start that should fail."""
    (folder / "policies").mkdir()
    (folder / "jwks.json").write_text('{"keys": []}')
    (folder / "config.yaml").write_text(written(config(1, **over)))
    command = (sys.executable, "-m", "gateway", "serve", "--workers", "2", "--config", str(folder / "config.yaml"))
    environment = {**os.environ, "UPSTREAM_TOKEN": "t"}
    process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.PIPE)
    _, errors = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode is not None
    return process.returncode, errors


async def test_workers_end_when_nobody_keeps_them_any_more(two: Several) -> None:
    pids = await two.pids()
    two.gateway.process.kill()
    await two.gateway.process.wait()

    async def gone() -> bool:
        return not any(lives(pid) for pid in pids.values())

    await until(gone, "workers outlive their supervisor")


async def test_workers_outlive_the_process_they_were_forked_from_and_are_replaced_all_the_same(two: Several) -> None:
    before = await two.pids()
    os.kill(parent(before["0"]), signal.SIGKILL)
    assert (await two.gateway.get("/readyz", listener="admin")).status == 200
    os.kill(before["0"], signal.SIGKILL)
    await two.replaced(before, {"0"})
    assert (await two.pids())["1"] == before["1"]


def parent(pid: int) -> int:
    return int(stat_of(pid)[1])


def lives(pid: int) -> bool:
    """Whether it is there and no zombie. Of /proc, `stat` is what also an account without rights may read of a gateway."""
    try:
        return stat_of(pid)[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def stat_of(pid: int) -> list[str]:
    """From the state on (proc(5))."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


async def test_while_the_trail_takes_nothing_every_worker_refuses(tmp_path: Path) -> None:
    async with several(tmp_path) as two:
        assert (await population_of_one(two.port)) == 200
        document = two.gateway.document()
        (tmp_path / "audit.jsonl").rename(tmp_path / "moved.jsonl")
        (tmp_path / "audit.jsonl").mkdir()
        two.gateway.write(document)
        two.gateway.process.send_signal(signal.SIGHUP)

        async def all_refuse() -> bool:
            workers = (await two.status())["workers"].values()
            return all(worker["audit"]["full"] is True for worker in workers)

        async with population(two.port) as clients:
            await clients.more(50)
            await until(all_refuse, "workers go on while the trail fails")
        (tmp_path / "audit.jsonl").rmdir()

        async def none_refuses() -> bool:
            workers = (await two.status())["workers"].values()
            return not any(worker["audit"]["full"] is True for worker in workers)

        await until(none_refuses, "workers refuse though the trail works again")
        assert (await population_of_one(two.port)) == 200
        await two.complete(clients.ids)


async def test_a_unix_socket_is_shared(tmp_path: Path) -> None:
    async with Upstream() as upstream:
        async with standalone(tmp_path, upstream, options=["--workers", "2"], rate_limits=EACH) as gateway:
            replies = await asyncio.gather(*(gateway.get("/public/x") for _ in range(40)))
            assert {reply.status for reply in replies} == {200}
            assert Path(gateway.socket()).is_socket()
            assert await gateway.end() == 0
            assert not Path(gateway.socket()).exists()


async def test_log_lines_are_whole_and_say_whose_they_are(two: Several) -> None:
    await two.gateway.reload("applied")
    lines = [json.loads(line) for line in two.gateway.stderr.splitlines()]
    assert {line.get("worker") for line in lines} >= {0, 1, None}
