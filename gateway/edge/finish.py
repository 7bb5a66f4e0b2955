"""The last stage of every answer, also of refusals: what the client sees besides status and body.

On an upstream's answer it removes what tells about the upstream's software and what the upstream says about origins, which
only the gateway may, then adds the gateway's own fields. Everything fixed is bytes before the first request.
"""

from typing import Final, Protocol

from gateway.core.exchange import Allowance, Exchange
from gateway.core.message import Inbound, Response, lines
from gateway.core.principal import ANONYMOUS
from gateway.core.shape import Selection, Shape, conclude
from gateway.edge.cors import Cors
from gateway.edge.security_headers import CACHE_CONTROL, HSTS, REVEALING, SecurityHeaders

REQUEST_ID: Final = b"x-request-id"
CROSS_ORIGIN: Final = b"access-control-"


class LimitFields(Protocol):
    """Renders what is left of limits as lines of a head; `names` are the fields it may render."""

    @property
    def names(self) -> frozenset[bytes]: ...
    def lines(self, policies: tuple[str, ...], allowances: tuple[Allowance, ...]) -> bytes: ...


class Plan:
    """What becomes of the answers of one shape: what is kept of them, and the fixed lines that join them.

    `kept` is the selection, where nothing is said about limits and where something is; `told` whether the answer brings limit
    fields of its own that stay. `lines` by scheme, then by whether the answer belongs to somebody.
    """

    __slots__ = ("kept", "lines", "told")

    def __init__(
        self, kept: tuple[Selection, Selection], told: bool, lines: tuple[tuple[bytes, bytes], tuple[bytes, bytes]]
    ) -> None:
        self.kept = kept
        self.told = told
        self.lines = lines


class Finish:
    """Completes the answers of one route."""

    __slots__ = ("_absent", "_cache", "_cors", "_limits", "_own", "_own_lines", "_own_names", "_passed", "_removed", "_replaced")

    def __init__(self, *, cors: Cors, headers: SecurityHeaders, limits: LimitFields) -> None:
        self._cors = cors
        self._limits = limits
        self._own_names = frozenset(name for name, _ in headers.own[True]) | {REQUEST_ID}
        self._own_lines = lines(headers.own[False]), lines(headers.own[True])
        # An upstream's Strict-Transport-Security speaks for its host, not for ours: it never passes.
        self._removed = REVEALING | {name for name, _ in headers.replaced[True]} | {REQUEST_ID, HSTS}
        self._replaced = lines(headers.replaced[False]), lines(headers.replaced[True])
        self._absent = headers.absent
        self._cache = lines((headers.cache,)) if headers.cache is not None else b""
        self._own: dict[Shape, Plan] = {}
        self._passed: dict[Shape, Plan] = {}

    def complete(self, response: Response, inbound: Inbound, exchange: Exchange) -> Response:
        """The response, its header fields completed in place."""
        shape, allowances, principal = response.shape, exchange.allowances, exchange.principal
        if response.own:
            plan = self._own.get(shape) or conclude(self._own, shape, self._plan_own(shape))
        else:
            plan = self._passed.get(shape) or conclude(self._passed, shape, self._plan_passed(shape))
        kept = plan.kept[bool(allowances)]
        response.shape = kept.shape
        pick = kept.pick
        if pick is not None:
            response.values = pick(response.values)
        # Whether the answer belongs to somebody: then no cache may keep it unless the upstream said so itself.
        added = plan.lines[exchange.secure][principal is not None and principal.scheme != ANONYMOUS]
        left = self._limits.lines(exchange.policies, allowances) if allowances and not plan.told else b""
        granted = lines(self._cors.fields(inbound.first(b"origin"))) if self._cors.answers else b""
        # Ids are judged where they are made, or taken from a proxy.
        response.lines = added, left, granted, f"x-request-id: {exchange.id}\r\n".encode("ascii")
        return response

    def _plan_own(self, shape: Shape) -> Plan:
        """Our own answer: the whole set, over whatever was there. A 429 brings its own limit fields."""
        kept = Selection(shape, lambda name: name not in self._own_names)
        plain, secure = self._own_lines
        return Plan((kept, kept), not self._limits.names.isdisjoint(shape.present), ((plain, plain), (secure, secure)))

    def _plan_passed(self, shape: Shape) -> Plan:
        """An upstream's answer. Limit fields of its own stand only where we have nothing to say about limits."""
        kept = Selection(shape, lambda name: name not in self._removed and not name.startswith(CROSS_ORIGIN))
        present = kept.shape.present
        limited = Selection(shape, lambda name: name in present and name not in self._limits.names)
        absent = lines(field for field in self._absent if field[0] not in present)
        cache = b"" if CACHE_CONTROL in present else self._cache
        plain, secure = (absent + replaced for replaced in self._replaced)
        return Plan((kept, limited), False, ((plain, plain + cache), (secure, secure + cache)))
