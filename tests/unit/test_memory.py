"""What the garbage collector is spared must not be garbage."""

import gc
import sys
import weakref

import pytest

from gateway import memory


class Knot:
    """Something that refers to itself, as a connection and its transport do."""

    def __init__(self) -> None:
        self.itself = self


def test_a_reload_does_not_keep_the_knots_of_ended_connections_for_ever() -> None:
    gc.disable()
    try:
        ended = weakref.ref(Knot())
        assert ended() is not None
        with memory.undisturbed():
            pass
        gc.collect()
        assert ended() is None
    finally:
        gc.unfreeze()
        gc.enable()


def test_once_started_threads_give_way_to_the_event_loop_within_a_millisecond() -> None:
    thresholds, interval = gc.get_threshold(), sys.getswitchinterval()
    try:
        memory.settle()
        assert sys.getswitchinterval() == pytest.approx(0.001)
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
        sys.setswitchinterval(interval)
