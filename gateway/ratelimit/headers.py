"""What a client is told about its limits: the fields of draft-ietf-httpapi-ratelimit-headers-11, or the older X-RateLimit-*."""

from collections.abc import Sequence
from math import ceil
from operator import attrgetter
from typing import Final, Literal

from gateway.core.exchange import Allowance
from gateway.core.message import Field, lines

Style = Literal["draft-11", "legacy", "both", "none"]

POLICY: Final = attrgetter("policy")
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

    __slots__ = ("_draft", "_legacy", "_policies", "names")

    def __init__(self, style: Style) -> None:
        self._draft = style in {"draft-11", "both"}
        self._legacy = style in {"legacy", "both"}
        self._policies: dict[tuple[str, ...], tuple[bytes, tuple[str, ...]]] = {}  # by the names of the rules
        draft = (b"ratelimit", b"ratelimit-policy") if self._draft else ()
        legacy = (b"x-ratelimit-limit", b"x-ratelimit-remaining", b"x-ratelimit-reset") if self._legacy else ()
        self.names: frozenset[bytes] = frozenset(draft + legacy)

    def lines(self, allowances: Sequence[Allowance]) -> bytes:
        """The fields of an answer, as lines of its head."""
        if self._legacy or not self._draft:
            return lines(self.fields(allowances))
        return b"ratelimit-policy: %b\r\nratelimit: %b\r\n" % self._draft_values(allowances)

    def fields(self, allowances: Sequence[Allowance]) -> list[Field]:
        """The fields of an answer; none where nothing was limited."""
        if not allowances:
            return []
        fields: list[Field] = []
        if self._draft:
            fields += zip((b"ratelimit-policy", b"ratelimit"), self._draft_values(allowances), strict=True)
        if self._legacy:
            fields += self._legacy_fields(nearest(allowances))
        return fields

    def _draft_values(self, allowances: Sequence[Allowance]) -> tuple[bytes, bytes]:
        known = self._policies.get(names := tuple(map(POLICY, allowances)))
        if known is None:
            known = self._policies[names] = self._policy(allowances)
        left = [f"{name};r={each.remaining};t={ceil(each.reset)}" for name, each in zip(known[1], allowances, strict=True)]
        return known[0], ", ".join(left).encode("ascii")

    @staticmethod
    def _policy(allowances: Sequence[Allowance]) -> tuple[bytes, tuple[str, ...]]:
        """The policy field of these limits, and their quoted names. Rendered once: limits come from the configuration."""
        names = [quoted(allowance.policy) for allowance in allowances]
        items = [
            b"%b;q=%d;w=%d" % (name, allowance.quota, max(ceil(allowance.window), 1))
            for name, allowance in zip(names, allowances, strict=True)
        ]
        return b", ".join(items), tuple(name.decode("ascii") for name in names)

    def _legacy_fields(self, allowance: Allowance) -> list[Field]:
        return [
            (b"x-ratelimit-limit", b"%d" % allowance.quota),
            (b"x-ratelimit-remaining", b"%d" % allowance.remaining),
            (b"x-ratelimit-reset", b"%d" % seconds(allowance.reset)),
        ]
