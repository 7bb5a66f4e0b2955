"""A mock of GitHub, made by Prism from GitHub's published description."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.standalone import until

NODE = Path(__file__).parent / "node"


@asynccontextmanager
async def prism(node: str, folder: Path, *paths: str) -> AsyncIterator[int]:
    """A mock of these paths of GitHub; gives its port."""
    description = folder / "mocked.json"
    await run(node, str(NODE / "trim.mjs"), str(description), *paths)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    log = folder / "prism.log"
    script = NODE / "node_modules" / "@stoplight" / "prism-cli" / "dist" / "index.js"
    arguments = ("mock", "--host", "127.0.0.1", "--port", str(port), "--cors=false", str(description))
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(node, str(script), *arguments, stdout=output, stderr=output)

    async def listening() -> bool:
        assert process.returncode is None, log.read_text()
        return b"Prism is listening" in log.read_bytes()

    try:
        await until(listening, "Prism did not start")
        yield port
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def run(*command: str, **environ: str) -> bytes:
    environment = {**os.environ, **environ}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=pipe, stderr=pipe)
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out
