"""What guessing gains, and what it costs others: `python -m bench.guessing [--samples 400] [--seconds 20]`.

Times: unknown, malformed and wrong API keys, interleaved in random order over one kept connection, then over 50 at once. A
permutation test of the difference of medians says how often chance alone differs as much: below 0.01 a guesser may tell them apart.

Flood: honest clients at a steady rate, alone and then beside 10,000 guesses a minute from 100 addresses. The bench is the proxy that
says who the client is. One run, so that the machine is the same.
"""

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from bench.process import free_port
from gateway.authn import key_entry, key_file, key_format
from gateway.process import Process
from gateway.source import Source

PEPPER: Final = "3fK9vQ2LxW8pZrT5mYc7BnHd1JsG6aEuR0oXiVtC4lM"
PROXY: Final = {
    "address": "127.0.0.1:0",
    "allow_from": ["127.0.0.0/8"],
    "trusted_proxies": ["127.0.0.1"],
    "client_address": "x-forwarded-for",
}
POLICY: Final = (
    'apiVersion: gateway/v1\nkind: Policy\nname: all\nroutes: ["*"]\nrules: [{name: all, allow: any, permission: "a:b"}]\n'
)
ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PERMUTATIONS: Final = 2000
GUESSERS: Final = 100
A_MINUTE: Final = 10_000
HONEST: Final = 100
"""Honest requests a second."""


class Client:
    """One kept connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self, key: str, client: str) -> tuple[int, float]:
        """(status, seconds)."""
        head = f"GET /x HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {client}\r\nX-Api-Key: {key}\r\n\r\n".encode()
        began = time.perf_counter()
        self._writer.write(head)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        took = time.perf_counter() - began
        length = next(int(line[15:]) for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await self._reader.readexactly(length)
        return int(answer[9:12]), took

    def close(self) -> None:
        self._writer.close()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(ANSWER)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


def written(folder: Path, port: int, rules: list[Any] | None) -> str:
    """The configuration, its files beside it; a key that counts."""
    key, entry = key_entry.new_entry(PEPPER.encode(), prefix="lgk", now=time.time(), name="k", subject="k", permissions=["a:b"])
    key_file.add(folder / "keys.yaml", entry)
    (folder / "policy.yaml").write_text(POLICY)
    document = {
        "version": 1,
        "listen": PROXY,
        "admin": {"address": "127.0.0.1:0"},
        "authentication": {"api_keys": {"file": "keys.yaml", "pepper": {"env": "PEPPER"}}},
        "policies": "policy.yaml",
        "upstreams": {"u": {"url": f"http://127.0.0.1:{port}", "allow_plaintext": True, "allow_private": True}},
        "routes": [{"name": "r", "match": {"path": "/**"}, "upstream": "u", "authenticate": ["api_keys"]}],
        "audit": {"file": "audit.jsonl"},
        "log": {"level": "error"},
        **({} if rules is None else {"detection": {"rules": rules}}),
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(document))
    return key


def guesses(key: str) -> dict[str, str]:
    """A wrong key of a known id, one of an unknown id, and what is no key, all as long as a key."""
    wrong, unknown = key[:17] + "C" * 43, f"lgk_{'0' * 12}_{'D' * 43}"
    return {"wrong": wrong + key_format.check(wrong), "unknown": unknown + key_format.check(unknown), "malformed": "x" * len(key)}


def chance(one: Sequence[float], other: Sequence[float]) -> float:
    """How often two random halves of both differ as much in their medians as these do."""
    difference = abs(statistics.median(one) - statistics.median(other))
    both, size = [*one, *other], len(one)
    as_much = 0
    for _ in range(PERMUTATIONS):
        random.shuffle(both)
        as_much += abs(statistics.median(both[:size]) - statistics.median(both[size:])) >= difference
    return as_much / PERMUTATIONS


async def times(address: tuple[str, int], kinds: dict[str, str], samples: int, at_once: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {kind: [] for kind in kinds}
    order = [kind for kind in kinds for _ in range(samples)]
    random.shuffle(order)
    clients = [Client(*await asyncio.open_connection(*address)) for _ in range(at_once)]

    async def work(client: Client) -> None:
        while order:
            kind = order.pop()
            _, took = await client.ask(kinds[kind], "203.0.113.1")
            found[kind].append(took)

    await asyncio.gather(*map(work, clients))
    for client in clients:
        client.close()
    return found


async def timing(samples: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        key = written(folder, 1, [])
        process = Process(Source((folder / "config.yaml",), (), {"PEPPER": PEPPER}))
        await process.start()
        try:
            for at_once in (1, 50):
                await times(process.address("listen"), guesses(key), 50, at_once)
                found = await times(process.address("listen"), guesses(key), samples, at_once)
                medians = ", ".join(f"{kind} {statistics.median(took) * 1e6:.0f}" for kind, took in found.items())
                spread = statistics.quantiles(found["wrong"], n=4)
                told = ", ".join(f"{kind} {chance(found['wrong'], found[kind]):.3f}" for kind in ("unknown", "malformed"))
                print(f"{at_once:2} at once, median µs: {medians}; quartiles of wrong {(spread[2] - spread[0]) * 1e6:.0f} µs apart")
                print(f"{at_once:2} at once, by chance alone as different from wrong: {told}")
        finally:
            await process.stop()


async def honest(address: tuple[str, int], key: str, seconds: float) -> tuple[list[float], Counter[int]]:
    """A steady rate, each request due at its time: a slow answer delays no other one's begin."""
    clients: asyncio.Queue[Client] = asyncio.Queue()
    took, statuses = [], Counter[int]()
    for _ in range(20):
        clients.put_nowait(Client(*await asyncio.open_connection(*address)))

    async def one(due: float) -> None:
        client = await clients.get()
        status, _ = await client.ask(key, "198.51.100.1")
        took.append(time.perf_counter() - due)
        statuses[status] += 1
        clients.put_nowait(client)

    began, tasks = time.perf_counter(), []
    for number in range(int(seconds * HONEST)):
        due = began + number / HONEST
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(due)))
    await asyncio.gather(*tasks)
    while not clients.empty():
        clients.get_nowait().close()
    return took, statuses


