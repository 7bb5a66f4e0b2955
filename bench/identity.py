"""What it costs to find out who asks: `python -m bench.identity [--rounds 9]`. Under a minute; prints a table, writes nothing.

Each way is asked by itself, in a loop over the gate that routes have; a whole forwarded request (remembered token, a condition,
a credential injected, the audit line) goes through a gateway of its own process. Both are processor time, which a busy machine
cannot take away: of this process, and of the gateway's from /proc/PID/stat. Rounds are interleaved and the median counts.
With the compiled request path: `make compiled && PYTHONPATH=.make/compiled .venv/bin/python -P -m bench.identity`.
"""

import argparse
import asyncio
import hmac
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.process import Launch, cpu_seconds, free_port, running
from gateway.authn.authentication import Authentication
from gateway.authn.gate import Gate
from gateway.authn.login.logins import Backing
from gateway.authn.login.provider import Login
from gateway.authn.model import Authentication as Model
from gateway.core.message import Request
from gateway.core.ports import Fetched
from gateway.store.once import MemoryOnce
from gateway.store.sessions import MemorySessions
from tests.fakes import HeldBody, stored_key
from tests.holding import Holder, dpop
from tests.house import POLICY, ROLES, Keys, Upstream, config, request_bytes, written
from tests.issuer import (
    AUDIENCE,
    ISSUER,
    JWKS_URL,
    NOW,
    PEPPER,
    Counted,
    EcKey,
    FixedSecret,
    FrozenClock,
    RsaKey,
    ScriptedFetch,
    answer,
    bearer,
    claims,
    grant,
    issuer_model,
    jwks,
    mint,
    request,
)

BATCH = 300
"""Of what is dear or may come once; what is remembered is asked ten times as often."""
REQUESTS = 2000
HOST = "gw.example.com"
QUESTION = "https://idp.example.com/introspect"
WAYS = {
    "RS256 token, first use": "jwt.corp",
    "ES256 token, first use": "jwt.corp",
    "token, second use": "jwt.corp",
    "DPoP proof (ES256) with a remembered token": "jwt.corp",
    "session, second use": "login.staff",
    "API key": "api_keys",
    "HMAC signature over 1 KB": "hmac.hook",
    "opaque token, introspection remembered": "introspection.opaque",
}


class Site:
    """What is asked: credentials made once, and for each round a house that remembers none of them."""

    def __init__(self, folder: Path) -> None:
        rsa, ec, holder = RsaKey(), EcKey(), Holder()
        self.file = folder / "keys.yaml"
        self.key, _ = stored_key(self.file, PEPPER, now=NOW, name="bench", subject="bench")
        self.keys = jwks(rsa, ec)
        self.warm = mint(ec, claims(jti="warm"))
        self.rs256 = [mint(rsa, claims(jti=str(number))) for number in range(BATCH)]
        self.es256 = [mint(ec, claims(jti=f"e{number}")) for number in range(BATCH)]
        self.bound = mint(ec, claims(cnf=holder.cnf))
        self.proofs = [holder.proof(self.bound) for _ in range(BATCH + 1)]
        self.bodies = [f"{number:04}".encode() + b"x" * 1020 for number in range(BATCH + 1)]
        client = {"id": "gateway", "secret": {"env": "S"}}
        login = {"issuer": "https://login.example.com", "client_id": "gateway", "client_secret": {"env": "S"}}
        self.model = Model.model_validate(
            {
                "jwt": {"corp": issuer_model()},
                "dpop": {},
                "login": {"staff": login},
                "sessions": {"base_url": f"https://{HOST}", "key": {"env": "S"}},
                "api_keys": {"file": str(self.file), "pepper": {"env": "S"}},
                "hmac": {"hook": {"header": "X-Signature", "secrets": [{"env": "S"}], "subject": "hook"}},
                "introspection": {
                    "opaque": {"url": QUESTION, "client": client, "issuer": ISSUER, "audience": [AUDIENCE]},
                },
            }
        )

    async def asked(self) -> tuple[Callable[[str], Gate], dict[str, list[Request]]]:
        """The gates of a new house by way, and the requests that each is asked about, the first of which is not measured."""
        clock, metrics = FrozenClock(), Counted()
        once = MemoryOnce(clock, metrics)
        told = f'{{"active":true,"iss":"{ISSUER}","aud":"{AUDIENCE}","sub":"a","exp":{NOW + 600},"token_type":"Bearer"}}'
        made = Authentication(
            self.model,
            fetch=ScriptedFetch({JWKS_URL: answer(self.keys), QUESTION: Fetched(200, {}, told.encode())}),
            clock=clock,
            metrics=metrics,
            secrets=lambda _: FixedSecret(PEPPER),
            once=once,
            backing=Backing("/.gateway", MemorySessions(clock, 1000), once, lambda *_, **__: None, lambda *_, **__: None),
        )
        assert made.logins is not None
        cookie, _ = await made.logins.sessions.open("staff", Login({"sub": "alice", "iss": "x"}, "refresh", None), "192.0.2.7")
        session = request((b"cookie", f"__Host-gateway={cookie}".encode()), host=HOST)
        remembered = 10 * BATCH
        warm = request(bearer(self.warm))
        requests = [
            [warm, *(request(bearer(token)) for token in self.rs256)],
            [warm, *(request(bearer(token)) for token in self.es256)],
            [warm] * remembered,
            [request(*dpop(self.bound, proof)) for proof in self.proofs],
            [session] * remembered,
            [request((b"x-api-key", self.key.encode()))] * remembered,
            [self.signed(body) for body in self.bodies],
            [request(bearer("opaque"))] * remembered,
        ]
        return lambda way: made.gate((WAYS[way],), anonymous=False, grant=grant), dict(zip(WAYS, requests, strict=True))

    def signed(self, body: bytes) -> Request:
        made = request((b"x-signature", hmac.digest(PEPPER, body, "sha256").hex().encode()), method="POST")
        made.body = HeldBody(body)
        return made


