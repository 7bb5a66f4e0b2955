"""A changed configuration, while requests go on: swapped whole, or not at all."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.process import Process
from gateway.source import Source
from tests.house import House, config, house, written
from tests.standalone import until


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as running:
        yield running


def with_route(gateway: House, name: str, path: str) -> None:
    """Write the configuration with one more open route."""
    document = config(gateway.upstream.port)
    document["routes"].append({"name": name, "match": {"path": path}, "upstream": "plain", "anonymous": True})
    gateway.write(document)


async def test_a_reload_serves_the_new_configuration(gateway: House) -> None:
    assert (await gateway.get("/new")).status == 404
    with_route(gateway, "open.new", "/new")
    assert await gateway.process.reload()
    assert (await gateway.get("/new")).status == 200
    generations = {event["generation"] for event in await gateway.requests()}
    assert len(generations) == 2
    assert [event["event"] for event in await gateway.events() if event["event"].startswith("config")] == ["config.changed"]


@pytest.mark.parametrize("name", ["config.yaml", "policies/policy.yaml", "policies/new.yaml", "jwks.json"])
async def test_a_pipe_in_place_of_a_file_keeps_no_reload_waiting(gateway: House, name: str) -> None:
    """Nobody writes to it: opening it as a file would wait for ever, and every reload after it for that one."""
    before = gateway.process.current.snapshot
    file = gateway.folder / name
    file.unlink(missing_ok=True)
    os.mkfifo(file)
    async with asyncio.timeout(30.0):
        assert not await gateway.process.reload()
        assert (await gateway.get("/public/x")).status == 200
    assert gateway.process.current.snapshot is before
    [refused] = [event for event in await gateway.events() if event["event"] == "config.refused"]
    assert "file" in str(refused["problems"])


@pytest.mark.parametrize(
    "broken",
    [b"version: 1\nroutes: [", b"\x00", b"", b"version: 1\nrouts: []\n", b"version: 2\n", b"&a version: 1\n"],
    ids=["cut off", "not text", "empty", "unknown key", "other version", "anchor"],
)
async def test_a_broken_edit_leaves_the_old_configuration_serving(gateway: House, broken: bytes) -> None:
    before = gateway.process.current.snapshot
    (gateway.folder / "config.yaml").write_bytes(broken)
    assert not await gateway.process.reload()
    assert gateway.process.current.snapshot is before
    assert (await gateway.get("/public/x")).status == 200
    refused = [event for event in await gateway.events() if event["event"] == "config.refused"]
    assert len(refused) == 1
    assert refused[0]["problems"]
    metrics = gateway.process.telemetry.metrics.render().decode()
    assert "gateway_config_last_success 0" in metrics
    assert 'gateway_config_reloads_total{outcome="refused"} 1' in metrics


async def test_a_broken_policy_leaves_the_old_policies_deciding(gateway: House) -> None:
    (gateway.folder / "policies" / "policy.yaml").write_text(
        "apiVersion: gateway/v1\nkind: Policy\nname: x\nroutes: [nowhere]\nrules: []\n"
    )
    assert not await gateway.process.reload()
    assert (await gateway.get("/admin/x")).status == 401
    assert (await gateway.get("/admin/x", token=gateway.keys.token())).status == 200


async def test_a_vanished_secret_refuses_the_reload(gateway: House) -> None:
    document = config(gateway.upstream.port)
    document["credentials"]["bot"]["secret"] = {"file": "gone"}
    gateway.write(document)
    assert not await gateway.process.reload()
    assert (await gateway.get("/admin/x", token=gateway.keys.token())).status == 200


async def test_no_request_is_lost_while_configurations_come_and_go(tmp_path: Path) -> None:
    done = asyncio.Event()
    statuses: list[int] = []

    async def client(gateway: House) -> None:
        while not done.is_set():
            statuses.append((await gateway.get("/public/x")).status)

    async with house(tmp_path, apart=True) as gateway:
        clients = [asyncio.create_task(client(gateway)) for _ in range(4)]
        for turn in range(3):
            with_route(gateway, "open.new", f"/new{turn}")
            assert await gateway.process.reload()
        done.set()
        await asyncio.gather(*clients)
    assert set(statuses) == {200}


async def test_counters_of_unchanged_limits_outlive_a_reload(tmp_path: Path) -> None:
    limits = {"default": ["few"], "rules": {"few": {"key": "client.address", "limit": "2/day"}}}
    async with house(tmp_path, rate_limits=limits) as gateway:
        assert [(await gateway.get("/public/x")).status for _ in range(2)] == [200, 200]
        document = config(gateway.upstream.port, rate_limits=limits)
        document["security_headers"] = {"X-Frame-Options": "sameorigin"}
        gateway.write(document)
        assert await gateway.process.reload()
        reply = await gateway.get("/public/x")
        assert (reply.status, reply["X-Frame-Options"]) == (429, "sameorigin")


async def test_a_replaced_secret_file_is_used_without_a_reload(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("first-token\n")
    secret.chmod(0o600)
    credentials = {"bot": {"inject": "bearer", "secret": {"file": "secret"}}}
    async with house(tmp_path, credentials=credentials) as gateway:
        token = gateway.keys.token()
        await gateway.get("/admin/x", token=token)
        replacement = tmp_path / "replacement"
        replacement.write_text("second-token\n")
        replacement.chmod(0o600)
        replacement.rename(secret)
        await asyncio.to_thread(gateway.process.loaded.secrets.refresh)
        await gateway.get("/admin/x", token=token)
        assert [seen.all("Authorization") for seen in gateway.upstream.seen] == [["Bearer first-token"], ["Bearer second-token"]]


def generation(folder: Path, document: dict[str, Any], source: Path) -> None:
    """One version of everything a configuration map holds."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(written(document | {"policies": ["policy.yaml", "roles.yaml"]}))
    for file in ("jwks.json", "policies/policy.yaml", "policies/roles.yaml"):
        (folder / Path(file).name).write_text((source / file).read_text())


