"""`gateway demo`: the main job in one go, on loopback, with nothing to configure."""

import asyncio
import os
import sys
from typing import Annotated

import typer

from gateway.demo.run import VARIABLE, run, serve_tracker


def demo(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The gateway's port; 0 takes a free one.")] = 8080,
    check: Annotated[bool, typer.Option("--check", help="Play the five requests, print a table, exit 0 if all are right.")] = False,
    upstream_only: Annotated[bool, typer.Option("--upstream-only", hidden=True, help="Serve only the tracker.")] = False,
) -> None:
    """A small tool API that demands a credential, the gateway in front, and five requests with five different answers."""
    if upstream_only:
        token = os.environ.get(VARIABLE)
        if not token:
            print(f"set {VARIABLE} to the token that the tracker shall demand", file=sys.stderr)
            raise typer.Exit(2)
        raise typer.Exit(asyncio.run(serve_tracker(token, port)))
    raise typer.Exit(run(0 if check else port, check=check))
