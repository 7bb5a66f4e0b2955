"""A circuit opens when nothing succeeds, lets one request a second find out, and says when to come again."""

import pytest

from gateway.core.errors import UpstreamOverloaded
from gateway.upstream.circuit import PROBE_EVERY, Circuit, overloaded
from gateway.upstream.model import CircuitBreaker
from tests.fakes import SteppedClock


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def circuit(clock: SteppedClock) -> Circuit:
    return Circuit(CircuitBreaker(consecutive_failures=3), clock.monotonic)


def is_refused(circuit: Circuit) -> bool:
    try:
        circuit.admit()
    except UpstreamOverloaded:
        return True
    return False


def test_it_opens_after_so_many_failures_in_a_row(circuit: Circuit) -> None:
    assert [circuit.fail(), circuit.fail()] == [False, False]
    circuit.succeed()
    assert [circuit.fail(), circuit.fail(), circuit.fail()] == [False, False, True]
    assert is_refused(circuit)


def test_a_refusal_says_when_to_come_again(circuit: Circuit, clock: SteppedClock) -> None:
    for _ in range(3):
        circuit.fail()
    clock.step(3)
    with pytest.raises(UpstreamOverloaded) as caught:
        circuit.admit()
    assert caught.value.headers == ((b"retry-after", b"2"),)
    assert circuit.status() == {"state": "open", "failures": 2, "retry_after": 2}


def test_half_open_one_request_a_second_tries(circuit: Circuit, clock: SteppedClock) -> None:
    for _ in range(3):
        circuit.fail()
    clock.step(5)
    assert [is_refused(circuit) for _ in range(3)] == [False, True, True]
    assert circuit.status()["state"] == "half-open"
    clock.step(PROBE_EVERY)  # whoever tried gave up, or still waits
    assert [is_refused(circuit) for _ in range(3)] == [False, True, True]


def test_an_answer_closes_it_and_a_failure_opens_it_for_twice_as_long(circuit: Circuit, clock: SteppedClock) -> None:
    for _ in range(3):
        circuit.fail()
    clock.step(5)
    circuit.admit()
    assert circuit.fail()
    clock.step(8)
    assert is_refused(circuit)
    clock.step(2)
    circuit.admit()
    assert circuit.succeed()
    assert [is_refused(circuit) for _ in range(3)] == [False] * 3
    assert circuit.status() == {"state": "closed", "failures": 0, "retry_after": 0}


def test_what_was_begun_before_it_opened_does_not_prolong_it(circuit: Circuit, clock: SteppedClock) -> None:
    for _ in range(3):
        circuit.fail()
    clock.step(4)
    assert not circuit.fail()
    clock.step(1)
    assert not is_refused(circuit)


def test_a_late_answer_is_a_sign_of_life(circuit: Circuit) -> None:
    for _ in range(3):
        circuit.fail()
    assert circuit.succeed()
    assert not is_refused(circuit)


@pytest.mark.parametrize(("seconds", "said"), [(0.0, b"1"), (0.2, b"1"), (1.0, b"1"), (1.01, b"2"), (60.0, b"60")])
def test_retry_after_is_whole_seconds_and_never_now(seconds: float, said: bytes) -> None:
    assert overloaded("x", seconds).headers == ((b"retry-after", said),)
