"""Which addresses of an upstream serve: ejection of those that fail, verdicts of health checks, slow start, panic.

Each change arranges everything anew, so that a request only looks at the outcome: `lanes` to choose from, `Endpoint.resting`.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from time import monotonic
from typing import Any, Final

from gateway.upstream.accrual import drawn
from gateway.upstream.endpoint import UNKNOWN, Endpoint
from gateway.upstream.lane import Lane
from gateway.upstream.model import Upstream

log = logging.getLogger(__name__)

STEPS: Final = 10
"""In so many steps an address that comes back is given its whole share (Envoy's slow start begins with a tenth, too)."""
MOST_TARGETS_TRIED: Final = 3

Later = Callable[..., asyncio.TimerHandle]


def later(seconds: float, call: Callable[..., object], *arguments: Any) -> asyncio.TimerHandle:
    """Call in `seconds`, by the running event loop."""
    return asyncio.get_running_loop().call_later(seconds, call, *arguments)


class Rotation:
    """The targets of one upstream that serve now."""

    def __init__(
        self,
        name: str,
        model: Upstream,
        all_lanes: Sequence[Lane],
        count: Callable[..., None],
        *,
        time: Callable[[], float] = monotonic,
        later: Later = later,
        draw: Callable[[], float] = drawn,
    ) -> None:
        self._name = name
        self._all = all_lanes
        self._count = count
        self._time = time
        self._later = later
        self._draw = draw
        self._most_ejected = model.outlier_detection.max_ejection_percent
        self._panic = model.panic_threshold
        self._step = model.slow_start / STEPS
        check = model.health_check
        self._unhealthy_after = check.unhealthy_threshold if check is not None else 1
        self._healthy_after = check.healthy_threshold if check is not None else 1
        self._shut = self._closed = False
        self.panicking = False
        self.lanes: list[Lane] = []
        self._arrange()

    # For requests

    def choose(self) -> Lane:
        """Of two targets picked at random, the one that has less to do (power of two choices, Mitzenmacher 2001)."""
        lanes = self.lanes or self._all
        count = len(lanes)
        if count == 1:
            return lanes[0]
        first, second = divmod(int(self._draw() * count * (count - 1)), count - 1)
        one, other = lanes[first], lanes[second + (second >= first)]
        return one if one.cost() <= other.cost() else other

    def order(self, avoid: Lane | None = None) -> list[Lane]:
        """The targets to try for a new connection: of those that serve the one with the fewest first, by chance among equals; as a
        last resort those that do not serve.

        `avoid` is one that has just failed: any other one is better.
        """
        serving = set(map(id, self.lanes))

        def place(lane: Lane) -> tuple[bool, bool, float, float]:
            return lane is avoid, id(lane) not in serving, (lane.open + 1) / lane.weight, self._draw()

        return sorted(self._all, key=place)[:MOST_TARGETS_TRIED]

    # What is learnt

    def failed(self, endpoint: Endpoint, problem: str, *, at_once: bool = False) -> None:
        """An exchange failed, or `at_once`: there is nobody. What was begun before an ejection does not prolong it."""
        if endpoint.ejected or endpoint.gone:
            return
        endpoint.problem = problem
        if (endpoint.accrual.fail() or at_once) and self._may_eject():
            endpoint.cancel()
            endpoint.ejected = True
            seconds = endpoint.accrual.pause(self._time())
            endpoint.timer = self._later(seconds, self._readmit, endpoint)
            self._tell(logging.WARNING, "ejected", endpoint, seconds=round(seconds, 1))
            self._count("gateway.upstream.ejections")
            self._arrange()

    def checked(self, endpoint: Endpoint, problem: str) -> None:
        """The outcome of a health check; no `problem` means that it passed."""
        bad = bool(problem)
        endpoint.streak = endpoint.streak + 1 if bad != endpoint.unhealthy else 0
        if bad:
            endpoint.problem = problem
        if endpoint.gone or endpoint.streak < (self._unhealthy_after if bad else self._healthy_after):
            return
        endpoint.streak, endpoint.unhealthy = 0, bad
        self._tell(*((logging.WARNING, "unhealthy") if bad else (logging.INFO, "healthy")), endpoint)
        if not (bad or endpoint.ejected):
            self._warm(endpoint)
        self._arrange()

    def moved(self, lane: Lane) -> None:
        """A name resolves to other addresses: those that are gone serve no more, new ones start slowly."""
        before, known = lane.endpoints, lane.addresses.known
        lane.endpoints = {ip: before.get(ip) or lane.endpoint(ip) for ip in known}
        for ip in before.keys() - lane.endpoints.keys():
            before[ip].cancel()
            before[ip].gone = before[ip].resting = True
        if UNKNOWN not in before:
            for ip in lane.endpoints.keys() - before.keys():
                self._warm(lane.endpoints[ip])
        self._arrange()

    def shut(self, shut: bool) -> None:
        """Whether no connection is to be kept: the circuit is open, or the upstream is closed."""
        self._shut = shut or self._closed
        self._arrange()

    def close(self) -> None:
        """Nothing more happens by itself, and nothing is kept any more."""
        self._closed = True
        for endpoint in self.endpoints():
            endpoint.cancel()
        self.shut(True)

    def endpoints(self) -> Iterator[Endpoint]:
        """All addresses that are known now."""
        return (endpoint for lane in self._all for endpoint in list(lane.endpoints.values()))

    # Inside

    def _may_eject(self) -> bool:
        """At most the configured share, always one where there are two, never the last."""
        every = list(self.endpoints())
        allowed = min(len(every) - 1, max(1, len(every) * self._most_ejected // 100)) if self._most_ejected else 0
        return sum(endpoint.ejected for endpoint in every) < allowed

    def _readmit(self, endpoint: Endpoint) -> None:
        endpoint.ejected = False
        self._tell(logging.INFO, "readmitted", endpoint)
        self._warm(endpoint)
        self._arrange()

    def _warm(self, endpoint: Endpoint) -> None:
        """Begin a slow start."""
        endpoint.cancel()
        endpoint.weight = 1.0
        if self._step:
            endpoint.weight = 1 / STEPS
            endpoint.timer = self._later(self._step, self._warmer, endpoint, 2)

    def _warmer(self, endpoint: Endpoint, step: int) -> None:
        endpoint.weight = step / STEPS
        endpoint.timer = self._later(self._step, self._warmer, endpoint, step + 1) if step < STEPS else None
        self._arrange()

    def _arrange(self) -> None:
        """Who serves. When too few are fit, all do: then it is more likely the check that is wrong (Envoy's panic threshold)."""
        every = list(self.endpoints())
        self.panicking = 100 * sum(endpoint.is_fit() for endpoint in every) < self._panic * len(every)
        serving = {id(endpoint) for endpoint in every if self.panicking or endpoint.is_fit()}
        for lane in self._all:
            for endpoint in lane.endpoints.values():
                endpoint.resting = self._shut or id(endpoint) not in serving
            lane.weight = sum(endpoint.weight for endpoint in lane.endpoints.values() if id(endpoint) in serving) or 1.0
            lane.drop()
        self.lanes = [lane for lane in self._all if any(id(endpoint) in serving for endpoint in lane.endpoints.values())]

    def _tell(self, level: int, what: str, endpoint: Endpoint, **more: object) -> None:
        target = next((lane.target.origin for lane in self._all if endpoint in lane.endpoints.values()), None)
        known = {"upstream": self._name, "target": target, "address": endpoint.ip, "state": what, "problem": endpoint.problem}
        log.log(level, "upstream address changed state", extra={**known, **more})
