"""An upstream's answer as the obligations of a Permit let the client see it, or refused."""

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Final

from gateway.core.decision import Permit
from gateway.core.errors import Withheld
from gateway.core.message import NO_BODY, Outbound, Response
from gateway.core.obligations import Obligations, Shaped, Style
from gateway.core.ports import Metrics
from gateway.core.reason import Reason
from gateway.core.shape import remember
from gateway.shaping.faults import Unreadable
from gateway.shaping.heads import ask_plainly, is_grpc, pruned, reader_of
from gateway.shaping.plan import Plan
from gateway.shaping.require import fulfilling, gathered, withheld
from gateway.shaping.rewriter import Rewriter
from gateway.shaping.stream import ShapedStream
from gateway.shaping.styles import Styles

BODILESS: Final = (204, 304)
FAILURES: Final = 400
NOT_FOUND: Final = 404
COUNTED: Final = "gateway.answers.shaped"


class Shaping:
    """Implements core.ports.Shaping for all routes. Plans are remembered by the obligations they are made for."""

    __slots__ = ("_count", "_key", "_plans")

    def __init__(self, key: Callable[[], bytes] | None, metrics: Metrics) -> None:
        """`key` gives what values are hashed with. It raises DependencyDown where there is nothing fit for that."""
        self._key = key
        self._count = metrics.count
        self._plans: dict[object, Plan] = {}

    def prepare(self, outbound: Outbound, obligations: Obligations, *, switches: bool) -> None:
        """Ask for an answer that can be looked at. Raises Withheld where there will be none; DependencyDown without the key."""
        if switches or is_grpc(outbound.request.head.fields.get(b"content-type", b"")):
            raise Withheld("the answer of another protocol cannot be inspected")
        if hashes(obligations):
            if self._key is None:
                raise Withheld("there is no redaction.key to hash with")
            self._key()
        ask_plainly(outbound)

    async def shape(self, response: Response, obligations: Obligations, permit: Permit, told: Shaped) -> Response:
        """The answer the client gets. Raises Withheld, and what broke the answer; its upstream is let go then."""
        is_made = False
        try:
            made = await self._shaped(response, permit, obligations, told)
            is_made = True
        except Unreadable as error:
            refusal = withheld(obligations.require, str(error)) if obligations.require else Withheld(str(error))
        except Withheld as error:
            refusal = error
        else:
            told.outcome = told.outcome or "shaped"
            self._count(COUNTED, outcome=told.outcome)
            return made
        finally:
            if not is_made and response.abandon is not None:
                response.abandon()
        told.outcome = "withheld"
        self._count(COUNTED, outcome="withheld")
        raise refusal

    async def _shaped(self, response: Response, permit: Permit, obligations: Obligations, told: Shaped) -> Response:
        is_head = permit.access.request.method == "HEAD"
        succeeded = 200 <= response.status < 300
        if obligations.require and (is_head or not succeeded):
            return unasked(response, obligations, told)
        if is_head or response.status in BODILESS:
            made = pruned(response)
            made.stream = NO_BODY if is_head else None  # a length would not be that of the body a GET gets
            return made
        try:
            return await self._read(response, permit, obligations, told)
        except Unreadable:
            if succeeded:
                raise
        return emptied(response, told)

    async def _read(self, response: Response, permit: Permit, obligations: Obligations, told: Shaped) -> Response:
        """The answer with what is left of its body, or with the beginning of that and the rest to come."""
        begun, source, required = response.body, response.stream, obligations.require
        try:
            made_reader = reader_of(response)
        except Unreadable:
            if not required and not begun and (source is None or not await some(source)):
                return pruned(response)
            raise
        if required:
            if made_reader is not Rewriter:
                raise Unreadable("not one document, which a requirement could be asked about")
            begun, source = await fulfilling(await gathered(response), response.status, required, permit), None
        reader = made_reader(self._plan(obligations), self._styles(obligations))
        stream = ShapedStream(begun, source, reader, told, partial(self._was_cut, told))
        made = pruned(response)
        made.body = await stream.whole() if source is None else await stream.next() or b""
        made.stream = None if stream.is_over else stream
        return made

    def _plan(self, obligations: Obligations) -> Plan:
        key = obligations.redact, obligations.fields
        return self._plans.get(key) or remember(self._plans, key, Plan(obligations.redact, obligations.fields))

    def _styles(self, obligations: Obligations) -> Styles:
        key = self._key() if self._key is not None and hashes(obligations) else b""
        return Styles(key)

    def _was_cut(self, told: Shaped) -> None:
        told.outcome = "cut"
        self._count(COUNTED, outcome="cut")


def hashes(obligations: Obligations) -> bool:
    """Whether values are to be hashed."""
    return any(each.style is Style.HASH for each in obligations.redact)


async def some(source: AsyncIterator[bytes]) -> bool:
    """Whether there is anything in a body."""
    async for piece in source:
        if piece:
            return True
    return False


def unasked(response: Response, obligations: Obligations, told: Shaped) -> Response:
    """An answer that no requirement can be asked about. Raises Withheld; a failure keeps its status, which tells of no content.

    Where it may not be known what there is, what there is not is told in the same words.
    """
    refusal = withheld(obligations.require, f"a requirement cannot be asked about a {response.status}")
    if response.status < FAILURES or (response.status == NOT_FOUND and refusal.reason is Reason.NOT_FOUND):
        raise refusal
    return emptied(response, told)


def emptied(response: Response, told: Shaped) -> Response:
    """The answer's status without a body."""
    told.outcome = "emptied"
    if response.abandon is not None:
        response.abandon()
    return pruned(response, with_body=False)