async def test_watching_sees_a_kubernetes_symlink_swap(gateway: House, tmp_path: Path) -> None:
    mounted = tmp_path / "mounted"
    document = config(gateway.upstream.port)
    generation(mounted / "..a", document, tmp_path)
    document["routes"].append({"name": "open.new", "match": {"path": "/new"}, "upstream": "plain", "anonymous": True})
    generation(mounted / "..b", document, tmp_path)
    (mounted / "..data").symlink_to("..a")
    for name in ("config.yaml", "policy.yaml", "roles.yaml", "jwks.json"):
        (mounted / name).symlink_to(f"..data/{name}")
    process = Process(Source((mounted / "config.yaml",), (), {"UPSTREAM_TOKEN": "t"}))
    await process.start()
    try:
        process.watch()
        watched = House(process, gateway.upstream, gateway.keys, mounted)
        assert (await watched.get("/new")).status == 404
        (mounted / "..next").symlink_to("..b")
        (mounted / "..next").rename(mounted / "..data")

        async def swapped() -> bool:
            return (await watched.get("/new")).status == 200

        await until(swapped, "the symlink swap was not seen")
    finally:
        await process.stop()


async def test_a_broken_edit_put_back_under_watch_clears_the_refusal(gateway: House) -> None:
    gateway.process.watch()
    file = gateway.folder / "config.yaml"
    good = file.read_bytes()

    def told(success: int) -> Callable[[], Awaitable[bool]]:
        async def holds() -> bool:
            return f"gateway_config_last_success {success}" in gateway.process.telemetry.metrics.render().decode()

        return holds

    file.write_bytes(b"routs: []\n")
    await until(told(0), "the broken edit was not seen")
    file.write_bytes(good)
    await until(told(1), "the refusal outlived the file that caused it")
    assert (await gateway.get("/public/x")).status == 200


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[House, asyncio.subprocess.Process]]:
    """A gateway as a process of its own, with an upstream of ours."""
    port = free_port()
    async with house(tmp_path) as gateway:
        document = config(gateway.upstream.port)
        document["listen"] = {"address": f"127.0.0.1:{port}", "drain": {"timeout": "5s"}}
        document["audit"] = {"file": "served.jsonl"}
        gateway.write(document)
        environment = {**os.environ, "UPSTREAM_TOKEN": "t"}
        command = (sys.executable, "-m", "gateway", "serve", "--config", str(tmp_path / "config.yaml"))
        process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.PIPE)
        own = House(gateway.process, gateway.upstream, gateway.keys, tmp_path)
        own.address = lambda listener="listen": ("127.0.0.1", port)  # type: ignore[method-assign]

        async def answers() -> bool:
            try:
                return (await own.get("/public/x")).status == 200
            except OSError:
                return False

        try:
            await until(answers, "the gateway did not come up")
            yield own, process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def test_sighup_reloads_and_sigterm_ends_with_0(served: tuple[House, asyncio.subprocess.Process]) -> None:
    gateway, process = served
    document = yaml.safe_load((gateway.folder / "config.yaml").read_text())
    document["routes"].append({"name": "open.new", "match": {"path": "/new"}, "upstream": "plain", "anonymous": True})
    gateway.write(document)
    process.send_signal(signal.SIGHUP)

    async def reloaded() -> bool:
        return (await gateway.get("/new")).status == 200

    await until(reloaded, "SIGHUP did not reload")
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 20) == 0
    events = [json.loads(line)["event"] for line in (gateway.folder / "served.jsonl").read_text().splitlines()]
    assert events[0] == "gateway.started"
    assert events[-1] == "gateway.stopped"
    assert "config.changed" in events


async def test_a_start_with_a_bad_configuration_exits_78(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("version: 1\nrouts: []\n")
    command = (sys.executable, "-m", "gateway", "serve", "--config", str(tmp_path / "config.yaml"))
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, errors = await process.communicate()
    assert process.returncode == 78
    assert b"config.yaml:2:1: routs" in errors
    assert b"routes" in errors
