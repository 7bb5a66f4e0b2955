"""What can go wrong with an expression: at load (CelError, with a place) and while it is evaluated (EvaluationError)."""

from typing import Final


class CelError(Exception):
    """An expression that is refused at load. `offset` counts characters from the start of its source."""

    def __init__(self, message: str, offset: int, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.hint = hint


class ConstantError(CelError):
    """A part of constants alone that has no value: it would be an error on every request."""


class EvaluationError(Exception):
    """An expression that has no value for these arguments, for instance because a claim is missing."""


class CostError(EvaluationError):
    """An evaluation that spent all it may. Nothing absorbs it: the whole condition ends."""


FAULTS: Final = (EvaluationError, LookupError, TypeError, ValueError, ArithmeticError, RecursionError)
"""Everything the evaluation of an accepted expression may raise on unfitting values; anything else is a bug."""
