"""What the other end of a connection has taken."""

import socket

from gateway.taken import queued, taken, waiting
from tests.unit.server.test_protocol import Memory


def test_what_no_system_tells_is_counted_by_what_still_waits() -> None:
    assert taken(Memory()) == waiting(Memory()) == 0


def test_what_the_system_holds_for_the_other_end_is_not_taken() -> None:
    near, far = socket.socketpair()
    with near, far:
        assert queued(near) == 0
        near.send(b"x" * 1000)
        assert queued(near) >= 1000
        far.recv(1000)
        assert queued(near) == 0


def test_a_socket_that_is_closed_holds_nothing() -> None:
    near, far = socket.socketpair()
    near.close()
    far.close()
    assert queued(near) == 0
