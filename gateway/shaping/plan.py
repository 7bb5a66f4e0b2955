"""Paths compiled: which values of a document are left out, replaced or kept, known at each place from the way that led there.

All paths are followed at once, as the states of one automaton. A state is made when a document first comes to it, and kept.
"""

import json
import re
from collections.abc import Iterable
from enum import Enum
from typing import Final

from gateway.core.json_path import JsonPath
from gateway.core.obligations import STRICTNESS, Redaction, Style
from gateway.shaping.faults import Unplanned

MOST_NODES: Final = 4096
"""States of one plan. Only paths made for it come near (`..` and `[*]` in turns), and what they apply to is refused."""
SPECIAL: Final = re.compile(r'["\\/\x00-\x1f]')

Places = frozenset[tuple[int, int]]
"""How far which paths have come: the path's number, and how many of its steps are taken."""
State = tuple[Places, Style | None, tuple[Places | None, ...]]
"""Of the redactions, with the style that holds for all that is below; and of each allow-list, None below what it names."""


class Others(Enum):
    """What becomes of children that no path names, with all that is below them: known without a look at them, or not."""

    PASS = 1
    DROP = 2
    ASK = 3


class Node:
    """One state: what becomes of a value that is reached by it.

    `hidden`: the value is left out. `scalar`: a value that is no container stays; `style`: and how it is replaced, also below.
    `inert`: nothing below is touched. The rest is set by `open`, before its children are asked for: `members` and `items` by name
    (UTF-8, unescaped) and index, `member` and `item` for all others; `other_members` and `other_items` spare asking.
    """

    __slots__ = (
        "_plan", "_state", "hidden", "inert", "is_open", "item", "items", "member", "members", "other_items", "other_members",
        "removed", "scalar", "style",
    )  # fmt: skip

    def __init__(self, plan: "Plan", state: State, *, is_root: bool = False) -> None:
        places, style, kept = state
        self._plan = plan
        self._state = state
        self.style = style
        self.scalar = all(each is None for each in kept)
        self.removed = style is Style.REMOVE
        self.hidden = self.removed or any(each is not None and not each for each in kept)
        if is_root:
            self.hidden = False
        self.inert = self.hidden or (self.scalar and style is None and not places)
        self.is_open = False
        self.members: dict[bytes, Node] = {}
        self.items: dict[int, Node] = {}
        self.member = self.item = self
        self.other_members = self.other_items = Others.DROP if self.hidden else Others.PASS

    def open(self) -> None:
        """Find out where each step leads from here. Raises Unplanned."""
        if self.is_open:
            return
        self.is_open = True
        if self.inert:
            return
        plan, state = self._plan, self._state
        names, indices = plan.named(state)
        self.members = {name.encode("utf-8"): plan.node(state, name) for name in names}
        self.items = {index: plan.node(state, index) for index in indices}
        self.member = self.item = plan.node(state, None)
        self.other_members = self._others()
        self.other_items = Others.ASK if indices else self.other_members

    def _others(self) -> Others:
        """What is dropped by an allow-list needs no look; what is removed is counted."""
        if self.member.hidden:
            return Others.ASK if self.member.removed else Others.DROP
        return Others.PASS if self.member.passes() else Others.ASK

    def passes(self) -> bool:
        """Whether any value here passes as it is, so long as no member below bears a name of the plan's paths."""
        node, seen = self, set[Node]()
        while node not in seen:
            seen.add(node)
            if node.hidden or node.style is not None or not node.scalar or self._plan.named(node._state)[1]:
                return False
            node = self._plan.node(node._state, None)
        return True


class Level:
    """A container that is open. `begun`: a value came; `kept`: one was shown; `ends_hiding`: it is left out, with all in it."""

    __slots__ = ("begun", "count", "ends_hiding", "is_object", "kept", "node")

    def __init__(self, node: Node, *, is_object: bool, ends_hiding: bool) -> None:
        self.node = node
        self.is_object = is_object
        self.ends_hiding = ends_hiding
        self.begun = self.kept = False
        self.count = 0


