"""The condition language against Google's engine (cel-cpp, as cel-expr-python): random expressions, equal outcomes.

A bounded run of what `make fuzz-cel` does. LATCHGATE_CEL_EXPRESSIONS says how many, LATCHGATE_CEL_SEED where the randomness begins.
"""

import os
from collections import Counter

import pytest

from tests.celfuzz import Made, compared, ours, theirs

EXPRESSIONS = int(os.environ.get("LATCHGATE_CEL_EXPRESSIONS", "2500"))
SEED = int(os.environ.get("LATCHGATE_CEL_SEED", "1"))


@pytest.fixture(scope="module")
def outcomes() -> tuple[Counter[tuple[str, str]], list[tuple[Made, str, str]]]:
    return compared(SEED, EXPRESSIONS)


def test_what_both_accept_has_the_same_outcome(outcomes: tuple[Counter[tuple[str, str]], list[tuple[Made, str, str]]]) -> None:
    assert [(made.whole, mine, reference) for made, mine, reference in outcomes[1]] == []


def test_enough_expressions_were_compared(outcomes: tuple[Counter[tuple[str, str]], list[tuple[Made, str, str]]]) -> None:
    counts = outcomes[0]
    both = sum(number for pair, number in counts.items() if "refused" not in pair)
    assert both > EXPRESSIONS * 0.6
    assert min(counts["True", "True"], counts["False", "False"], counts["error", "error"]) > EXPRESSIONS * 0.1


@pytest.mark.parametrize(
    ("source", "mine", "reference"),
    [
        # cel-expr-python 0.1.3 refuses an end that is the length. The strings extension: "substring(<int>, <int>) … the end
        # position is exclusive", and a conformance case takes substring(7, 7) of seven characters, which has an end that is the length.
        ("'abc'.substring(0, 3) == 'abc'", "True", "error"),
        # Not pinned by the specification, so an error here: text of doubles, numbers with white space or a plus.
        ("string(subject.claims.ratio) == '2.5'", "error", "True"),
        ("int(subject.claims.count + ' ') == 12", "error", "True"),
        ("int('+' + subject.claims.count) == 12", "error", "True"),
        ("double(subject.id.replace('alice', 'inf')) > 0.0", "error", "True"),
        # int(bool) is none of the conversions the specification lists ("int: uint, double, string, enum, timestamp").
        ("int(subject.claims.email_verified) == 1", "error", "True"),
        # A duration is 64 bits of nanoseconds here (as arithmetic is there), 10,000 years there.
        ("duration(subject.id.replace('alice', '200000000000s')) > duration('0s')", "error", "True"),
        # Mixed types: a list of dyn for the specification, of the first known type for cel-cpp's checker.
        ("[subject.claims.nested['list'], 7][0] && true", "error", "refused"),
        # A part of constants without a value is refused here, where the specification lets others absorb its error.
        ("1 / 0 == 1 || true", "refused", "True"),
    ],
)
def test_the_differences_that_are_known(source: str, mine: str, reference: str) -> None:
    assert (ours(Made(source, {}, source)), theirs(source)) == (mine, reference)
