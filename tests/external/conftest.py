"""What the tests with clients of others need of the machine: missing, it is a failure that names its fix."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.external.amazon import PYTHON, Amazon, serving

NODE = Path(__file__).parent / "node"


@pytest.fixture(scope="session")
def node() -> str:
    """The Node.js, with the packages of the lock file beside its scripts."""
    found = shutil.which("node")
    if found is None or not (NODE / "node_modules").is_dir():
        pytest.fail("Node.js or its packages are missing: `make test` installs them")
    return found


@pytest.fixture(scope="session")
def python() -> Path:
    """The interpreter that has boto3 and moto."""
    if not PYTHON.exists():
        reason = "boto3 and moto are missing: `make test` installs them"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return PYTHON


@pytest.fixture(scope="module")
def amazon(python: Path) -> Iterator[Amazon]:
    with serving() as found:
        yield found