class Plan:
    """What becomes of documents. `root` is where one begins; `hits` finds whatever may be a member's name of the paths."""

    __slots__ = ("_allowed", "_nodes", "_paths", "hits", "root")

    def __init__(self, redact: tuple[Redaction, ...], fields: tuple[tuple[JsonPath, ...], ...]) -> None:
        """Raises Unplanned."""
        self._paths = [(redaction.path, redaction.style) for redaction in redact]
        self._allowed = [list(allowed) for allowed in fields]
        self._nodes: dict[State, Node] = {}
        self.hits = re.compile(b"|".join(self._spellings()))
        begun = self._closed([path for path, _ in self._paths], ((number, 0) for number in range(len(self._paths))))
        allowed = [self._closed(paths, ((number, 0) for number in range(len(paths)))) for paths in self._allowed]
        self.root = Node(self, (begun, None, tuple(allowed)), is_root=True)

    def _spellings(self) -> list[bytes]:
        """Names as they may stand in a document. Escapes are looked at one by one; JSON need not escape any but a few letters."""
        paths = [*[path for path, _ in self._paths], *[path for allowed in self._allowed for path in allowed]]
        names = sorted({step for path in paths for step in path if isinstance(step, str)})
        escape = rb"\\" if any(SPECIAL.search(name) for name in names) else rb"\\u"
        return [*[re.escape(json.dumps(name, ensure_ascii=False).encode("utf-8")) for name in names], escape]

    def named(self, state: State) -> tuple[set[str], set[int]]:
        """The names and indices that lead elsewhere than all others do."""
        places, _, kept = state
        steps = {self._paths[number][0][taken] for number, taken in places}
        for allowed, each in zip(self._allowed, kept, strict=True):
            steps |= {allowed[number][taken] for number, taken in each or ()}
        return {step for step in steps if isinstance(step, str)}, {step for step in steps if isinstance(step, int)}

    def node(self, state: State, step: str | int | None) -> Node:
        """Where a step leads: to a member of that name, an item of that index, or any that no path names. Raises Unplanned."""
        places, style, kept = state
        paths = [path for path, _ in self._paths]
        ahead = self._closed(paths, taken(paths, places, step))
        ended = [self._paths[number][1] for number, at in ahead if at == len(paths[number])]
        style = strictest(style, ended)
        left = frozenset(place for place in ahead if place[1] < len(paths[place[0]]))
        found = (left, style, tuple(self._kept(allowed, each, step) for allowed, each in zip(self._allowed, kept, strict=True)))
        return self._nodes.get(found) or self._made(found)

    def _kept(self, allowed: list[JsonPath], places: Places | None, step: str | int | None) -> Places | None:
        """The state of one allow-list a step further."""
        if places is None:
            return None
        ahead = self._closed(allowed, taken(allowed, places, step))
        return None if any(at == len(allowed[number]) for number, at in ahead) else ahead

    def _made(self, state: State) -> Node:
        if len(self._nodes) >= MOST_NODES:
            raise Unplanned("the paths have too many states: use fewer `..` and `[*]`")
        made = self._nodes[state] = Node(self, state)
        return made

    @staticmethod
    def _closed(paths: list[JsonPath], places: Iterable[tuple[int, int]]) -> Places:
        """With what an ellipsis may already have skipped: nothing."""
        found = set(places)
        deep = {(number, at + 1) for number, at in found if at < len(paths[number]) and paths[number][at] is ...}
        return frozenset(found | deep)


def taken(paths: list[JsonPath], places: Places, step: str | int | None) -> Iterable[tuple[int, int]]:
    """The places a step further; an ellipsis stays where it is, too."""
    for number, at in places:
        wanted = paths[number][at]
        if wanted is ...:
            yield number, at
        elif wanted is None or (wanted == step and type(wanted) is type(step)):
            yield number, at + 1


def strictest(style: Style | None, more: list[Style]) -> Style | None:
    """The strictest of several styles, None where there is none."""
    all_of_them = [*more, style] if style is not None else more
    return min(all_of_them, key=STRICTNESS.index) if all_of_them else None
