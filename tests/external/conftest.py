"""What the tests with clients of others need of the machine: missing, it is a failure that names its fix."""

import shutil
from pathlib import Path

import pytest

NODE = Path(__file__).parent / "node"


@pytest.fixture(scope="session")
def node() -> str:
    """The Node.js, with the packages of the lock file beside its scripts."""
    found = shutil.which("node")
    if found is None or not (NODE / "node_modules").is_dir():
        pytest.fail("Node.js or its packages are missing: `make test` installs them")
    return found
