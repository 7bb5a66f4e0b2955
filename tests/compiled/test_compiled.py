"""What `make test-compiled` is about: the request path is C there, and answers as the sources do.

The target says REQUEST_PATH=compiled. Everywhere else the same statements hold of Python modules, so that nothing here is skipped, and
neither run can be the other one by mistake.
"""

import importlib
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOOK = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["mypyc"]
MODULES = [name.removeprefix("/").removesuffix(".py").replace("/", ".") for name in HOOK["include"]]
EXPECTED = os.environ.get("REQUEST_PATH", "interpreted")


@pytest.mark.parametrize("name", MODULES)
def test_a_module_named_for_compilation_exists_and_runs_as_this_run_of_the_tests_says(name: str) -> None:
    origin = str(importlib.import_module(name).__file__)
    assert Path(origin).is_relative_to(ROOT)
    assert origin.endswith(".so") == (EXPECTED == "compiled")


def test_the_version_tells_how_the_request_path_runs(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "gateway", "version", "--json"]
    told = json.loads(subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=60).stdout)
    assert told["request_path"] == EXPECTED
