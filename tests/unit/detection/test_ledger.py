"""What is remembered of failures is bounded, and a flood of others does not make it forget who matters."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.detection.ledger import MOST_MARKS, MOST_PROVED, Entry, Ledger

WINDOW = 300.0


def ledger(most: int = 5) -> Ledger:
    made = Ledger()
    made.adopt(most, WINDOW)
    return made


def test_the_last_failures_within_the_window_count() -> None:
    made = ledger()
    for second in range(4):
        made.add("a", "", second)
    entry, _ = made.add("a", "", WINDOW + 2.5)
    assert [mark[0] for mark in entry.marks] == [3, WINDOW + 2.5]
    assert entry.reaches(2, 2.5)
    assert not entry.reaches(3, 2.5)


def test_a_flood_of_addresses_does_not_forget_an_attacker() -> None:
    """Each of a flood fails once. Who failed more often stays, though he was quiet all the while."""
    made = ledger()
    for second in range(4):
        made.add("attacker", "", float(second))
    left = [made.add(f"flood-{number}", "", 4.0)[1] for number in range(2 * made.capacity)]
    assert sum(left) == made.capacity + 1
    assert len(made.entries) == made.capacity
    assert len(made.entries["attacker"].marks) == 4


def test_what_is_remembered_has_a_bound_whatever_the_threshold_is() -> None:
    for most in (1, 5, 100):
        assert ledger(most).capacity * most <= MOST_MARKS


def test_who_is_quiet_for_a_window_is_forgotten() -> None:
    made = ledger()
    made.add("a", "", 0.0)
    made.add("b", "", 10.0)
    made.sweep(WINDOW + 5.0)
    assert list(made.entries) == ["b"]
    made.sweep(WINDOW + 10.5)
    assert not made.entries


def test_what_is_forgiven_is_one_identitys_failures() -> None:
    made = ledger()
    for other in ("mine", "yours", "mine"):
        made.add("a", other, 1.0)
    made.forgive("a", "mine")
    assert [mark[1] for mark in made.entries["a"].marks] == ["yours"]
    made.forgive("a", "yours")
    made.forgive("nobody", "yours")
    assert not made.entries


def test_the_addresses_that_proved_an_identity_are_bounded() -> None:
    entry = Entry()
    for number in range(MOST_PROVED + 10):
        entry.prove(str(number))
        entry.prove("victim")
    assert len(entry.proved) == MOST_PROVED
    assert "victim" in entry.proved


@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "forgive", "drop", "sweep"]), st.sampled_from("abcdef"), st.sampled_from("xy")),
        max_size=60,
    )
)
def test_the_levels_hold_exactly_the_entries(steps: list[tuple[str, str, str]]) -> None:
    made = ledger(3)
    made.capacity = 4
    for now, (what, key, other) in enumerate(steps):
        match what:
            case "add":
                made.add(key, other, now * 40.0)
            case "forgive":
                made.forgive(key, other)
            case "drop":
                made.drop(key)
            case _:
                made.sweep(now * 40.0)
        levels = {key: number for number, level in enumerate(made._levels) for key in level}
        assert levels == {key: len(entry.marks) for key, entry in made.entries.items()}
        assert len(made.entries) <= 4
