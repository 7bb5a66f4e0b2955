"""What a client is told about its limits: the fields of draft-ietf-httpapi-ratelimit-headers-11, or the older X-RateLimit-*."""

from collections.abc import Mapping
from math import ceil
from typing import Final, Literal, Protocol

from gateway.core.exchange import Allowance
from gateway.core.message import Field, fields_of, lines

Style = Literal["draft-11", "legacy", "both", "none"]

MICRO: Final = 1_000_000


def quoted(text: str) -> bytes:
    """An RFC 9651 String (section 4.1.6). Raises ValueError for what is not printable ASCII."""
    if not text.isascii() or not text.isprintable():
        raise ValueError("a limit's name is printable ASCII")
    return b'"' + text.replace("\\", "\\\\").replace('"', '\\"').encode("ascii") + b'"'


def seconds(wait: int) -> int:
    """Microseconds as whole seconds, rounded up: whoever waits that long does not come too early. As `t` is and Retry-After."""
    return -(-wait // MICRO)


class Counted(Protocol):
    """What a client is told of a limit: its size, and in how many seconds that much may be spent."""

    @property
    def quota(self) -> int: ...
    @property
    def window(self) -> float: ...


class LimitFields:
    """Renders what is left of a request's limits as header fields. `limits` are all that may be named.

    draft-11: `RateLimit-Policy: "name";q=quota;w=window` and `RateLimit: "name";r=remaining;t=seconds until more`, one item
    for each limit. legacy: X-RateLimit-Limit, -Remaining and -Reset (seconds from now) of the limit nearest to exhaustion.
    """

    __slots__ = ("_draft", "_legacy", "_limits", "_templates", "names")

    def __init__(self, style: Style, limits: Mapping[str, Counted]) -> None:
        self._limits = limits
        self._draft = style in {"draft-11", "both"}
        self._legacy = style in {"legacy", "both"}
        self._templates: dict[tuple[str, ...], bytes] = {}  # as many as there are combinations in the configuration
        draft = (b"ratelimit", b"ratelimit-policy") if self._draft else ()
        legacy = (b"x-ratelimit-limit", b"x-ratelimit-remaining", b"x-ratelimit-reset") if self._legacy else ()
        self.names: frozenset[bytes] = frozenset(draft + legacy)

    def lines(self, policies: tuple[str, ...], allowances: tuple[Allowance, ...]) -> bytes:
        """The fields of an answer, as lines of its head; none where nothing was limited."""
        if not allowances:
            return b""
        rendered = b""
        if self._draft:
            template = self._templates.get(policies)
            if template is None:
                template = self._templates[policies] = self._template(policies)
            numbers: list[int] = []
            for remaining, wait in allowances:
                numbers += remaining, -(-wait // MICRO)  # seconds(wait)
            rendered = template % tuple(numbers)
        return rendered + lines(self._legacy_fields(policies, allowances)) if self._legacy else rendered

    def fields(self, policies: tuple[str, ...], allowances: tuple[Allowance, ...]) -> list[Field]:
        """The same as fields."""
        return fields_of(self.lines(policies, allowances))

    def _template(self, policies: tuple[str, ...]) -> bytes:
        """The lines of these limits, rendered once but for the numbers that change."""
        limits = [(quoted(name).decode("ascii"), self._limits[name]) for name in policies]
        sizes = ", ".join([f"{name};q={limit.quota};w={max(ceil(limit.window), 1)}" for name, limit in limits])
        left = ", ".join([f"{name.replace('%', '%%')};r=%d;t=%d" for name, _ in limits])
        return f"ratelimit-policy: {sizes.replace('%', '%%')}\r\nratelimit: {left}\r\n".encode("ascii")

    def _legacy_fields(self, policies: tuple[str, ...], allowances: tuple[Allowance, ...]) -> list[Field]:
        name, (remaining, wait) = min(zip(policies, allowances, strict=True), key=lambda each: (each[1][0], -each[1][1]))
        return [
            (b"x-ratelimit-limit", b"%d" % self._limits[name].quota),
            (b"x-ratelimit-remaining", b"%d" % remaining),
            (b"x-ratelimit-reset", b"%d" % seconds(wait)),
        ]
