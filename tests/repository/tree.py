"""The repository as the tests about it look at it: tracked files, parsed modules, functions."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def tracked() -> tuple[Path, ...]:
    """Every file git knows or would add, relative to the root: a new file is judged before it is committed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=60,
    )
    names = (Path(name) for name in listed.stdout.decode().split("\0") if name)
    return tuple(sorted({name for name in names if (ROOT / name).is_file()}))


def python(folder: str) -> list[Path]:
    """The Python files beneath a folder."""
    return [file for file in tracked() if file.suffix == ".py" and file.parts[0] == folder]


@cache
def module(file: Path) -> ast.Module:
    return ast.parse((ROOT / file).read_text(encoding="utf-8"), str(file))


def lines(file: Path) -> int:
    return len((ROOT / file).read_text(encoding="utf-8").splitlines())


def functions(file: Path) -> Iterator[tuple[str, Function]]:
    """(qualified name, node) of every function and method."""

    def walk(node: ast.AST, prefix: str) -> Iterator[tuple[str, Function]]:
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, Function | ast.ClassDef):
                yield from walk(child, prefix)
                continue
            if isinstance(child, Function):
                yield f"{prefix}{child.name}", child
            yield from walk(child, f"{prefix}{child.name}.")

    yield from walk(module(file), "")


def calls(file: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(module(file)) if isinstance(node, ast.Call))


def called(call: ast.Call) -> str:
    """The last name of what is called: `Request` for `message.Request(...)`."""
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""
