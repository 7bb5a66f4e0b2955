"""What is made of repeated measurements: medians, and ratios taken round by round."""

import statistics
from collections.abc import Sequence

Sample = dict[str, float]
"""One measurement: figures by name."""


def median(samples: Sequence[Sample], figure: str) -> float | None:
    """The median of one figure, None where nothing was measured."""
    found = [sample[figure] for sample in samples if figure in sample]
    return statistics.median(found) if found else None


def ratio(ours: Sequence[Sample], theirs: Sequence[Sample], figure: str) -> float | None:
    """The median of the rounds' ratios ours / theirs: what disturbs a whole round falls out of it."""
    pairs = [(mine[figure], other[figure]) for mine, other in zip(ours, theirs, strict=False) if figure in mine and figure in other]
    found = [mine / other for mine, other in pairs if other]
    return statistics.median(found) if found else None


def spread(samples: Sequence[Sample], figure: str) -> float | None:
    """The widest deviation from the median, as a share of it."""
    found = [sample[figure] for sample in samples if figure in sample]
    middle = statistics.median(found) if found else 0.0
    return max(abs(value - middle) for value in found) / middle if middle else None


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of them does not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(share * 1_000_000) * len(ordered) // 1_000_000) - 1)]
