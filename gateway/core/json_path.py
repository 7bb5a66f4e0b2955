"""Where in a JSON document: the part of JSONPath (RFC 9535) that names places without computing anything."""

import re
from types import EllipsisType
from typing import Final

MAX_STEPS: Final = 32
NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
STEP: Final = re.compile(
    r"(?P<deep>\.(?=\.)|\.\.(?=\[))?"
    r"(?:\.(?P<name>[A-Za-z_][A-Za-z0-9_]*)|\[(?:'(?P<quoted>[^'\\\x00-\x1f]*)'|(?P<index>[0-9]{1,9})|(?P<any>\*))\]|(?P<star>\.\*))"
)

Step = str | int | EllipsisType | None
JsonPath = tuple[Step, ...]
"""Member names, indices of arrays, None for every member or item, and an ellipsis for any number of levels."""


def parse(text: str) -> JsonPath:
    """`$.result.content[*].email` or `$..email` as steps. Raises ValueError, saying what is understood."""
    place = 1
    steps: list[Step] = []
    if not text.startswith("$"):
        raise ValueError("a path begins with $, for instance $.user.email")
    while place < len(text):
        found = STEP.match(text, place)
        if found is None:
            raise ValueError(f"cannot be read from {text[place:]!r}: steps are .name, ['name'], [0], [*], .* and ..name")
        if found["deep"] is not None:
            steps.append(...)
        steps.append(_step(found))
        place = found.end()
    if not steps or len(steps) > MAX_STEPS:
        raise ValueError(f"a path has 1 to {MAX_STEPS} steps")
    return tuple(steps)


def written(path: JsonPath) -> str:
    """A path as text, which `parse` reads as the same path."""
    text = deep = ""
    for step in path:
        if isinstance(step, EllipsisType):
            deep = ".."
            continue
        text += deep + _text(step).removeprefix("." if deep else "")
        deep = ""
    return f"${text}"


def _text(step: str | int | None) -> str:
    if isinstance(step, str):
        return f".{step}" if NAME.fullmatch(step) else f"['{step}']"
    return "[*]" if step is None else f"[{step}]"


def _step(found: re.Match[str]) -> Step:
    if found["index"] is not None:
        return int(found["index"])
    return found["name"] if found["name"] is not None else found["quoted"]
