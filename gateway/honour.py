"""What rules want to know of a request before they decide, and what they demand of one they allow.

What cannot be known has no value, and what cannot be done denies.
"""

import re
from typing import Final

from gateway.authz.cel.errors import FAULTS
from gateway.authz.full import trace
from gateway.authz.policy import Cell, RoutePolicy
from gateway.core.decision import AccessRequest, Permit
from gateway.core.errors import Forbidden
from gateway.core.exchange import Exchange
from gateway.core.names import folded
from gateway.core.obligations import Obligations, SetHeader
from gateway.core.ports import Metrics
from gateway.edge.judged import judged
from gateway.ratelimit.stated import Stated

LONGEST_VALUE: Final = 4096
# RFC 9110 5.5, without the white space at the ends that a recipient drops.
VALUE: Final = re.compile(rb"[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?")


async def inspect(cell: Cell, access: AccessRequest, most: int) -> None:
    """Have the body parsed where rules of the cell read it, at most `most` bytes. Raises BadRequest as reading a body does.

    What only shadow rules want to know is not worth refusing a request.
    """
    if cell.reads_body:
        access.body = await judged(access.request, most, sized=cell.shadow_reads_body)


def note_break_glass(policy: RoutePolicy, access: AccessRequest, exchange: Exchange, metrics: Metrics) -> None:
    """Whatever is decided: who holds a role for emergencies is counted, and audited in full."""
    metrics.count("gateway.authz.break_glass", route=access.route)
    if exchange.principal is not None:
        exchange.trace = trace(policy, exchange.principal, access)


async def spend(limits: Stated, names: tuple[str, ...], permit: Permit, exchange: Exchange) -> None:
    """Spend the rates that rules state, all of them or none. Raises LimitExceeded, or DependencyDown as other limits do."""
    stage = limits.stage(names)
    request, principal = permit.access.request, permit.principal
    spent = stage.take(request, principal)
    policies, allowances = await stage.spend(request, principal) if spent is None else spent
    exchange.policies += policies
    exchange.allowances += allowances


def said(obligations: Obligations, permit: Permit) -> bytes:
    """The header fields that rules set, as lines. Raises Forbidden where one has no value, two, or none that a field takes."""
    values: dict[bytes, tuple[bytes, bytes]] = {}
    for field in obligations.set_headers:
        value = value_of(field, permit)
        before = values.setdefault(folded(field.name), (field.name, value))
        if before[1] != value:
            raise Forbidden(f"obligation: set_header {field.name.decode()} has two values")
    return b"".join([name + b": " + value + b"\r\n" for name, value in values.values()])


def value_of(field: SetHeader, permit: Permit) -> bytes:
    """The value of one field. Raises Forbidden."""
    if field.value is None:
        return (field.text or "").encode("ascii")
    try:
        value = field.value(permit.principal, permit.access).encode("utf-8")
    except FAULTS as error:
        raise Forbidden(f"obligation: set_header {field.name.decode()} has no value") from error
    if len(value) > LONGEST_VALUE or not VALUE.fullmatch(value):
        raise Forbidden(f"obligation: set_header {field.name.decode()} holds what no field may")
    return value
