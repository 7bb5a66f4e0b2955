"""A bounded map."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.authn.recent import Recent


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=200), st.integers(1, 20))
def test_it_never_holds_more_than_its_bound_nor_a_wrong_value(steps: list[tuple[bool, int]], bound: int) -> None:
    recent: Recent[int, str] = Recent(bound)
    for writes, key in steps:
        if writes:
            recent.put(key, f"value of {key}")
            assert recent.get(key) == f"value of {key}"
        else:
            assert recent.get(key) in {None, f"value of {key}"}
        assert len(recent) <= max(bound, 2)


def test_what_is_asked_for_stays_and_what_is_not_goes() -> None:
    recent: Recent[int, int] = Recent(8)
    recent.put(0, 0)
    recent.put(1, 1)
    for key in range(2, 40):
        recent.put(key, key)
        assert recent.get(0) == 0
    assert recent.get(1) is None


def test_dropped_and_cleared_entries_are_gone() -> None:
    recent: Recent[int, int] = Recent(4)
    for key in range(4):
        recent.put(key, key)
    recent.drop(0)
    recent.drop(3)
    assert (recent.get(0), recent.get(3), recent.get(2)) == (None, None, 2)
    recent.clear()
    assert len(recent) == 0
