"""The `gateway` command typed into the process of the test: a process of its own takes a second to start."""

import io
import os
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from gateway.cli import main


def typed(folder: Path, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """What the console script does in `folder` with these variables and no others. What it should not raise is raised."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch, chdir(folder), redirect_stdout(out), redirect_stderr(err):
        patch.setattr(os, "environ", environ)
        patch.setattr(sys, "argv", ["gateway", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
    code = ended.value.code or 0
    assert isinstance(code, int), code
    printed = [stream.detach().getvalue().decode() for stream in (out, err)]
    return subprocess.CompletedProcess(arguments, code, *printed)
