"""What is said of one thing that is measured."""

from dataclasses import dataclass
from typing import Literal

Type = Literal["counter", "gauge", "updown", "histogram"]
Across = Literal["sum", "min", "max", "each"]
"""How the values of several workers become one; "each" tells every worker's by itself."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """One thing that is measured. `unit` is UCUM: `s`, `By`, `{request}`; `bounds` are a histogram's bucket ends."""

    name: str
    type: Type
    unit: str
    about: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    across: Across | None = None

    @property
    def combined(self) -> Across:
        """What is counted is added up; what is measured is told by worker, unless `across` knows better."""
        return self.across or ("each" if self.type == "gauge" else "sum")
