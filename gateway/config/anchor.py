"""Relative paths made absolute against the folder of the file that names them."""

from pathlib import Path
from typing import Any

from gateway.config import shape
from gateway.config.node import Document, Steps


def anchor(document: Document, model: Any) -> Document:
    """The same document with absolute paths, wherever `model` says a value is one."""
    folder = Path(document.file).absolute().parent
    value = document.value
    for path in list(shape.paths(model, value)):
        value = _replaced(value, path, lambda text: str(folder / text))
    return Document(document.file, document.text, value, document.marks, document.problems)


def _replaced(value: Any, path: Steps, change: Any) -> Any:
    if not path:
        return change(value)
    step, rest = path[0], path[1:]
    if isinstance(value, dict):
        return {**value, step: _replaced(value[step], rest, change)}
    copied = list(value)
    copied[int(step)] = _replaced(value[step], rest, change)
    return copied
