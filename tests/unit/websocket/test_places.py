"""How many tunnels may be open."""

import pytest

from gateway.core.errors import Unavailable
from gateway.websocket.places import Places


class Gauges:
    """Metrics that remember the last value."""

    def __init__(self) -> None:
        self.last: dict[str, float] = {}

    def count(self, name: str, amount: float = 1, /, **labels: str) -> None:
        raise AssertionError("nothing is counted here")

    def gauge(self, name: str, value: float, /, **labels: str) -> None:
        self.last[labels["route"]] = value


def test_a_route_and_each_principal_have_their_own_bounds_and_a_freed_place_is_free_once() -> None:
    gauges = Gauges()
    places = Places(gauges)
    first = places.take("r", "alice", most=3, most_each=2)
    places.take("r", "alice", most=3, most_each=2)
    with pytest.raises(Unavailable, match="principal"):
        places.take("r", "alice", most=3, most_each=2)
    places.take("r", "bob", most=3, most_each=2)
    with pytest.raises(Unavailable, match="route"):
        places.take("r", "carol", most=3, most_each=2)
    places.take("s", "alice", most=3, most_each=2)
    assert (places.status(), gauges.last) == ({"r": 3, "s": 1}, {"r": 3, "s": 1})
    first.free()
    first.free()
    assert (places.status(), gauges.last) == ({"r": 2, "s": 1}, {"r": 2, "s": 1})
    places.take("r", "alice", most=3, most_each=2)


def test_what_is_over_leaves_nothing_behind() -> None:
    places = Places(Gauges())
    for number in range(1000):
        places.take("r", str(number), most=1, most_each=1).free()
    assert places.status() == {}
    assert vars(places)["_holders"] == {}
