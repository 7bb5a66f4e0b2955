"""Places: each its own bytes."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.credentials.vault import place

PARTS = st.lists(st.text(max_size=6), max_size=4)


@given(PARTS, PARTS)
def test_two_lists_of_parts_are_bound_alike_only_if_they_are_alike(one: list[str], other: list[str]) -> None:
    assert (place.bound(*one) == place.bound(*other)) is (one == other)


def test_an_entry_is_never_a_row_and_a_row_is_never_another() -> None:
    places = [
        place.entry("a"),
        place.entry("b"),
        place.row("a", "b", "c"),
        place.row("a", "bc", ""),
        place.row("ab", "", "c"),
        place.row("a", "b", "d"),
    ]
    assert len(set(places)) == len(places)
