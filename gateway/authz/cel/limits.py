"""How large values and how long evaluations may become, whatever a policy computes and whatever a client sends.

One unit of cost is about a tenth of a microsecond. What has no loop is bounded by the number of its parts; loops spend from a
purse that all conditions of one access request share, and what works on texts and lists inside a loop spends by their sizes.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from gateway.authz.cel.errors import CostError, EvaluationError

MAX_TEXT: Final = 65_536
"""Characters that a function of strings takes or makes."""
MAX_ITEMS: Final = 1_000
"""Items of a list that a macro goes through, that `in` and `==` look at where the type is not known, that split() makes."""
MAX_NESTING: Final = 2
"""Macros inside one another."""
MAX_COST: Final = 100_000
"""Units a condition may cost at load, by its parts."""
MAX_SPENT: Final = 100_000
"""Units that the loops of all conditions of one access request may cost. The exact walk takes up to four times as long."""
MAX_TRACED: Final = 20_000
"""Units that a trace of one decision may cost beside it."""
FAULT: Final = 20
"""Units that an error costs which another value absorbs: clients choose how many there are."""
SCALE: Final = 6
"""A unit is spent for so many characters, as a power of two."""
SEARCHING: Final = 7
REPLACING: Final = 3
"""The same where one text is looked for in another: also the product of their lengths counts, as that is how long it can take."""
SEARCHES: Final = frozenset({SEARCHING, REPLACING})
MOST_COMPARED: Final = 1 << 22
COMPARED: Final = 10
"""A unit is spent for so many comparisons of characters, as a power of two; of longer texts Python makes no more."""

SCALARS: Final = frozenset({str, int, float, bool, type(None)})
"""What JSON has beside lists and maps. Asked first, because asking for an abstract class costs more than everything else."""

Purse = list[int]
ASKED: Final = 1
"""Which argument of a condition has the purse, where it is asked with so many: the access request."""


class Spender(Protocol):
    """What conditions are asked about together: they spend from one purse."""

    purse: Purse | None


def purse_of(asked: Spender | None) -> Purse:
    """The purse of an access request, filled when it is first needed; where none is asked about, one for this condition alone."""
    if asked is None:
        return [MAX_SPENT]
    purse = asked.purse
    if purse is None:
        purse = asked.purse = [MAX_SPENT]
    return purse


def spend(purse: Purse, units: int) -> None:
    """Take units from the purse. Raises EvaluationError when it is empty."""
    purse[0] -= units
    if purse[0] < 0:
        raise CostError("the condition costs too much")


def items(purse: Purse, value: Any, weight: int) -> Any:
    """What a macro goes through: the items of a list, the keys of a map. `weight` is what one turn costs."""
    if not isinstance(value, list | tuple | dict | Mapping):
        raise EvaluationError("a macro needs a list or a map")
    if len(value) > MAX_ITEMS:
        raise EvaluationError(f"a macro goes through {MAX_ITEMS} items at most")
    spend(purse, weight * len(value))
    return value


def charged(purse: Purse, scale: int, call: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function of texts or lists inside a loop, and spend by what it works on: a unit for 2**scale characters."""
    units = 1
    for argument in arguments:
        if type(argument) is str:
            units += len(argument) >> scale
        elif type(argument) not in SCALARS and isinstance(argument, list | tuple | dict | Mapping):
            spend(purse, 2 * min(len(argument), MAX_ITEMS))
            units += 2 * counted(argument, MAX_ITEMS)
    spend(purse, units + searched(*arguments) if scale in SEARCHES else units)
    return call(*arguments)


def searched(value: Any, part: Any, *_: Any) -> int:
    """What looking for one text in another costs at worst."""
    both = type(value) is str and type(part) is str
    return min(len(value) * len(part), MOST_COMPARED) >> COMPARED if both else 0


def counted(value: Any, most: int) -> int:
    """How many values lie in a list or map, at any depth. Raises EvaluationError when there are more than `most`."""
    if type(value) in SCALARS:
        return 1
    if not isinstance(value, list | tuple | dict | Mapping):
        return 1
    if len(value) > most:
        raise EvaluationError(f"has more than {MAX_ITEMS} items")
    found = 0
    for item in value.values() if isinstance(value, dict | Mapping) else value:
        found += 1 if type(item) in SCALARS else counted(item, most - found)
        if found > most:
            raise EvaluationError(f"has more than {MAX_ITEMS} items")
    return max(found, 1)


def single(found: list[Any]) -> bool:
    """`exists_one`: whether there is one."""
    return len(found) == 1
