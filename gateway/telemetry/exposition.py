"""Metrics as Prometheus reads them: text exposition format 0.0.4."""

from typing import Final

from gateway.telemetry.instruments import Instrument, prometheus_name
from gateway.telemetry.series import Buckets, Family, Labels

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
TYPES: Final = {"counter": "counter", "gauge": "gauge", "updown": "gauge", "histogram": "histogram"}


def render(families: list[Family]) -> bytes:
    """Families as one exposition. Families without points are named all the same: a dashboard can tell zero from absent."""
    lines: list[str] = []
    for family in families:
        lines += _family(family)
    return ("\n".join(lines) + "\n").encode("utf-8", "replace")


def _family(family: Family) -> list[str]:
    instrument = family.instrument
    name = prometheus_name(instrument)
    lines = [f"# HELP {name} {_help(instrument.about)}", f"# TYPE {name} {TYPES[instrument.type]}"]
    for labels, value in family.points:
        if isinstance(value, Buckets):
            lines += _histogram(name, instrument, labels, value)
        else:
            lines.append(f"{name}{_labels(labels)} {_number(value)}")
    return lines


def _histogram(name: str, instrument: Instrument, labels: Labels, buckets: Buckets) -> list[str]:
    lines = []
    running = 0
    for bound, count in zip((*instrument.bounds, None), buckets.counts, strict=True):
        running += count
        end = "+Inf" if bound is None else _number(bound)
        lines.append(f"{name}_bucket{_labels((*labels, ('le', end)))} {running}")
    lines.append(f"{name}_sum{_labels(labels)} {_number(buckets.total)}")
    lines.append(f"{name}_count{_labels(labels)} {running}")
    return lines


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{_name(name)}="{_value(value)}"' for name, value in labels) + "}"


def _name(name: str) -> str:
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name)


def _value(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))
