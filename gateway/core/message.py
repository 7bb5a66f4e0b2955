"""The four forms of a message: as it arrived, admitted, prepared for the upstream, and the answer.

Header names are lower-case bytes, values raw bytes without surrounding white space, in the order received.
"""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from typing import Any, Final, Protocol

from gateway.core.echoes import Echoes
from gateway.core.errors import GatewayError, InternalError
from gateway.core.handshake import Switched
from gateway.core.shape import Shape, Values, split

Field = tuple[bytes, bytes]
"""One header field: lower-case name, value."""


def lines(fields: Iterable[Field]) -> bytes:
    """Fields in wire form, each with its CRLF. Raises InternalError where one would break out of its line."""
    pieces: list[bytes] = []
    for name, value in fields:
        pieces += (name, b": ", value, b"\r\n")
    rendered = b"".join(pieces)
    if not is_lines(rendered, len(pieces) // 4):
        raise InternalError("a header field would have broken out of its line")
    return rendered


def is_lines(rendered: bytes, count: int) -> bool:
    """Whether these are `count` lines and nothing else: CR, LF or NUL within one never leave (CVE-2023-27493)."""
    # `in` makes and drops an exception before it looks for more than one byte, `find` does not.
    return rendered.count(b"\n") == count and rendered.count(b"\r") == count and rendered.find(b"\0") < 0


def fields_of(rendered: bytes) -> list[Field]:
    """What `lines` made, as fields again."""
    split = [line.partition(b": ") for line in rendered.split(b"\r\n")[:-1]]
    return [(name, value) for name, _, value in split]


class Body(Protocol):
    """A request body that has not been read yet.

    `length` is the announced length in bytes, None for a chunked one. `whole` holds the bytes once `read` has run, else
    None. `received` counts the bytes so far. Iterating and reading raise BadRequest (body-too-large, malformed-request,
    request-timeout).
    """

    length: int | None
    whole: bytes | None
    limit: int
    received: int

    async def read(self, limit: int) -> bytes: ...
    def __aiter__(self) -> AsyncIterator[bytes]: ...


class NoBody:
    """The body of a request that has none."""

    __slots__ = ("length", "limit", "received", "whole")

    def __init__(self) -> None:
        self.length: int | None = 0
        self.whole: bytes | None = b""
        self.limit = self.received = 0

    async def read(self, limit: int) -> bytes:
        return b""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        raise StopAsyncIteration


NO_BODY: Final = NoBody()

MOST_NOTED: Final = 32
"""Notes that one connection's memo holds. A reload makes new stages, and the old ones' notes stay."""


class Inbound:
    """A request as it arrived, nothing checked beyond what the parser checked.

    `target` is the raw request-target of the request line; `peer` the address of the other end of the connection
    ("" on a unix socket); `secure` whether *this* connection is TLS; `certificate` the DER of a client certificate that
    our own listener verified; `fault` what the server's parser or timers found wrong, to be answered instead of served.
    `memo`, where the header fields are to the byte those of an earlier request of the connection (the digits of Content-Length
    aside: then `headers` is another list), is what stages concluded from them alone, each under itself as key and MOST_NOTED in
    all; it is emptied when the connection says something else, is silent for a while, or ends. A request that came before to the
    byte is the same Inbound again: nobody changes it, but for `claim`, the pipeline's own, and `fault` before it is served.
    """

    __slots__ = (
        "body", "certificate", "claim", "fault", "headers", "listener", "memo", "method", "peer", "secure", "server_name", "target",
        "version",
    )  # fmt: skip

    def __init__(
        self,
        method: str,
        target: bytes,
        version: str,
        headers: list[Field],
        peer: str,
        listener: str,
        secure: bool = False,
        server_name: str | None = None,
        certificate: bytes | None = None,
        body: Body = NO_BODY,
        fault: GatewayError | None = None,
        memo: dict[object, Any] | None = None,
    ) -> None:
        self.method = method
        self.target = target
        self.version = version
        self.headers = headers
        self.peer = peer
        self.listener = listener
        self.secure = secure
        self.server_name = server_name
        self.certificate = certificate
        self.body = body
        self.fault = fault
        self.memo = memo
        self.claim: Any = None

    def first(self, name: bytes) -> bytes | None:
        """The first value of a field, for what must be known even of a request that is not admitted."""
        for key, value in self.headers:
            if key == name:
                return value
        return None


class Head:
    """What a request's header fields, and the connection they came on, say. Only `edge.intake` makes one; nobody changes it.

    `host` is lower case without port, `authority` as sent (lower case). `client` is the client's address, normalised, by the
    one believed family; `secure` is the client's scheme as believed; `fields` maps a name to its first value, `repeated` names
    those that came more than once; `forwarded` are the fields of the believed family. `certificate` is the client
    certificate's DER, from our listener or a believed proxy. `memo` is Inbound's.
    """

    __slots__ = (
        "authority", "certificate", "client", "fields", "forwarded", "headers", "host", "listener", "memo", "peer", "repeated",
        "secure", "trusted", "version",
    )  # fmt: skip

    def __init__(
        self,
        *,
        host: str,
        authority: str,
        version: str,
        headers: list[Field],
        fields: dict[bytes, bytes],
        repeated: frozenset[bytes],
        peer: str,
        client: str,
        secure: bool,
        trusted: bool,
        forwarded: tuple[Field, ...],
        certificate: bytes | None,
        listener: str,
        memo: dict[object, Any] | None = None,
    ) -> None:
        self.host = host
        self.authority = authority
        self.version = version
        self.headers = headers
        self.fields = fields
        self.repeated = repeated
        self.peer = peer
        self.client = client
        self.secure = secure
        self.trusted = trusted
        self.forwarded = forwarded
        self.certificate = certificate
        self.listener = listener
        self.memo = memo


class Request:
    """An admitted request. Only `edge.intake` makes one; nobody changes it.

    `path` is the canonical path (CONTRACT 2), ASCII; `segments` its parts after the first slash, still escaped; `query`
    the raw query byte for byte, None when there is no `?`. Requests that say the same in their header fields share `head`.
    """

    __slots__ = ("body", "head", "method", "path", "query", "segments")

    def __init__(self, head: Head, method: str, path: str, segments: tuple[str, ...], query: bytes | None, body: Body) -> None:
        self.head = head
        self.method = method
        self.path = path
        self.segments = segments
        self.query = query
        self.body = body


class Outbound:
    """A request prepared for the upstream; the injector and the transport are its last readers.

    `target` is path and query as they will stand on the wire. `secrets` are what an injector added, so that it can be kept out of
    the answer; `echoed` counts where the answer's head said any of it. `authority` is the Host field's value. `lines` are fields in
    wire form, each with its CRLF, judged by whoever rendered them; `headers` are those that a credential may have to join. Neither
    carries framing fields: the transport frames the body. `start` is the request line and the Host field in wire form, where they
    are rendered already, see `retarget`. `interim` takes an interim answer's head to the client. `principal` is who asks, its key.
    """

    __slots__ = (
        "authority", "body", "echoed", "head", "headers", "interim", "lines", "method", "principal", "request", "secrets",
        "start", "target",
    )  # fmt: skip

    def __init__(self, method: str, target: bytes, headers: list[Field], body: Body, request: Request) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.request = request
        self.authority = b""
        self.start = b""
        self.principal = ""
        self.lines: list[bytes] = []
        self.secrets: tuple[Echoes, ...] = ()
        self.echoed = 0
        self.head = method == "HEAD"
        self.interim: Callable[[bytes], None] | None = None

    def retarget(self, target: bytes) -> None:
        """Ask for something else."""
        self.target = target
        self.start = b""

    def ask_plainly(self, dropped: Collection[bytes]) -> None:
        """Ask for an answer in no coding, without the fields that are `dropped` (RFC 9110 12.5.3)."""
        kept = [field for field in fields_of(b"".join(self.lines)) if field[0] not in dropped]
        self.lines = [lines([*kept, (b"accept-encoding", b"identity")])]


NO_FIELDS: Final = split(())


class Response:
    """An answer, ours or an upstream's. The body is `body`, or `stream` when that is not None.

    Its header fields are `shape` and `values`, then `lines`: fields in wire form, each with its CRLF, judged by whoever rendered
    them. `abandon` ends an unfinished stream and its upstream connection; calling it twice, or after
    the end, is harmless. `own` tells an answer the gateway made from one it passed on. `close` asks for the end of the client's
    connection. `address` is the upstream address that answered, `retries` how often the request was sent again. `memo`, where
    the head came from this upstream before, is what stages concluded from it, each under its own key and MOST_NOTED in all.
    `switched` is the upstream's connection behind a 101. `trailers` are there when `stream` is at its end.
    """

    __slots__ = (
        "abandon", "address", "body", "close", "lines", "memo", "own", "retries", "shape", "status", "stream", "switched",
        "trailers", "values",
    )  # fmt: skip

    def __init__(
        self,
        status: int,
        headers: Sequence[Field],
        body: bytes = b"",
        *,
        stream: AsyncIterator[bytes] | None = None,
        abandon: Callable[[], None] | None = None,
        own: bool = True,
        close: bool = False,
    ) -> None:
        self.status = status
        self.shape, self.values = split(headers) if headers else NO_FIELDS
        self.body = body
        self.stream = stream
        self.abandon = abandon
        self.own = own
        self.close = close
        self.address: str | None = None
        self.retries = 0
        self.lines: tuple[bytes, ...] = ()
        self.memo: dict[object, Any] | None = None
        self.switched: Switched | None = None
        self.trailers: Sequence[Field] = ()

    @classmethod
    def passed(cls, status: int, shape: Shape, values: Values) -> "Response":
        """An upstream's answer, to be passed on."""
        made = cls(status, ())
        made.shape, made.values, made.own = shape, values, False
        return made

    @property
    def headers(self) -> list[Field]:
        """All its fields, put together anew at each reading."""
        return [*zip(self.shape.names, self.values, strict=True), *fields_of(b"".join(self.lines))]
