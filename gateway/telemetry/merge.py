"""Measurements of several processes as those of one gateway.

What is counted is added up, and stays counted when the process that counted it is gone: a sum that fell would look like a restart
of the gateway. What is measured is joined as its instrument says (`Instrument.across`).
"""

from collections.abc import Iterable
from typing import Any, Final

from gateway.telemetry.instrument import Instrument
from gateway.telemetry.instruments import INSTRUMENTS
from gateway.telemetry.series import Buckets, Family, Labels

KNOWN: Final = {instrument.name: instrument for instrument in INSTRUMENTS}
WORKER: Final = "worker"
"""The label of what is told for each process by itself."""
SUPERVISOR: Final = "supervisor"
COUNTING: Final = frozenset(("counter", "histogram"))
LOWEST: Final = {"min": min, "max": max}

Points = dict[Labels, float | Buckets]


def pack(families: Iterable[Family]) -> list[Any]:
    """Families as JSON knows them."""
    return [[_name(family.instrument), [[labels, _packed(value)] for labels, value in family.points]] for family in families]


def unpack(packed: Iterable[Any]) -> list[Family]:
    """The families that `pack` took."""
    return [Family(instrument := _instrument(name), _points(instrument, points)) for name, points in packed]


def _name(instrument: Instrument) -> Any:
    if KNOWN.get(instrument.name) == instrument:
        return instrument.name
    return [instrument.name, instrument.type, instrument.unit, instrument.about]


def _instrument(name: Any) -> Instrument:
    return KNOWN[name] if isinstance(name, str) else Instrument(*name)


def _packed(value: float | Buckets) -> Any:
    return [value.counts, value.total] if isinstance(value, Buckets) else value


def _points(instrument: Instrument, points: Iterable[Any]) -> tuple[tuple[Labels, float | Buckets], ...]:
    return tuple((tuple((name, value) for name, value in labels), _value(instrument, value)) for labels, value in points)


def _value(instrument: Instrument, value: Any) -> float | Buckets:
    if not isinstance(value, list):
        return float(value)
    buckets = Buckets(instrument.bounds)
    buckets.counts, buckets.total = value
    return buckets


class Sums:
    """What each process told last, and what those counted that are gone."""

    def __init__(self) -> None:
        self._told: dict[int, tuple[str, list[Family]]] = {}
        self._gone: list[Family] = []

    def note(self, process: int, worker: str, families: list[Family]) -> None:
        """A process told this. `worker` is how it is shown; "" for one whose successor is shown already."""
        self._told[process] = worker, families

    def end(self, process: int) -> None:
        """A process is gone; what it counted stays."""
        _, families = self._told.pop(process, ("", []))
        lasting = [family for family in families if family.instrument.type in COUNTING and family.instrument.combined == "sum"]
        self._gone = joined([("", self._gone), ("", lasting)])

    def join(self, own: list[Family]) -> list[Family]:
        """Everything, with the supervisor's own. Called by any thread."""
        return joined([("", self._gone), *list(self._told.values()), (SUPERVISOR, own)])


def joined(told: Iterable[tuple[str, Iterable[Family]]]) -> list[Family]:
    """Families of several processes as one list, each instrument once."""
    found: dict[Instrument, Points] = {}
    for worker, families in told:
        for family in families:
            _join(found.setdefault(family.instrument, {}), family, worker)
    return [Family(instrument, tuple(points.items())) for instrument, points in found.items()]


def _join(points: Points, family: Family, worker: str) -> None:
    how = family.instrument.combined
    if how == "each":
        if worker:
            points |= {((*labels, (WORKER, worker))): value for labels, value in family.points}
        return
    for labels, value in family.points:
        points[labels] = _both(how, points[labels], value) if labels in points else _copy(value)


def _both(how: str, one: float | Buckets, other: float | Buckets) -> float | Buckets:
    if isinstance(one, Buckets) and isinstance(other, Buckets):
        one.add(other)
        return one
    if isinstance(one, Buckets) or isinstance(other, Buckets):
        return one
    return one + other if how == "sum" else LOWEST[how](one, other)


def _copy(value: float | Buckets) -> float | Buckets:
    """Buckets that may be added to."""
    if not isinstance(value, Buckets):
        return value
    made = Buckets(())
    made.counts, made.total = list(value.counts), value.total
    return made
