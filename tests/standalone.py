"""A gateway as an operating-system process of its own, on unix sockets, with everything it prints kept."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.house import POLICY, ROLES, Keys, Reply, Upstream, config, converse, request_bytes, written

PATIENCE = 60.0


class Standalone:
    """The running process, its listeners `listen` and `admin`, and its standard error so far."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path, sockets: Path, keys: Keys) -> None:
        self.process = process
        self.folder = folder
        self.sockets = sockets
        self.keys = keys

    def socket(self, listener: str = "listen") -> str:
        return str(self.sockets / listener)

    async def raw(self, data: bytes, *, method: str = "GET", listener: str = "listen") -> Reply:
        return await converse(*await asyncio.open_unix_connection(self.socket(listener)), data, method=method)

    async def get(self, target: str, *, listener: str = "listen", **request: Any) -> Reply:
        """Ask for `target`; see `house.request_bytes` for the rest."""
        data = request_bytes(target, **{"host": "localhost", **request})
        return await self.raw(data, method=request.get("method", "GET"), listener=listener)

    @property
    def stderr(self) -> bytes:
        return (self.folder / "stderr").read_bytes()

    @property
    def audit(self) -> bytes:
        return (self.folder / "audit.jsonl").read_bytes()

    def document(self) -> dict[str, Any]:
        """The configuration as it stands on disk."""
        found: dict[str, Any] = yaml.safe_load((self.folder / "config.yaml").read_text())
        return found

    def write(self, document: dict[str, Any]) -> None:
        (self.folder / "config.yaml").write_text(written(document))

    async def reload(self, outcome: str) -> None:
        """SIGHUP, and wait until one more reload is counted as `applied` or `refused`."""
        before = await self._counted(outcome)
        self.process.send_signal(signal.SIGHUP)

        async def counted() -> bool:
            return await self._counted(outcome) > before

        await until(counted, f"no reload was {outcome}: {self.stderr.decode(errors='replace')}")

    async def _counted(self, outcome: str) -> int:
        metrics = (await self.get("/metrics", listener="admin")).body.decode()
        lines = [line for line in metrics.splitlines() if line.startswith(f'gateway_config_reloads_total{{outcome="{outcome}"}}')]
        return int(float(lines[0].split()[-1])) if lines else 0

    async def end(self) -> int:
        """SIGTERM; the exit code."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), PATIENCE)


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait for something another process or thread brings about, and leave it the processor: look less and less often."""
    deadline, pause = asyncio.get_running_loop().time() + PATIENCE, 0.01
    while asyncio.get_running_loop().time() < deadline:
        if await condition():
            return
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 0.1)
    raise AssertionError(what)


@asynccontextmanager
async def standalone(
    folder: Path,
    upstream: Upstream,
    *,
    policy: str = POLICY,
    roles: str = ROLES,
    environ: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
    address: str | None = None,
    **over: Any,
) -> AsyncIterator[Standalone]:
    """`gateway serve` with the configuration `house.config(**over)`, as a process of its own; `address` instead of a unix socket."""
    sockets = Path(tempfile.mkdtemp(prefix="gw-"))  # short, as the path of a unix socket must be
    keys = Keys(folder)
    (folder / "policies").mkdir(exist_ok=True)
    (folder / "policies" / "policy.yaml").write_text(policy)
    (folder / "policies" / "roles.yaml").write_text(roles)
    ours: dict[str, Any] = {"listen": {}, "admin": {}, **over}
    if "listeners" not in ours:
        ours["listen"] = {"drain": {"timeout": "5s"}, **ours["listen"], "address": address or f"unix:{sockets / 'listen'}"}
    ours["admin"] = {**ours["admin"], "address": f"unix:{sockets / 'admin'}"}
    (folder / "config.yaml").write_text(written(config(upstream.port, **ours)))
    command = (sys.executable, "-m", "gateway", "serve", *options, "--config", str(folder / "config.yaml"))
    with (folder / "stderr").open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *command, env={**os.environ, "UPSTREAM_TOKEN": "t", **(environ or {})}, stderr=stderr
        )
    made = Standalone(process, folder, sockets, keys)

    async def ready() -> bool:
        assert process.returncode is None, made.stderr.decode(errors="replace")
        try:
            return (await made.get("/readyz", listener="admin")).status == 200
        except OSError:
            return False

    try:
        await until(ready, "the gateway did not come up")
        yield made
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        shutil.rmtree(sockets)
