"""Fixtures as nouns."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
VECTORS = ROOT.parent / "shared" / "vectors"


@pytest.fixture(scope="session")
def vectors() -> Path:
    """Test vectors others published. They lie beside the checkout; a user's clone has none."""
    if not VECTORS.is_dir():
        if os.environ.get("CI"):
            pytest.fail("the folder with published test vectors is missing")
        pytest.skip("the folder with published test vectors is not beside this checkout")
    return VECTORS
