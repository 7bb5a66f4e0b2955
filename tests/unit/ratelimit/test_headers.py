"""What a client is told: structured fields exactly as the draft has them."""

import json
import re
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ratelimit.headers import LimitFields, Style, quoted, seconds


class Limited(NamedTuple):
    """What a client is told of a limit."""

    quota: int
    window: float


LIMITS = {"burst": Limited(100, 60.0), "daily": Limited(1000, 86400.0)}
BURST = ("burst",), ((12, 4_200_000),)
DAILY_AND_BURST = ("daily", "burst"), ((100, 36_000_000_000), *BURST[1])

# RFC 9651: a List of Strings, each with Integer parameters.
ITEM = r'"(?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"(?:;[a-z*][a-z0-9_.*-]*=(?:\d{1,15}|:[A-Za-z0-9+/=]*:|"[^"]*"))*'
LIST = re.compile(rf"{ITEM}(?:[ \t]*,[ \t]*{ITEM})*")


def test_draft_fields_list_every_limit() -> None:
    assert LimitFields("draft-11", LIMITS).fields(*DAILY_AND_BURST) == [
        (b"ratelimit-policy", b'"daily";q=1000;w=86400, "burst";q=100;w=60'),
        (b"ratelimit", b'"daily";r=100;t=36000, "burst";r=12;t=5'),
    ]


def test_legacy_fields_tell_of_the_limit_nearest_to_exhaustion() -> None:
    assert LimitFields("legacy", LIMITS).fields(*DAILY_AND_BURST) == [
        (b"x-ratelimit-limit", b"100"),
        (b"x-ratelimit-remaining", b"12"),
        (b"x-ratelimit-reset", b"5"),
    ]


def test_both_is_both_and_none_is_none() -> None:
    one, other = LimitFields("draft-11", LIMITS).fields(*BURST), LimitFields("legacy", LIMITS).fields(*BURST)
    assert LimitFields("both", LIMITS).fields(*BURST) == one + other
    assert LimitFields("none", LIMITS).fields(*BURST) == []


@pytest.mark.parametrize("style", ["draft-11", "legacy", "both", "none"])
def test_nothing_limited_says_nothing_and_names_tell_what_may_come(style: Style) -> None:
    fields = LimitFields(style, LIMITS)
    assert fields.fields((), ()) == []
    assert {name for name, _ in fields.fields(*BURST)} == fields.names


def test_waits_are_rounded_up() -> None:
    assert [seconds(wait) for wait in (0, 1, 1_000_000, 1_100_000)] == [0, 1, 1, 2]


@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z0-9%][A-Za-z0-9._%-]{0,62}", fullmatch=True),
        st.tuples(
            st.builds(Limited, st.integers(1, 10**9), st.floats(0.001, 10**9)), st.integers(0, 10**9), st.integers(0, 10**15)
        ),
        min_size=1,
        max_size=4,
    )
)
def test_fields_are_structured_fields_whatever_the_numbers(limited: dict[str, tuple[Limited, int, int]]) -> None:
    fields = LimitFields("draft-11", {name: limit for name, (limit, _, _) in limited.items()})
    left = tuple((remaining, wait) for _, remaining, wait in limited.values())
    for _ in range(2):  # rendered for the first time, and from what was kept
        told = dict(fields.fields(tuple(limited), left))
        assert LIST.fullmatch(told[b"ratelimit-policy"].decode("ascii"))
        items = [f'"{name}";r={remaining};t={seconds(wait)}' for name, (_, remaining, wait) in limited.items()]
        assert told[b"ratelimit"].decode("ascii") == ", ".join(items)


def test_our_reading_of_the_syntax_accepts_the_drafts_own_examples(vectors: Path) -> None:
    examples = json.loads((vectors / "headers" / "ratelimit_draft_examples.json").read_text())["examples"]
    values = [example.partition(":")[2].strip() for example in examples if '"' in example]
    assert len(values) > 30
    assert [value for value in values if not LIST.fullmatch(value)] == []


def test_strings_are_serialised_as_the_structured_field_tests_have_it(vectors: Path) -> None:
    published = vectors / "structured-fields"
    cases = json.loads((published / "string.json").read_text()) + json.loads((published / "string-generated.json").read_text())
    serialised = 0
    for case in cases:
        if case.get("must_fail") or case["header_type"] != "item":
            continue
        assert quoted(case["expected"][0]).decode() == (case.get("canonical") or case["raw"])[0]
        serialised += 1
    assert serialised > 90


def test_strings_that_cannot_be_serialised_are_refused(vectors: Path) -> None:
    cases = json.loads((vectors / "structured-fields" / "serialisation-tests" / "string-generated.json").read_text())
    assert cases
    for case in cases:
        assert case["must_fail"]
        with pytest.raises(ValueError, match="printable ASCII"):
            quoted(case["expected"][0])