async def guessing(address: tuple[str, int], key: str, seconds: float) -> Counter[int]:
    statuses = Counter[int]()
    wrong = guesses(key)["wrong"]

    async def one(number: int) -> None:
        client, pause = Client(*await asyncio.open_connection(*address)), 60 * GUESSERS / A_MINUTE
        began, count = time.perf_counter() + random.random() * pause, 0
        while (due := began + count * pause) < began + seconds:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            statuses[(await client.ask(wrong, f"203.0.113.{number}"))[0]] += 1
            count += 1
        client.close()

    await asyncio.gather(*(one(number) for number in range(GUESSERS)))
    return statuses


def p99(took: list[float]) -> float:
    return statistics.quantiles(took, n=100)[98] * 1000


async def flood(seconds: float) -> None:
    upstream = await asyncio.start_server(serve, "127.0.0.1", 0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        key = written(folder, upstream.sockets[0].getsockname()[1], None)
        process = await asyncio.create_subprocess_exec(*started(folder), env={"PEPPER": PEPPER, "PATH": "/usr/bin:/bin"})
        try:
            address = await bound(folder)
            await honest(address, key, 3)
            alone, _ = await honest(address, key, seconds)
            (beside, statuses), guessed = await asyncio.gather(honest(address, key, seconds), guessing(address, key, seconds))
        finally:
            process.terminate()
            await process.wait()
            upstream.close()
    print(f"honest, alone:           p50 {statistics.median(alone) * 1000:.2f} ms, p99 {p99(alone):.2f} ms")
    print(f"honest, beside guessers: p50 {statistics.median(beside) * 1000:.2f} ms, p99 {p99(beside):.2f} ms, {dict(statuses)}")
    print(f"p99 is {p99(beside) / p99(alone):.2f} times as long; guesses by status: {dict(guessed)}")


def started(folder: Path) -> list[str]:
    """The command of a gateway on a port that is free now."""
    document = yaml.safe_load((folder / "config.yaml").read_text())
    document["listen"]["address"], document["admin"]["address"] = f"127.0.0.1:{free_port()}", f"unix:{folder / 'admin'}"
    (folder / "config.yaml").write_text(yaml.safe_dump(document))
    return [sys.executable, "-m", "gateway", "serve", "--config", str(folder / "config.yaml")]


async def bound(folder: Path) -> tuple[str, int]:
    """Where it listens, once it does."""
    host, _, port = yaml.safe_load((folder / "config.yaml").read_text())["listen"]["address"].rpartition(":")
    for _ in range(600):
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return host, int(port)
    raise SystemExit("the gateway does not listen")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.guessing", description=__doc__)
    parser.add_argument("--samples", type=int, default=400, help="of each kind of key")
    parser.add_argument("--seconds", type=float, default=20.0, help="of honest traffic, twice")
    options = parser.parse_args()
    asyncio.run(timing(options.samples))
    asyncio.run(flood(options.seconds))


if __name__ == "__main__":
    main()
