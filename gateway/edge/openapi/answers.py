"""What an upstream answers, held against the description: counted, or withheld before the client sees a byte of it.

Only JSON within a bound is looked into. Of failures that the description does not know nothing is said: proxies and overload make
them too.
"""

from collections.abc import AsyncIterator
from typing import Final

from gateway.core.errors import GatewayError, Rejection, UpstreamUnreachable
from gateway.core.media import is_json, media_type
from gateway.core.message import NO_BODY, Outbound, Response
from gateway.core.ports import Transport
from gateway.core.reason import Reason
from gateway.edge import apart
from gateway.edge.media import INSPECTED
from gateway.edge.openapi.operation import Content, Operation
from gateway.edge.openapi.stage import Described

BODILESS: Final = (204, 205, 304)
DROPPED: Final = frozenset((b"accept-encoding", b"range", b"if-range"))


class Answers:
    """The way to an upstream whose answers are described. Implements core.ports.Transport."""

    __slots__ = ("_described", "_enforcing", "_skip", "_transport")

    def __init__(self, transport: Transport, described: Described, skip: int) -> None:
        """`skip` are the segments of a path that the upstream does not see."""
        self._transport = transport
        self._described = described
        self._enforcing = described.model.responses == "enforce"
        self._skip = skip

    async def upgrade(self, outbound: Outbound, protocols: tuple[bytes, ...]) -> Response:
        """A WebSocket's frames are no answer that a description knows."""
        return await self._transport.upgrade(outbound, protocols)

    async def send(self, outbound: Outbound) -> Response:
        """Raises what the transport raises; UpstreamUnreachable (upstream-protocol) for an answer that is withheld."""
        operation = self._operation(outbound)
        if operation is None or operation.answers is None:
            return await self._transport.send(outbound)
        if self._enforcing:
            outbound.ask_plainly(DROPPED)
        response = await self._transport.send(outbound)
        found = judged(response, operation, bodiless=outbound.head)
        if isinstance(found, str):
            return self._told(response, found)
        if found is None:
            return response
        return await (self._whole if self._enforcing else self._seen)(response, found)

    def _operation(self, outbound: Outbound) -> Operation | None:
        request = outbound.request
        try:
            return self._described.description.operation(request.segments[self._skip :] or ("",), request.method)[0]
        except Rejection:
            return None

    def _told(self, response: Response, part: str) -> Response:
        """Count what is not as described; withhold it where that is the mode."""
        self._described.note(part)
        if not self._enforcing:
            return response
        let_go(response)
        raise withheld(part)

    async def _whole(self, response: Response, found: "Reader") -> Response:
        """The answer once all of it is here and judged; else its upstream is let go, also of a client that left meanwhile."""
        is_well = False
        try:
            whole = await gathered(response)
            part = "answer-uninspected" if whole is None else "answer" if await found.is_wrong(whole) else ""
            is_well = not part
        finally:
            if not is_well:
                let_go(response)
        if part:
            self._described.note(part)
            raise withheld(part)
        if response.stream is not None:
            response.body, response.stream = whole or b"", NO_BODY
        return response

    async def _seen(self, response: Response, found: "Reader") -> Response:
        """The answer as it comes; it is judged when its last byte was passed on."""
        if response.stream is not None:
            response.stream = Seen(response.body, response.stream, found, self._described)
        elif await found.is_wrong(response.body):
            self._described.note("answer")
        return response


class Reader:
    """By what a body is judged when it is whole."""

    __slots__ = ("_content", "_essence", "_key")

    def __init__(self, content: Content, key: str, essence: str) -> None:
        self._content = content
        self._key = key
        self._essence = essence

    async def is_wrong(self, body: bytes) -> bool:
        """Whether a whole body is not as described."""
        return bool(await apart.read(len(body), lambda: self._content.findings(self._key, self._essence, body)))


class Seen:
    """A stream that is judged at its end, if it stays within the bound; what is passed on is what came."""

    __slots__ = ("_described", "_pieces", "_reader", "_size", "_stream")

    def __init__(self, begun: bytes, stream: AsyncIterator[bytes], reader: Reader, described: Described) -> None:
        self._pieces = [begun]
        self._size = len(begun)
        self._stream = stream
        self._reader = reader
        self._described = described

    def __aiter__(self) -> "Seen":
        return self

    async def __anext__(self) -> bytes:
        try:
            piece = await anext(self._stream)
        except StopAsyncIteration:
            await self._judge()
            raise
        except GatewayError:
            self._size = INSPECTED + 1
            raise
        self._size += len(piece)
        if self._size <= INSPECTED:
            self._pieces.append(piece)
        else:
            self._pieces.clear()
        return piece

    async def _judge(self) -> None:
        if self._size > INSPECTED:
            self._described.note("answer-uninspected")
        elif await self._reader.is_wrong(b"".join(self._pieces)):
            self._described.note("answer")


async def gathered(response: Response) -> bytes | None:
    """A whole body; None where it is too large to look into."""
    pieces, size = [response.body], len(response.body)
    if response.stream is not None:
        async for piece in response.stream:
            size += len(piece)
            if size > INSPECTED:
                return None
            pieces.append(piece)
    return b"".join(pieces) if size <= INSPECTED else None


def let_go(response: Response) -> None:
    """Nothing more of it is wanted."""
    if response.abandon is not None:
        response.abandon()


def withheld(part: str) -> UpstreamUnreachable:
    """Why a client sees nothing of an answer."""
    return UpstreamUnreachable(f"{part}: not as described", reason=Reason.UPSTREAM_PROTOCOL)


def judged(response: Response, operation: Operation, *, bodiless: bool) -> Reader | str | None:
    """By what an answer's body is to be judged; or the part of its head that is not as described; None where all is well."""
    answers, status = operation.answers or {}, response.status
    content = answers.get(str(status)) or answers.get(f"{status // 100}XX") or answers.get("DEFAULT")
    if content is None:
        return "answer-status" if status < 300 else None
    if bodiless or status in BODILESS:
        return None
    fields = dict(response.headers)
    if sum(name == b"content-type" for name, _ in response.headers) > 1:
        return "answer-type"
    essence = media_type(fields.get(b"content-type", b"").decode("latin-1"))
    if not essence and not response.body and (response.stream is None or fields.get(b"content-length") == b"0"):
        return None
    key = content.find(essence)
    if key is None:
        return "answer-type"
    if not content.is_inspected(key, essence) or not is_json(essence):
        return None
    return "answer-uninspected" if fields.get(b"content-encoding", b"identity") != b"identity" else Reader(content, key, essence)
