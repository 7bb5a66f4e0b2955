"""Metrics as Prometheus reads them: text exposition format 0.0.4."""

from typing import Final

from gateway.telemetry.instruments import prometheus_name
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
    ends = [*(_number(bound) for bound in instrument.bounds), "+Inf"]
    for labels, value in family.points:
        if isinstance(value, Buckets):
            lines += _histogram(name, ends, labels, value)
        else:
            lines.append(f"{name}{_labels(labels)} {_number(value)}")
    return lines


def _histogram(name: str, ends: list[str], labels: Labels, buckets: Buckets) -> list[str]:
    lines = []
    running = 0
    shown = _labels(labels)
    opened = f"{shown[:-1]}," if shown else "{"
    for end, count in zip(ends, buckets.counts, strict=True):
        running += count
        lines.append(f'{name}_bucket{opened}le="{end}"}} {running}')
    lines.append(f"{name}_sum{shown} {_number(buckets.total)}")
    lines.append(f"{name}_count{shown} {running}")
    return lines


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{_name(name)}="{_value(value)}"' for name, value in labels) + "}"


def _name(name: str) -> str:
    return name.replace(".", "_")


def _value(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))
