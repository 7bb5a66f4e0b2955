"""`gateway serve`: the gateway, until a signal ends it."""

import asyncio
import signal
import sys
from typing import Annotated

import typer

from gateway.cli import BAD_CONFIGURATION
from gateway.cli.options import Config, EnvFile
from gateway.core.errors import ConfigError
from gateway.process import Process, Source

ONE_WORKER: str = "--workers above 1 is not supported yet: run one process a core behind one address, or one a pod"


def serve(
    config: Config = None,
    env_file: EnvFile = None,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes; only 1 for now.")] = 1,
    watch: Annotated[bool, typer.Option("--watch", help="Reload when a file of the configuration changes.")] = False,
) -> None:
    """Serve until SIGTERM or SIGINT; SIGHUP reloads. Exit 0: drained; 1: requests were cut off; 78: bad configuration."""
    if workers > 1:
        print(ONE_WORKER, file=sys.stderr)
        raise typer.Exit(2)
    raise typer.Exit(run(Source(tuple(config or ()), tuple(env_file or ())), watch=watch))


def run(source: Source, *, watch: bool) -> int:
    """One gateway in this process; its exit code."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(source, watch=watch))


async def _serve(source: Source, *, watch: bool) -> int:
    # Until the process handles it, a SIGHUP is early news of a configuration that is being read anyway.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    process = Process(source)
    try:
        await process.start(alone=True)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return BAD_CONFIGURATION
    if watch:
        process.watch()
    return await process.run()
