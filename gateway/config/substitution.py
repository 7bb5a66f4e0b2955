"""`${VAR}`, `${VAR:-default}`, `${VAR:?message}` and `$$` in the scalar values of a configuration file (CONTRACT 2).

Happens after parsing, so a variable cannot add structure; never in keys, never in what was substituted. Policy files are
not substituted.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from gateway.config.node import Document, Mark, Steps
from gateway.config.scalar import Scalar, resolve

REFERENCE: Final = re.compile(
    r"\$(?:(?P<dollar>\$)|(?P<open>\{)(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::(?P<mark>[-?])(?P<rest>[^{}]*))?\})?)"
)
HOW: Final = "write ${NAME}, ${NAME:-default} or ${NAME:?message}, and $$ for a dollar sign"


def substitute(document: Document, variables: Mapping[str, str]) -> Document:
    """The same document with its references replaced; what cannot be replaced is among its problems."""
    substituted = Document(document.file, document.text, None, document.marks, list(document.problems))
    substituted.value = _Substitution(substituted, variables).value(document.value, document.marks, ())
    return substituted


class _Missing(Exception):
    """A reference that has no value; carries message and hint."""


class _Substitution:
    """One document's walk; problems go to the document."""

    def __init__(self, document: Document, variables: Mapping[str, str]) -> None:
        self.document = document
        self.variables = variables

    def value(self, value: Any, mark: Mark, path: Steps) -> Any:
        if isinstance(value, str):
            return self.scalar(value, mark, path) if "$" in value else value
        if isinstance(value, dict) and not isinstance(mark, int):
            return {key: self.value(child, mark[1][key][1], (*path, key)) for key, child in value.items()}
        if isinstance(value, list) and not isinstance(mark, int):
            return [self.value(child, mark[1][number], (*path, number)) for number, child in enumerate(value)]
        return value

    def scalar(self, text: str, mark: Mark, path: Steps) -> Scalar:
        """The text replaced; an unquoted one is typed again."""
        try:
            replaced = REFERENCE.sub(self.replacement, text)
            return resolve(replaced) if self.document.plain(mark) else replaced
        except _Missing as missing:
            message, hint = missing.args
        except ValueError as error:
            message, hint = f"after substitution: {error}", "quote it if it is text"
        self.document.problems.append(self.document.problem(path, message, hint))
        return None

    def replacement(self, found: re.Match[str]) -> str:
        name = found["name"]
        if name is None:
            return self.literal(found)
        value = self.variables.get(name)
        if value or (value is not None and found["mark"] is None):
            return _text(name, value)
        if found["mark"] == "-":
            return found["rest"]
        if found["mark"] == "?":
            raise _Missing(f"the variable {name} is not set: {found['rest'] or 'it is required'}", "")
        raise _Missing(f"the variable {name} is not set", f"set it, or give a default: ${{{name}:-…}}")

    def literal(self, found: re.Match[str]) -> str:
        if found["open"]:
            raise _Missing("not a substitution", HOW)
        return "$"


def _text(name: str, value: str) -> str:
    """Raises _Missing for bytes that are no text: they would end in logs and headers."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise _Missing(f"the variable {name} is not UTF-8 text", "") from error
    return value
