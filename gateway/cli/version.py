"""`gateway version`: what is installed."""

import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from importlib.util import find_spec
from typing import Annotated, Final

import typer

from gateway import __version__

LIBRARIES: Final = ("uvicorn", "httptools", "cryptography", "pyjwt", "pydantic", "PyYAML", "opentelemetry-sdk", "hiredis")


def version(json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False) -> None:
    """Print the versions of the gateway, of Python and of the libraries it stands on."""
    versions = {"gateway": __version__, "python": platform.python_version(), "request_path": _path()}
    versions |= {name: found for name in LIBRARIES if (found := _installed(name))}
    if json:
        import orjson

        print(orjson.dumps(versions, option=orjson.OPT_INDENT_2).decode())
        return
    for name, found in versions.items():
        print(f"{name} {found}")


def _path() -> str:
    """How the modules a request meets run here: as C that mypyc made of them, or as Python."""
    spec = find_spec("gateway.pipeline")
    return "interpreted" if spec is None or str(spec.origin).endswith(".py") else "compiled"


def _installed(name: str) -> str:
    try:
        return installed(name)
    except PackageNotFoundError:
        return ""
