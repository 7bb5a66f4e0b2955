"""A server of moto's, as `aws/server.py` starts it."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SERVER = Path(__file__).parent / "aws" / "server.py"
PYTHON = Path(os.environ.get("AWS_TOOLS") or Path(__file__).parents[2] / ".make" / "aws" / "bin" / "python")


@dataclass
class Amazon:
    """A running server and the one set of keys that it knows."""

    port: int
    id: str
    secret: str
    kms: str
    role: str


@contextmanager
def serving() -> Iterator[Amazon]:
    # The first three requests are free: they make the user whose keys all others must be signed with.
    setup = {"AWS_ACCESS_KEY_ID": "setup", "AWS_SECRET_ACCESS_KEY": "setup", "AWS_DEFAULT_REGION": "us-east-1"}
    environ = {**os.environ, **setup, "INITIAL_NO_AUTH_ACTION_COUNT": "3"}
    pipe = subprocess.PIPE
    process = subprocess.Popen([PYTHON, SERVER], env=environ, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
    with process:
        assert process.stdout is not None
        try:
            yield Amazon(**json.loads(process.stdout.readline()))
        finally:
            process.kill()
