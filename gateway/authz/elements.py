"""Which element made a macro what it is: the one that decided, or that none did."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.authz.cel import tree
from gateway.authz.cel.errors import FAULTS
from gateway.authz.cel.evaluate import Arguments, evaluate, turns
from gateway.authz.cel.limits import MAX_SPENT

TOLD: Final = ("all", "exists", "exists_one")

Shown = Callable[[Any], str]
"""A value as text, cut where it is long."""


def element(node: tree.Tree, arguments: Arguments, shown: Shown) -> str:
    """What decided a macro, in words: an element by its place, of a map by its key; "" for everything that is no such macro."""
    if not isinstance(node, tree.Loop) or node.macro not in TOLD:
        return ""
    try:
        over = evaluate(node.range, arguments, [MAX_SPENT])
        found = list(turns(node, arguments))
    except FAULTS:
        return ""
    places: dict[bool | None, list[int]] = {True: [], False: [], None: []}
    for place, (_, held) in enumerate(found):
        places[held].append(place)
    deciding = _deciding(node.macro, places)
    if not deciding:
        return f"{'all' if node.macro == 'all' else 'no'} {_counted(len(found), node.macro)}"
    told = " and ".join(_named(over, found[place][0], place, shown) for place in deciding)
    return told if deciding[0] not in places[None] else f"{told} has no value"


def _deciding(macro: str, places: Mapping[bool | None, list[int]]) -> list[int]:
    """The elements that decided, at most two; none where all had to be asked."""
    if macro == "exists_one":
        return places[None][:1] or places[True][:2]
    return places[macro == "exists"][:1] or places[None][:1]


def _counted(number: int, macro: str) -> str:
    return f"{number} elements" if macro == "all" else f"element of {number}"


def _named(over: Any, item: Any, place: int, shown: Shown) -> str:
    if isinstance(over, Mapping):
        return f"key {shown(item)} ({shown(over[item])})"
    return f"element {place} ({shown(item)})"
