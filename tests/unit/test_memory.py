"""What the garbage collector is spared must not be garbage."""

import gc
import weakref

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
