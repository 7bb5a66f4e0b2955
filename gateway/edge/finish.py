"""The last stage of every answer, also of refusals: what the client sees besides status and body.

On an upstream's answer it removes what tells about the upstream's software and what the upstream says about origins, which
only the gateway may, then adds the gateway's own fields. Everything fixed is bytes before the first request.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from gateway.core.exchange import Allowance, Exchange
from gateway.core.message import Field, Inbound, Response
from gateway.core.principal import ANONYMOUS
from gateway.edge.cors import Cors
from gateway.edge.security_headers import CACHE_CONTROL, HSTS, REVEALING, SecurityHeaders

REQUEST_ID: Final = b"x-request-id"
CROSS_ORIGIN: Final = b"access-control-"


class LimitFields(Protocol):
    """Renders allowances as header fields; `names` are those it may render."""

    @property
    def names(self) -> frozenset[bytes]: ...
    def __call__(self, allowances: Sequence[Allowance]) -> list[Field]: ...


class Finish:
    """Completes the answers of one route."""

    __slots__ = ("_absent", "_absent_names", "_cache", "_cors", "_limits", "_own", "_own_names", "_passed", "_removed", "_replaced")

    def __init__(self, *, cors: Cors, headers: SecurityHeaders, limits: LimitFields) -> None:
        self._cors = cors
        self._limits = limits
        self._own = (lines(headers.own[False]), lines(headers.own[True]))
        self._own_names = frozenset(name for name, _ in headers.own[True]) | {REQUEST_ID}
        self._replaced = (lines(headers.replaced[False]), lines(headers.replaced[True]))
        self._absent = headers.absent
        self._absent_names = frozenset(name for name, _ in headers.absent)
        self._cache = lines((headers.cache,)) if headers.cache is not None else b""
        self._passed = tuple(lines(headers.absent) + replaced for replaced in self._replaced)
        # An upstream's Strict-Transport-Security speaks for its host, not for ours: it never passes.
        removed = REVEALING | {name for name, _ in headers.replaced[True]} | {REQUEST_ID, HSTS}
        self._removed = (removed, removed | limits.names)

    def __call__(self, response: Response, *, inbound: Inbound, exchange: Exchange) -> Response:
        """The response, its header fields completed in place; those that are always the same stand in `lines`."""
        complete = self._complete_own if response.own else self._complete_passed
        fields = complete(response, exchange)
        if self._cors.answers:
            fields += self._cors.fields(inbound.first(b"origin"))
        fields.append((REQUEST_ID, exchange.id.encode("ascii")))
        response.headers = fields
        return response

    def _complete_own(self, response: Response, exchange: Exchange) -> list[Field]:
        """Our own answer: the whole set, over whatever was there."""
        names = self._own_names
        fields = [field for field in response.headers if field[0] not in names]
        response.lines = self._own[exchange.secure]
        limits = self._limits.names
        if exchange.allowances and not any(name in limits for name, _ in fields):  # a 429 brought its own
            fields += self._limits(exchange.allowances)
        return fields

    def _complete_passed(self, response: Response, exchange: Exchange) -> list[Field]:
        """An upstream's answer. Limit fields of its own stand only where we have nothing to say about limits."""
        allowances = exchange.allowances
        removed = self._removed[bool(allowances)]
        fields = [field for field in response.headers if field[0] not in removed and not field[0].startswith(CROSS_ORIGIN)]
        names = {field[0] for field in fields}
        if self._absent_names.isdisjoint(names):
            fixed = self._passed[exchange.secure]
        else:
            fixed = self._replaced[exchange.secure]
            fields += [field for field in self._absent if field[0] not in names]
        response.lines = fixed + self._cache if CACHE_CONTROL not in names and is_authenticated(exchange) else fixed
        if allowances:
            fields += self._limits(allowances)
        return fields


def lines(fields: Iterable[Field]) -> bytes:
    """Fields in wire form. They were judged when the configuration was read: none can break out of its line."""
    return b"".join(b"%b: %b\r\n" % field for field in fields)


def is_authenticated(exchange: Exchange) -> bool:
    """Whether the answer belongs to somebody: then no cache may keep it unless the upstream said so itself."""
    return exchange.principal is not None and exchange.principal.scheme != ANONYMOUS
