"""How soon a place is filled again."""

from gateway.workers.tries import GIVE_UP, PAUSES, SETTLED, Tries


def test_one_that_lived_long_is_replaced_at_once() -> None:
    tries = Tries(2)
    tries.ended(0, SETTLED + 1, by_itself=True)
    assert tries.pause(0) == 0


def test_those_that_die_young_are_replaced_ever_later_up_to_a_bound() -> None:
    tries = Tries(2)
    pauses = []
    for _ in range(20):
        tries.ended(0, 1.0, by_itself=True)
        pauses.append(tries.pause(0))
    assert pauses == sorted(pauses)
    assert pauses[-1] == PAUSES[-1]
    assert tries.pause(1) == 0
    tries.ended(0, SETTLED + 1, by_itself=True)
    assert tries.pause(0) == 0


def test_one_that_was_told_to_go_is_no_bad_sign() -> None:
    tries = Tries(1)
    tries.ended(0, 1.0, by_itself=False)
    assert tries.pause(0) == 0


def test_starts_in_vain_end_in_giving_up_unless_one_comes_up() -> None:
    tries = Tries(2)
    verdicts = []
    for step in ["fail"] * (GIVE_UP - 1) + ["serve"] + ["fail"] * GIVE_UP:
        if step == "fail":
            tries.failed(0)
        else:
            tries.serves()
        verdicts.append(tries.verdict)
    assert verdicts == [None] * (2 * GIVE_UP - 1) + [1]


def test_a_refused_configuration_is_not_tried_again_before_there_is_another() -> None:
    tries = Tries(2)
    verdicts = []
    for slot in range(2):
        tries.refused(slot)
        verdicts.append(tries.verdict)
    assert verdicts == [None, 78]
    assert tries.again() == [0, 1]
    assert tries.verdict is None
    assert tries.again() == []
