"""`gateway serve`: the gateway, until a signal ends it."""

import asyncio
import signal
import sys
from typing import Annotated

import typer

from gateway.cli import BAD_CONFIGURATION
from gateway.cli.options import Config, EnvFile
from gateway.core.errors import ConfigError
from gateway.process import Process
from gateway.source import Source
from gateway.workers.channel import GoneError
from gateway.workers.supervisor import Supervisor


def serve(
    config: Config = None,
    env_file: EnvFile = None,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Worker processes on one port.")] = 1,
    watch: Annotated[bool, typer.Option("--watch", help="Reload when a file of the configuration changes.")] = False,
) -> None:
    """Serve until SIGTERM or SIGINT; SIGHUP reloads. Exit 0: drained; 1: requests were cut off; 78: bad configuration.

    With several workers SIGUSR2 replaces them one after the other.
    """
    raise typer.Exit(run(Source(tuple(config or ()), tuple(env_file or ())), workers=workers, watch=watch))


def run(source: Source, *, workers: int, watch: bool) -> int:
    """One gateway, in this process or kept by it; its exit code."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(source, workers=workers, watch=watch))


async def _serve(source: Source, *, workers: int, watch: bool) -> int:
    # Until the process handles them, a SIGHUP is early news of a configuration that is being read anyway; and one worker is
    # replaced by nobody.
    for number in (signal.SIGHUP, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    try:
        gateway = await (_alone(source) if workers == 1 else _several(source, workers))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return BAD_CONFIGURATION
    except GoneError:
        print("no worker could be started", file=sys.stderr)
        return 1
    if watch:
        gateway.watch()
    return await gateway.run()


async def _alone(source: Source) -> Process | Supervisor:
    process = Process(source)
    await process.start(alone=True)
    return process


async def _several(source: Source, workers: int) -> Process | Supervisor:
    supervisor = Supervisor(source, workers)
    await supervisor.start()
    return supervisor
