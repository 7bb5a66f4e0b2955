"""Several configuration files laid over one another: later ones win, mappings merge, everything else is replaced.

Each value keeps its place in the file that gave it.
"""

from collections.abc import Sequence
from functools import reduce
from typing import Any

from gateway.config.node import Document, Steps, dotted
from gateway.config.shape import item
from gateway.core.errors import Problem


class Layers:
    """The merged `value` of at least one document, and whose each part is."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self.documents = documents
        given = [document.value for document in documents if document.value is not None]
        self.value: Any = reduce(merge, given) if given else None

    @property
    def problems(self) -> list[Problem]:
        """What was wrong with the files themselves."""
        return [problem for document in self.documents for problem in document.problems]

    def where(self, path: Steps, key: bool = False) -> tuple[str, int, int]:
        """File, line and column of the value at `path`, or of its key; of the deepest part present for what is absent."""
        return self.giver(path).where(path, key)

    def problem(self, path: Steps, message: str, hint: str = "", *, key: bool = False, severity: str = "error") -> Problem:
        return Problem(*self.where(path, key), dotted(path), message, hint, severity)

    def giver(self, path: Steps) -> Document:
        """The document that the value at `path` comes from."""
        candidates = [(document, document.value) for document in self.documents if document.value is not None]
        for step in path:
            candidates = _mergeable(candidates)
            inside = [(document, item(value, step)) for document, value in candidates if _has(value, step)]
            if not inside:
                break
            candidates = inside
        return candidates[-1][0] if candidates else self.documents[-1]


def merge(base: Any, over: Any) -> Any:
    """`over` laid over `base`."""
    if isinstance(base, dict) and isinstance(over, dict):
        return base | {key: merge(base[key], value) if key in base else value for key, value in over.items()}
    return over


def _mergeable(candidates: list[tuple[Document, Any]]) -> list[tuple[Document, Any]]:
    """What is still visible: nothing below the last value that is no mapping."""
    for number in range(len(candidates) - 1, -1, -1):
        if not isinstance(candidates[number][1], dict):
            return candidates[number:]
    return candidates


def _has(value: Any, step: str | int) -> bool:
    if isinstance(value, dict):
        return step in value
    return isinstance(value, list) and isinstance(step, int) and 0 <= step < len(value)