async def each(gate: Gate, requests: Sequence[Request]) -> float:
    """Microseconds of one, but for the first."""
    await gate.authenticate(requests[0])
    began = time.process_time()
    for asked in requests[1:]:
        await gate.authenticate(asked)
    return (time.process_time() - began) / (len(requests) - 1) * 1e6


def through(connection: socket.socket, requests: Sequence[bytes], pid: int) -> float:
    """Microseconds of the gateway's processor time for one forwarded request."""
    began = cpu_seconds(pid)
    for asked in requests:
        connection.sendall(asked)
        found = b""
        while not found.endswith(b'{"ok":true}'):
            part = connection.recv(65536)
            if not part or (not found and not part.startswith(b"HTTP/1.1 200 ")):
                raise SystemExit(f"the gateway answered {part[:200]!r}")
            found += part
    return (cpu_seconds(pid) - began) / len(requests) * 1e6


def furnished(folder: Path, upstream: int, port: int) -> list[bytes]:
    """A gateway's files, and the requests it is sent."""
    keys = Keys(folder)
    (folder / "policies").mkdir()
    (folder / "policies" / "policy.yaml").write_text(POLICY)
    (folder / "policies" / "roles.yaml").write_text(ROLES)
    document: dict[str, Any] = config(upstream, log={"level": "error"}, listen={"address": f"127.0.0.1:{port}"})
    (folder / "config.yaml").write_text(written(document))
    token = keys.token()
    return [request_bytes(f"/things/{number}", token=token) for number in range(REQUESTS)]


async def measured(rounds: int, folder: Path) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in (*WAYS, "whole")}
    (folder / "site").mkdir()
    site, port = Site(folder / "site"), free_port()
    async with Upstream() as upstream:
        requests = furnished(folder, upstream.port, port)
        command = (sys.executable, "-P", "-m", "gateway", "serve", "--config", str(folder / "config.yaml"))
        launch, cores = Launch(command, {"UPSTREAM_TOKEN": "t" * 20}), frozenset(os.sched_getaffinity(0))
        with running(launch, cores, port, folder) as pid, socket.create_connection(("127.0.0.1", port)) as connection:
            await asyncio.to_thread(through, connection, requests, pid)
            for _ in range(rounds):
                gate, asked = await site.asked()
                for way, one in asked.items():
                    found[way].append(await each(gate(way), one))
                found["whole"].append(await asyncio.to_thread(through, connection, requests, pid))
                upstream.seen.clear()
        await asyncio.sleep(0.1)  # the upstream sees that the gateway is gone
    return found


def table(found: dict[str, list[float]]) -> str:
    whole = statistics.median(found["whole"])
    lines = ["| who asks is found out by | µs CPU | lowest to highest | share of a whole request |", "|---|--:|--:|--:|"]
    for name, times in found.items():
        middle, label = statistics.median(times), "a whole forwarded request, token remembered" if name == "whole" else name
        lines.append(f"| {label} | {middle:.1f} | {min(times):.1f} to {max(times):.1f} | {middle / whole:.1%} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.identity", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = asyncio.run(measured(options.rounds, Path(name)))
    how = "compiled" if not str(sys.modules["gateway.authn.gate"].__file__).endswith(".py") else "interpreted"
    print(f"Request path {how}, Python {sys.version.split()[0]}, {options.rounds} rounds.\n\n{table(found)}")


if __name__ == "__main__":
    main()
