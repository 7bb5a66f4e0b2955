"""What one worker blocks all workers block, also one that comes later; operators see it and let go of it by one command."""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from tests.house import Reply, Upstream
from tests.operating import ADA, BOB, KEY
from tests.standalone import Standalone, standalone, until

STRANGER = "203.0.113.7"


async def command(gateway: Standalone, *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "blocks", *arguments, "--config", str(gateway.folder / "config.yaml"),
        env={**os.environ, "UPSTREAM_TOKEN": "t"}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def told(gateway: Standalone) -> Counter[str]:
    return Counter(json.loads(line)["event"] for line in gateway.audit.splitlines())


async def test_a_block_reaches_every_worker_and_a_release_too(tmp_path: Path) -> None:
    (tmp_path / "operators.key").write_bytes(KEY)
    (tmp_path / "operators.key").chmod(0o600)
    async with Upstream() as upstream, standalone(
        tmp_path, upstream, options=("--workers", "2"), rate_limits={"per_worker": True}, listen={"client_address": "x-forwarded-for"},
        admin={"operators": {"origin": "http://localhost", "key": {"file": "operators.key"}, "local": {}}}, database={"file": "accounts.db"},
    ) as gateway:  # fmt: skip

        async def ask(token: str | None = None) -> int:
            return (await gateway.get("/admin/x", token=token, headers={"X-Forwarded-For": STRANGER})).status

        async def everywhere(status: int) -> bool:
            return [await ask() for _ in range(12)] == [status] * 12

        async def workers() -> dict[str, Any]:
            found: dict[str, Any] = (await gateway.get("/readyz?verbose", listener="admin")).json()["workers"]
            return found

        async def all_block() -> bool:
            standing = await workers()
            return len(standing) == 2 and all(each.get("detection", {}).get("blocked") == 1 for each in standing.values())

        guesses = [await ask("a.b.c") for _ in range(9)]  # four at each worker, and one
        assert set(guesses) <= {401, 403}
        await until(all_block, "not all workers block the address")
        assert await everywhere(403)

        standing = await workers()
        while "pid" not in standing.get("0", {}):
            standing = await workers()
        before = standing["0"]["pid"]
        os.kill(before, signal.SIGTERM)

        async def another_blocks() -> bool:
            return await all_block() and (await workers()).get("0", {}).get("pid") not in (before, None)

        await until(another_blocks, "a worker that came later lets the address in")

        code, out = await command(gateway, "list", "--format", "json")
        assert code == 0
        [row] = json.loads(out)["addresses"]
        assert row["network"] == STRANGER
        assert STRANGER in (await command(gateway, "list"))[1]
        assert (await command(gateway, "release", STRANGER)) == (0, f"released {STRANGER}\n")
        assert (await command(gateway, "release", STRANGER))[0] == 1
        assert (await command(gateway, "release", "nobody"))[0] == 2

        async def admitted() -> bool:
            return await everywhere(401)

        await until(admitted, "a worker goes on refusing")

        async def both() -> bool:
            found = await told(gateway)
            return (found["address.blocked"], found["address.released"]) == (1, 1)

        await until(both, f"not told once each: {await told(gateway)}")
        await operate(gateway)


async def operate(gateway: Standalone) -> None:
    """The supervisor lets operators in, and asks all workers who is logged in."""

    async def post(path: str, body: Any) -> Reply:
        headers = {"Content-Type": "application/json"}
        raw = json.dumps(body).encode()
        return await gateway.get(path, method="POST", listener="admin", headers=headers, body=raw, host="localhost")

    assert (await gateway.get("/sessions", listener="admin")).json() == {"sessions": []}
    assert (await gateway.get("/sessions?issuer=a&subject=b", method="DELETE", listener="admin")).json() == {"ended": 0}
    assert (await post("/operators", {"name": "ada", "role": "viewer", "password": ADA})).status == 201
    assert (await post("/operators/login", {"name": "ada", "password": BOB})).status == 401
    entered = await post("/operators/login", {"name": "ada", "password": ADA})
    assert (entered.status, entered.json()["role"]) == (200, "viewer")

    async def all_told() -> bool:
        return {"operator.account", "operator.login", "operator.login.failed", "operator.acted"} <= (await told(gateway)).keys()

    await until(all_told, "who did what is not told")
