"""How soon a revocation at one replica is felt at the other: `python -m bench.revocation [--times 20]`. Needs redis-server.

Two gateways share a Redis. A token that both have remembered is revoked at one, by POST /.gateway/revoke; the other is asked with it
every 5 ms until it says 401. Printed: milliseconds from the answer of the revocation to that 401.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.house import House, house
from tests.redis_server import RedisServer
from tests.tokening import API, ISSUER, SECRETS, basic

POLICY = 'apiVersion: gateway/v1\nkind: Policy\nname: all\nroutes: ["*"]\nrules: [{name: all, allow: any}]\n'
ROLES = "apiVersion: gateway/v1\nkind: Roles\nroles: {}\nbindings: []\n"
PAUSE = 0.005


async def asked(gateway: House, path: str, **form: str) -> bytes:
    name, value = basic("reports", "REPORTS")
    headers = {name.decode(): value.decode(), "Content-Type": "application/x-www-form-urlencoded"}
    reply = await gateway.get(f"/.gateway/{path}", method="POST", headers=headers, body=urlencode(form).encode())
    if reply.status != 200:
        raise RuntimeError(f"{path}: {reply.status} {reply.body!r}")
    return reply.body


async def reaches(gateway: House, token: str, status: int) -> None:
    while (await gateway.get("/all", token=token)).status != status:
        await asyncio.sleep(PAUSE)


async def measured(folder: Path, url: str, times: int) -> list[float]:
    over: dict[str, Any] = {
        "state": {"store": {"redis": {"url": url}}},
        "authentication": {},
        "tokens": {"issuer": ISSUER, "key": {"env": "MASTER"}, "audience": API},
        "clients": {"reports": {"secret": {"env": "REPORTS"}, "grants": ["client_credentials"]}},
        "routes": [{"name": "all", "match": {"path": "/all"}, "upstream": "plain", "authenticate": ["tokens"]}],
    }
    environ = {name: value.decode() for name, value in SECRETS.items()}
    async with AsyncExitStack() as stack:
        made = []
        for name in ("one", "other"):
            (folder / name).mkdir()
            made.append(await stack.enter_async_context(house(folder / name, policy=POLICY, roles=ROLES, environ=environ, **over)))
        one, other = made
        found = []
        for _ in range(times):
            token = json.loads(await asked(one, "token", grant_type="client_credentials"))["access_token"]
            await reaches(other, token, 200)
            await asked(one, "revoke", token=token)
            began = time.perf_counter()
            await reaches(other, token, 401)
            found.append(1000 * (time.perf_counter() - began))
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20)
    times: int = parser.parse_args().times
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder))
        server.start()
        try:
            found = asyncio.run(measured(Path(folder), server.url, times))
        finally:
            server.kill()
    print(
        f"revocations {len(found)}, felt at the other replica after ms: median {statistics.median(found):.0f}, worst {max(found):.0f}"
    )


if __name__ == "__main__":
    main()
