"""Metrics, aggregated where they happen: one dictionary look-up a request, nothing shared with an SDK.

A request's observations all fall into one Series, found by a key of small closed values; what Prometheus or a collector asks
for is projected from the series when it asks.
"""

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import Any, Final

from gateway.core.exchange import Exchange
from gateway.telemetry.exposition import render
from gateway.telemetry.instrument import Instrument
from gateway.telemetry.instruments import ACTIVE, BOUNDS, BUILD, COUNTED, FINE_BOUNDS, OVERHEAD
from gateway.telemetry.names import Names
from gateway.telemetry.projection import project
from gateway.telemetry.series import METHODS, OTHER, OVERFLOWN, Buckets, Family, Key, Labels, Series, label, was_called

VERSIONS: Final = frozenset({"1.0", "1.1", "2"})
MAX_SERIES: Final = 5000
"""Kinds of requests told apart; what is beyond shares one series."""
Noted = tuple[tuple[Any, ...], Series]
"""The series of requests that ended as the first part tells."""
MAX_LABELS: Final = 1000
"""Label sets of one counter or gauge; what is beyond shares one."""


class Registry:
    """All measurements of this process. `observe_request` and `active` belong to the event loop, the rest to any thread."""

    def __init__(self, *, service: str = "gateway", version: str = "", max_series: int = MAX_SERIES) -> None:
        self.names = Names()
        self.active = 0
        self._about = (("service.name", service), ("service.version", version))
        self._max_series = max_series
        self._series: dict[Key, Series] = {}
        self._beyond = Series(None, called=True)
        self._overhead = Buckets(FINE_BOUNDS)
        self._lock = threading.Lock()
        self._values: dict[str, dict[Labels, float]] = {}
        self._known = {instrument.name: instrument for instrument in COUNTED}
        self._types: dict[str, Instrument] = {}
        self._sources: list[Callable[[], Iterable[Family]]] = []
        self.join: Callable[[list[Family]], list[Family]] | None = None
        """Where this process tells for others too: makes one list of all."""

    # The request path.

    def observe_request(self, exchange: Exchange, duration: float) -> None:
        """Count a finished request. `duration` in seconds."""
        started, seconds, status = exchange.upstream_started, exchange.upstream_seconds, exchange.upstream_status
        called = started is not None or was_called(exchange)  # mostly no call is needed to know
        memo, policies = exchange.memo, exchange.policies
        outcome = (exchange.status, exchange.reason, status, called, exchange.principal, exchange.decision, policies)
        noted: Noted | None = None if memo is None else memo.get(self)
        if noted is not None and noted[0] == outcome:
            series = noted[1]
        else:
            series = self._series_of(exchange, called)
            if memo is not None:
                memo[self] = outcome, series
        server = series.server
        server.counts[bisect_left(BOUNDS, duration)] += 1
        server.total += duration
        ahead = duration if started is None else started - exchange.started
        if called:
            if seconds is None:
                seconds = duration - ahead if started is not None else duration
            elif started is None:
                ahead = max(0.0, duration - seconds)
            if (client := series.client) is not None:
                client.counts[bisect_left(BOUNDS, seconds)] += 1
                client.total += seconds
        overhead = self._overhead
        overhead.counts[bisect_left(FINE_BOUNDS, ahead)] += 1
        overhead.total += ahead

    def _series_of(self, exchange: Exchange, called: bool) -> Series:
        principal, decision = exchange.principal, exchange.decision
        method, version = exchange.method, exchange.version
        key = (
            method if method in METHODS else OTHER,
            exchange.route,
            exchange.status,
            exchange.reason,
            exchange.secure,
            version if version in VERSIONS else "",
            exchange.source,
            exchange.upstream if called else None,
            exchange.upstream_status,
            None if principal is None else principal.scheme,
            None if decision is None else (decision.allowed, decision.rule, decision.shadow),
            exchange.policies,
        )
        series = self._series.get(key)
        if series is None:
            if len(self._series) >= self._max_series:
                return self._beyond
            series = self._series[key] = Series(key, called)
        return series

    # Beside the request path.

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        """Add to a counter. Labels as the reference names them."""
        with self._lock:
            values, at = self._place(name, "counter", labels)
            values[at] = values.get(at, 0) + amount

    def gauge(self, name: str, value: float, /, **labels: str) -> None:
        """Set a gauge."""
        with self._lock:
            values, at = self._place(name, "gauge", labels)
            values[at] = value

    def _place(self, name: str, type: str, labels: dict[str, str]) -> tuple[dict[Labels, float], Labels]:
        values = self._values.get(name)
        if values is None:
            values = self._values[name] = {}
            unknown = Instrument(name, "counter" if type == "counter" else "gauge", "", "Not in the reference.")
            self._types[name] = self._known.get(name, unknown)
        at = tuple((name, label(value)) for name, value in sorted(labels.items()))
        if at not in values and len(values) >= MAX_LABELS:
            at = OVERFLOWN
        return values, at

    def watch(self, source: Callable[[], Iterable[Family]]) -> None:
        """Ask `source` for further families whenever somebody looks."""
        self._sources.append(source)

    def observe(self, name: str, read: Callable[[], float]) -> None:
        """Ask `read` for the value of an instrument of the reference whenever somebody looks. Raises KeyError."""
        instrument = self._known[name]
        self.watch(lambda: [Family(instrument, (((), read()),))])

    def describe(self, names: Names) -> None:
        """Take over a new configuration's names."""
        self.names = names

    def collect(self) -> list[Family]:
        """Everything measured, as of now."""
        series = list(self._series.copy().values())
        if any(self._beyond.server.counts):
            series.append(self._beyond)
        families = project(series, self.names)
        overhead = Buckets(FINE_BOUNDS)
        overhead.add(self._overhead)
        families.append(Family(OVERHEAD, (((), overhead),)))
        families.append(Family(ACTIVE, (((), float(self.active)),)))
        with self._lock:
            families += [Family(self._types[name], tuple(values.items())) for name, values in self._values.items()]
        for source in list(self._sources):
            families.extend(source())
        families.append(Family(BUILD, ((self._about, 1.0),)))
        return families if self.join is None else self.join(families)

    def render(self) -> bytes:
        """Everything measured as a Prometheus exposition (`exposition.CONTENT_TYPE`)."""
        return render(self.collect())
