"""What a client is told about its limits: the fields of draft-ietf-httpapi-ratelimit-headers-11, or the older X-RateLimit-*."""

from collections.abc import Sequence
from math import ceil
from typing import Final, Literal

from gateway.core.exchange import Allowance
from gateway.core.message import Field

Style = Literal["draft-11", "legacy", "both", "none"]

MAX_INTEGER: Final = 999_999_999_999_999
"""RFC 9651 3.3.1: the largest Integer of a structured field."""


def quoted(text: str) -> bytes:
    """An RFC 9651 String (section 4.1.6). Raises ValueError for what is not printable ASCII."""
    if not text.isascii() or not text.isprintable():
        raise ValueError("a limit's name is printable ASCII")
    return b'"' + text.replace("\\", "\\\\").replace('"', '\\"').encode("ascii") + b'"'


def seconds(wait: float) -> int:
    """Whole seconds, rounded up: whoever waits that long does not come too early. `t` and Retry-After share it."""
    return min(ceil(wait), MAX_INTEGER)


def nearest(allowances: Sequence[Allowance]) -> Allowance:
    """The allowance nearest to exhaustion."""
    return min(allowances, key=lambda allowance: (allowance.remaining, -allowance.reset))


class LimitFields:
    """Renders the allowances of a request as header fields.

    draft-11: `RateLimit-Policy: "name";q=quota;w=window` and `RateLimit: "name";r=remaining;t=seconds until more`, one item
    for each limit. legacy: X-RateLimit-Limit, -Remaining and -Reset (seconds from now) of the limit nearest to exhaustion.
    """

    __slots__ = ("_draft", "_items", "_legacy", "names")

    def __init__(self, style: Style) -> None:
        self._draft = style in {"draft-11", "both"}
        self._legacy = style in {"legacy", "both"}
        self._items: dict[str, tuple[bytes, bytes]] = {}  # rule name -> its policy item, its quoted name
        draft = (b"ratelimit", b"ratelimit-policy") if self._draft else ()
        legacy = (b"x-ratelimit-limit", b"x-ratelimit-remaining", b"x-ratelimit-reset") if self._legacy else ()
        self.names: frozenset[bytes] = frozenset(draft + legacy)

    def __call__(self, allowances: Sequence[Allowance]) -> list[Field]:
        """The fields of an answer; none where nothing was limited."""
        if not allowances:
            return []
        fields = self._draft_fields(allowances) if self._draft else []
        if self._legacy:
            fields += self._legacy_fields(nearest(allowances))
        return fields

    def _draft_fields(self, allowances: Sequence[Allowance]) -> list[Field]:
        policies = []
        left = []
        for allowance in allowances:
            policy, name = self._items.get(allowance.policy) or self._item(allowance)
            policies.append(policy)
            left.append(b"%b;r=%d;t=%d" % (name, allowance.remaining, ceil(allowance.reset)))
        return [(b"ratelimit-policy", b", ".join(policies)), (b"ratelimit", b", ".join(left))]

    def _item(self, allowance: Allowance) -> tuple[bytes, bytes]:
        """A rule's policy item and name, rendered at its first use; rules come from the configuration, so they are few."""
        name = quoted(allowance.policy)
        item = self._items[allowance.policy] = (b"%b;q=%d;w=%d" % (name, allowance.quota, max(ceil(allowance.window), 1)), name)
        return item

    def _legacy_fields(self, allowance: Allowance) -> list[Field]:
        return [
            (b"x-ratelimit-limit", b"%d" % allowance.quota),
            (b"x-ratelimit-remaining", b"%d" % allowance.remaining),
            (b"x-ratelimit-reset", b"%d" % seconds(allowance.reset)),
        ]
