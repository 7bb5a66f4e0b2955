"""`gateway serve`: the gateway, until a signal ends it."""

import asyncio
import signal
import socket
import sys
from collections.abc import Awaitable
from typing import Annotated, Protocol

import typer

from gateway.cli import BAD_CONFIGURATION
from gateway.cli.options import Config, EnvFile
from gateway.core.errors import ConfigError
from gateway.process import Process
from gateway.source import Source
from gateway.undumpable import kept_in


def serve(
    config: Config = None,
    env_file: EnvFile = None,
    workers: Annotated[int, typer.Option(min=1, max=256, metavar="N", help="Worker processes on one port.")] = 1,
    watch: Annotated[bool, typer.Option("--watch", help="Reload when a file of the configuration changes.")] = False,
) -> None:
    """Serve until SIGTERM or SIGINT; SIGHUP reloads. Exit 0: drained; 1: requests were cut off; 78: bad configuration.

    With several workers SIGUSR2 replaces them one after the other.
    """
    raise typer.Exit(run(Source(tuple(config or ()), tuple(env_file or ())), workers=workers, watch=watch))


def run(source: Source, *, workers: int, watch: bool) -> int:
    """One gateway, in this process or kept by it; its exit code."""
    import uvloop

    kept_in()
    # Until there is a handler, a SIGHUP is early news of a configuration that is being read anyway; one worker is not replaced.
    for number in (signal.SIGHUP, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    begun = _begun() if workers > 1 else None
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(_alone(source) if begun is None else _several(source, workers, begun), watch=watch))


class Gateway(Protocol):
    """What serves: one process, or one that keeps others."""

    def watch(self) -> None: ...
    async def run(self) -> int: ...


async def _serve(started: Awaitable[Gateway], *, watch: bool) -> int:
    try:
        gateway = await started
    except ConfigError as error:
        print(error, file=sys.stderr)
        return BAD_CONFIGURATION
    if watch:
        gateway.watch()
    return await gateway.run()


async def _alone(source: Source) -> Gateway:
    process = Process(source)
    await process.start(alone=True)
    return process


def _begun() -> tuple[socket.socket, int]:
    """What workers are forked from is forked itself, while there is no event loop."""
    from gateway.workers import forking

    return forking.begin()


async def _several(source: Source, workers: int, begun: tuple[socket.socket, int]) -> Gateway:
    from gateway.workers.channel import GoneError
    from gateway.workers.supervisor import Supervisor

    supervisor = Supervisor(source, workers, begun)
    try:
        await supervisor.start()
    except GoneError as error:
        print("no worker could be started", file=sys.stderr)
        raise typer.Exit(1) from error
    return supervisor
