"""Where the rivals that come from package registries are installed."""

from pathlib import Path

from bench.process import NotStarted

INSTALLED = Path(__file__).parents[2] / ".make" / "bench"


def beneath(name: str) -> Path:
    """The environment of one rival, made by `make bench`."""
    return INSTALLED / name


def command(environment: str, name: str) -> str:
    """A command of a Python environment. Raises NotStarted."""
    path = beneath(environment) / "bin" / name
    if not path.exists():
        raise NotStarted(f"{name} is not installed: run `make bench`, or `make bench-long` for the long ones")
    return str(path)


def distribution(environment: str, *names: str) -> str:
    """The version of a distribution in a Python environment, under the first name that its folder has."""
    for name in names:
        for found in beneath(environment).glob(f"lib/python*/site-packages/{name}-*.dist-info"):
            return found.name.removeprefix(f"{name}-").removesuffix(".dist-info")
    return "unknown"
