"""Files and functions fit in the head. Exceptions are listed, dated, and may only shrink."""

import ast
from pathlib import Path

from tests.repository.tree import functions, lines, module, python

FILE = 300
FUNCTION = 40

LONG_FILES: dict[str, int] = {
    "gateway/server/protocol.py": 360,
}
"""file -> lines on 2026-11-22. Lower a number when you shorten its file; never raise one."""

LONG_FUNCTIONS: dict[str, int] = {}
"""file::function -> lines on 2026-11-22, the docstring not counted. Lower a number when you shorten it; never raise one."""


def measured_files() -> dict[str, int]:
    return {str(file): count for file in python("gateway") if (count := lines(file)) > FILE}


def measured_functions() -> dict[str, int]:
    found = {}
    for file in python("gateway"):
        for name, node in functions(file):
            count = length(node)
            if count > FUNCTION:
                found[f"{file}::{name}"] = count
    return found


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    total = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        total -= (first.end_lineno or first.lineno) - first.lineno + 1
    return total


def grown(measured: dict[str, int], allowed: dict[str, int]) -> dict[str, int]:
    """What is longer than it may be; also what is listed and long no more, so that the list shrinks with the code."""
    over = {name: count for name, count in measured.items() if count > allowed.get(name, 0)}
    return over | {name: 0 for name in allowed if name not in measured}


def test_no_file_is_longer_than_three_hundred_lines() -> None:
    assert grown(measured_files(), LONG_FILES) == {}


def test_no_function_is_longer_than_forty_lines() -> None:
    assert grown(measured_functions(), LONG_FUNCTIONS) == {}


def test_most_functions_are_short() -> None:
    """ARCHITECTURE: the median of the admired codebases is four to ten lines."""
    counts = sorted(length(node) for file in python("gateway") for _, node in functions(file))
    assert counts[len(counts) // 2] <= 10


def test_every_package_has_a_charter() -> None:
    """What lives here, what it takes and gives, what it does not do."""
    thin = [str(file) for file in python("gateway") if file.name == "__init__.py" and len(charter(file)) < 60]
    assert thin == []


def charter(file: Path) -> str:
    return ast.get_docstring(module(file)) or ""


def test_every_module_says_what_lives_there() -> None:
    assert [str(file) for file in python("gateway") + python("tests") if file.name != "__init__.py" and not charter(file)] == []
