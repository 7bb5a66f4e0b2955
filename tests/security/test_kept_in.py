"""What the process knows stays in it: no core dump holds a key, and what it runs cannot read it."""

import asyncio
import ctypes
import logging
import os
import resource
import sys
from pathlib import Path

import pytest

from gateway.apart import prepared
from gateway.undumpable import kept_in
from gateway.workers.channel import GoneError
from gateway.workers.nursery import Nursery
from tests.house import Upstream
from tests.standalone import standalone, until

PR_CAPBSET_DROP = 24
CAPABILITIES = range(64)
LOOK = """
import asyncio, os, socket, subprocess, sys, tempfile, time
from pathlib import Path
from gateway.undumpable import kept_in
def look(pid):
    try:
        open(f"/proc/{pid}/environ", "rb").read()
        return "read"
    except PermissionError:
        return "refused"
"""
CHILD = """
if sys.argv[1] == "guarded":
    kept_in()
if os.fork():
    os.wait()
else:
    print(look(os.getppid()))
"""
EXECUTED = """
process = subprocess.Popen([sys.executable, "-P", "-m", "gateway.apart"], stdin=subprocess.PIPE)
until = time.monotonic() + 60
while look(process.pid) == "read" and process.poll() is None and time.monotonic() < until:
    time.sleep(0.05)
print(look(process.pid), process.poll())
process.kill()
"""
FORKED = """
from gateway.workers.nursery import Nursery
async def main():
    nursery = Nursery(lambda pid, code: None)
    ends = [socket.socketpair() for _ in range(3)]
    worker = await nursery.fork([end.fileno() for _, end in ends])
    status = Path(f"/proc/{worker}/status").read_text().splitlines()
    (parent,) = [line.split()[1] for line in status if line.startswith("PPid:")]
    print(look(parent), look(worker))
    nursery.kill(worker)
    await nursery.close()
asyncio.run(main())
"""
ROTATED = """
from tests.rotating import command, scene
async def main():
    with tempfile.TemporaryDirectory() as folder:
        async with scene(Path(folder)) as here:
            here.provider.mood("look")
            await command(here)
            print(*sorted(set((Path(folder) / "seen").read_text().split())))
asyncio.run(main())
"""
BORN = """
import os, sys
from pathlib import Path
from gateway.workers import forking, worker
worker.run = lambda *_: Path(sys.argv[2]).write_text(os.environ["CANARY_KEY"])
forking.main()
"""


async def said(script: str, *arguments: str) -> str:
    """What a script prints to whom something can be refused, root or not."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", LOOK + script, *arguments), stdout=asyncio.subprocess.PIPE, preexec_fn=be_refused
    )
    printed, _ = await process.communicate()
    return printed.decode().strip()


def be_refused() -> None:
    """What root starts from here has no capabilities: it may read what others of its account may (capabilities(7))."""
    if os.getuid() == 0:
        system = ctypes.CDLL(None)
        for capability in CAPABILITIES:
            system.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


@pytest.mark.parametrize(("guarded", "told"), [("guarded", "refused"), ("bare", "read")])
async def test_a_program_that_the_gateway_runs_does_not_read_its_environment(guarded: str, told: str) -> None:
    """A hook has an environment of its own; its parent's, with the key of the vault in it, lies in /proc otherwise."""
    assert await said(CHILD, guarded) == told


async def test_a_program_that_the_gateway_runs_does_not_read_what_prepares_a_reload() -> None:
    assert await said(EXECUTED) == "refused None"


async def test_a_program_that_the_gateway_runs_does_not_read_workers_of_a_second_forking_process() -> None:
    assert await said(FORKED) == "refused refused"


async def test_a_hook_of_the_command_does_not_read_the_environment_of_the_command() -> None:
    assert await said(ROTATED) == "refused"


def test_what_prepares_a_reload_is_started_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it runs it is not kept in: there is nothing in its environment then."""
    stand_in(tmp_path, f"env > '{tmp_path}/seen'; exit 1", monkeypatch)
    assert prepared([], [], None) is None
    assert_bare((tmp_path / "seen").read_text())


async def test_a_second_forking_process_is_started_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, f"env > '{tmp_path}/seen'", monkeypatch)
    with pytest.raises(GoneError):
        await Nursery(lambda _, __: None).fork([])
    assert_bare((tmp_path / "seen").read_text())


async def test_workers_of_a_second_forking_process_have_the_variables_of_the_gateway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "born.py").write_text(BORN)
    stand_in(tmp_path, f"exec '{sys.executable}' -P '{tmp_path}/born.py' \"$4\" '{tmp_path}/seen'", monkeypatch)
    nursery = Nursery(lambda _, __: None)
    with (tmp_path / "any").open("w") as any_file:
        await nursery.fork([any_file.fileno()] * 3)

    async def is_told() -> bool:
        return (tmp_path / "seen").exists() and (tmp_path / "seen").read_text() == "canary-key"

    await until(is_told, "the worker's word")
    await nursery.close()


def stand_in(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program for the interpreter, and a secret among the variables."""
    (folder / "python").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "python").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("CANARY_KEY", "canary-key")


def assert_bare(seen: str) -> None:
    assert "PYTHONPATH=" in seen
    assert "canary-key" not in seen


def test_that_a_process_could_not_be_kept_in_is_told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    class Refusing:
        def prctl(self, *_: int) -> int:
            return -1

    monkeypatch.setattr(ctypes, "CDLL", lambda _: Refusing())
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    with caplog.at_level(logging.WARNING):
        kept_in()
    assert [record.name for record in caplog.records] == ["gateway.undumpable"]


async def test_a_gateway_that_crashes_leaves_no_core(tmp_path: Path) -> None:
    async with Upstream() as upstream, standalone(tmp_path, upstream) as gateway:
        limits = Path(f"/proc/{gateway.process.pid}/limits").read_text().splitlines()
        (line,) = [each for each in limits if each.startswith("Max core file size")]
        assert line.split()[4:6] == ["0", "0"]
