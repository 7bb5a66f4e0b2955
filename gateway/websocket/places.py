"""How many tunnels are open, by route and by who opened them: bounded, and shown to operators."""

from collections import Counter
from typing import Final

from gateway.core.errors import Unavailable
from gateway.core.ports import Metrics

OPEN: Final = "gateway.websocket.open"


class Place:
    """One tunnel's place, from its handshake to its end. Freeing it twice is harmless."""

    __slots__ = ("_held", "_places", "_route", "_who")

    def __init__(self, places: "Places", route: str, who: str) -> None:
        self._places = places
        self._route = route
        self._who = who
        self._held = True

    def free(self) -> None:
        """The tunnel is no more, or never was."""
        if self._held:
            self._held = False
            self._places.freed(self._route, self._who)


class Places:
    """Counts over all generations of a configuration: a reload frees nothing."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._routes: Counter[str] = Counter()
        self._holders: Counter[tuple[str, str]] = Counter()

    def take(self, route: str, who: str, *, most: int, most_each: int) -> Place:
        """A place for one more. Raises Unavailable (503, overloaded) where the route, or who asks, has all it may have."""
        if self._routes[route] >= most:
            raise Unavailable("websocket: the route has all the tunnels it may have")
        if self._holders[route, who] >= most_each:
            raise Unavailable("websocket: the principal has all the tunnels it may have on this route")
        self._routes[route] += 1
        self._holders[route, who] += 1
        self._metrics.gauge(OPEN, self._routes[route], route=route)
        return Place(self, route, who)

    def freed(self, route: str, who: str) -> None:
        """A place is free again."""
        self._routes -= Counter((route,))  # in place: what reaches nothing is dropped
        self._holders -= Counter(((route, who),))
        self._metrics.gauge(OPEN, self._routes[route], route=route)

    def status(self) -> dict[str, int]:
        """Open tunnels by route, for the operators' port."""
        return dict(self._routes)
