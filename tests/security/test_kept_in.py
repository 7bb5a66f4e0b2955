"""What the process knows stays in it: no core dump holds a key, and what it runs cannot read it."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.house import Upstream
from tests.standalone import standalone

ANYBODY = 65534
CHILD = """
import ctypes, os, sys
from gateway.cli.serve import PR_SET_DUMPABLE, kept_in
if os.getuid() == 0:  # whom nothing is refused
    os.setgroups([])
    os.setgid(int(sys.argv[1]))
    os.setuid(int(sys.argv[1]))
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
if sys.argv[2] == "guarded":
    kept_in()
if os.fork():
    os.wait()
else:
    try:
        open(f"/proc/{os.getppid()}/environ", "rb").read()
        print("read")
    except PermissionError:
        print("refused")
"""


@pytest.mark.parametrize(("guarded", "told"), [("guarded", "refused"), ("bare", "read")])
async def test_a_program_that_the_gateway_runs_does_not_read_its_environment(guarded: str, told: str) -> None:
    """A hook has an environment of its own; its parent's, with the key of the vault in it, lies in /proc otherwise."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, str(ANYBODY), guarded, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert said.decode().strip() == told


async def test_a_gateway_that_crashes_leaves_no_core(tmp_path: Path) -> None:
    async with Upstream() as upstream, standalone(tmp_path, upstream) as gateway:
        limits = Path(f"/proc/{gateway.process.pid}/limits").read_text().splitlines()
        (line,) = [each for each in limits if each.startswith("Max core file size")]
        assert line.split()[4:6] == ["0", "0"]
