"""Runs the demo: the tracker, the gateway in front of it, and either the lines to paste or the five requests themselves."""

import asyncio
import secrets
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from gateway.core.errors import ConfigError
from gateway.demo import play
from gateway.demo.house import furnish
from gateway.demo.tracker import Tracker
from gateway.process import Process
from gateway.server.lifecycle import Server
from gateway.server.listener import Asgi, Listener
from gateway.server.sockets import ListenError
from gateway.source import Source

VARIABLE: Final = "TRACKER_TOKEN"
LOOPBACK: Final = "127.0.0.1"


def tracker_listener(token: str, port: int) -> Listener:
    return Listener(name="tracker", address=f"{LOOPBACK}:{port}", app=Asgi(Tracker(token).app()))


async def serve_tracker(token: str, port: int) -> int:
    """Only the upstream, until cancelled: for compose files and clusters."""
    server = Server([tracker_listener(token, port)])
    try:
        await server.start()
    except ListenError as error:
        print(f"{error}; choose another with --port")
        return 1
    print(f"the tracker listens on {server.addresses['tracker']}")
    try:
        await asyncio.Event().wait()
    finally:
        await server.close()
    return 0


async def demo(port: int, *, check: bool) -> int:
    """The whole demo on loopback. With `check` it plays the requests and ends; the exit code tells whether all were right."""
    upstream_token = secrets.token_urlsafe(24)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-demo-")))
        tracker = Server([tracker_listener(upstream_token, 0)])
        await tracker.start()
        stack.push_async_callback(tracker.close)
        behind = int(tracker.addresses["tracker"].rpartition(":")[2])
        token = furnish(folder, port=port, admin=0, tracker=behind)
        process = Process(Source((folder / "config.yaml",), (), {VARIABLE: upstream_token}))
        await process.start()
        _, bound = process.address("listen")
        if check:
            try:
                return await asyncio.to_thread(played, bound, token, upstream_token)
            finally:
                await process.stop()
        print(shown(folder, bound, token))
        return await process.run()


def shown(folder: Path, port: int, token: str) -> str:
    """What a newcomer reads."""
    base = f"http://{LOOPBACK}:{port}"
    lines = [
        f"The gateway listens on {base}, in front of an issue tracker that demands a token of its own.",
        f"Its configuration, policies and audit trail: {folder}",
        "",
        "alice is a member of acme. This is her token; it is worth nothing to the tracker:",
        "",
        f"export TOKEN={token}",
        "",
    ]
    for step in play.STEPS:
        lines += [f"# {step.expected}: {step.title}", play.curl(step, base), ""]
    return "\n".join([*lines, "Ctrl-C ends it."])


def played(port: int, token: str, upstream_token: str) -> int:
    """Send the five requests, print a table, give the exit code."""
    right = 0
    for step in play.STEPS:
        status, document = play.send(step, port, token)
        as_expected = play.shows(step, status, document, token, upstream_token)
        right += as_expected
        print(f"{'ok  ' if as_expected else 'FAIL'}  {status}  {step.title:62s}  {step.target}")
    print(f"{right}/{len(play.STEPS)}")
    return 0 if right == len(play.STEPS) else 1


def run(port: int, *, check: bool) -> int:
    """The demo in an event loop of its own."""
    try:
        return asyncio.run(demo(port, check=check))
    except (ConfigError, ListenError) as error:
        problems = [problem.message for problem in error.problems] if isinstance(error, ConfigError) else [str(error)]
        print("\n".join([*problems, "choose another port: gateway demo --port N"]))
        return 1
