"""However an identity is written, it has one counter (CVE-2026-47203, CVE-2025-24806)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.detection.identity import LONGEST, canonical


@pytest.mark.parametrize(
    "written",
    [
        "login:Alice",
        "login:alice",
        "LOGIN:ALICE ",
        "login:\uff21lice",
        "login:al\u200bice",
        "login:\u24d0lice",
        "login:a\u00adlice",
        "login:Alic\u212f",
    ],
)
def test_spellings_of_one_name_share_a_counter(written: str) -> None:
    assert canonical(written) == "login:alice"


def test_sharp_s_dotless_i_and_composition_are_folded() -> None:
    assert canonical("login:STRASSE") == canonical("login:stra\u00dfe")
    assert canonical("login:e\u0301") == canonical("login:\u00c9")


def test_other_names_and_schemes_have_others() -> None:
    assert (
        len(
            {
                canonical(each)
                for each in ("login:alice", "login:alicia", "api_key:alice", "login:" + "a" * 100, "login:" + "a" * 101)
            }
        )
        == 5
    )


@given(st.text())
def test_it_is_short_and_settled(text: str) -> None:
    once = canonical(text)
    assert len(once) <= LONGEST
    assert canonical(once) == once
