"""Regular expressions an operator writes and a stranger's input is matched against: valid, short, and without runaway parts.

The standard library's engine backtracks, so an expression like `(a+)+` lets one request keep a core busy for minutes.
"""

import re
import warnings
from typing import Final

LONGEST: Final = 256
MOST_UNBOUNDED: Final = 2
FEW: Final = 256
HINT: Final = "use one bounded character class, like [a-z0-9-]{1,64}"

ATOM: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
GROUP_KIND: Final = re.compile(r"\(\?[^:=!>)]*[:=!>]")
BACKREFERENCE: Final = re.compile(r"\\[1-9]|\(\?P=")
PIECE: Final = re.compile(r"\)(?P<again>[*+]|\{[0-9]*(?:,[0-9]*)?\})?|[(|*+]|\{[0-9]*,[0-9]*\}")


def judged_expression(text: str) -> tuple[str, str] | None:
    """Message and hint when an expression is refused; None when it may be used."""
    if len(text) > LONGEST:
        return f"an expression has at most {LONGEST} characters", ""
    try:
        with warnings.catch_warnings():
            # What the engine will read otherwise in a later version, it warns of.
            warnings.simplefilter("error")
            re.compile(text)
    except (re.error, OverflowError, RecursionError, Warning) as error:
        return f"not a regular expression: {error}", ""
    if BACKREFERENCE.search(text):
        return "backreferences are refused: matching could take for ever", HINT
    if _runs_away(GROUP_KIND.sub("(", ATOM.sub("a", text))):
        return "repetitions inside repetitions, or too many without bound: matching could take for ever", HINT
    return None


def _runs_away(text: str) -> bool:
    """Whether a repeated group repeats or branches inside, or more than two parts repeat without bound."""
    open_groups, unbounded = [False], 0
    for found in PIECE.finditer(text):
        piece = found[0]
        if piece == "(":
            open_groups.append(False)
        elif piece[0] == ")":
            loose = open_groups.pop()
            if loose and found["again"]:
                return True
            open_groups[-1] |= loose or _is_unbounded(found["again"] or "")
            unbounded += _is_unbounded(found["again"] or "")
        else:
            open_groups[-1] |= piece == "|" or _is_unbounded(piece)
            unbounded += _is_unbounded(piece)
    return unbounded > MOST_UNBOUNDED


def _is_unbounded(quantifier: str) -> bool:
    """`*`, `+`, `{2,}`, and `{0,5000}`, which is as bad."""
    if quantifier in {"*", "+"}:
        return True
    most = quantifier.strip("{}").rpartition(",")[2] if quantifier.startswith("{") else "0"
    return not most or int(most) > FEW
