"""The answer that is arriving on one upstream connection, read by httptools (only here): fields, framing, what is wrong with it.

What an upstream may send is bounded and judged here before anybody sees it (RFC 9112). Nothing here knows the connection, so that
one that ended is freed at once.
"""

import httptools

from gateway.core.message import Response
from gateway.core.shape import shape_as_sent
from gateway.upstream.head import BODILESS, HEAD_LIMIT, VERSIONS, binds_identity, fault_of, framing_of
from gateway.upstream.interim import interim
from gateway.upstream.owner import Owner


class Reading:
    """The callbacks of a connection's parser, and what came of them.

    `owner` waits for the answer, `bodiless` says that it has no body whatever its fields say, `seen` counts its bytes. `reply` is
    there once its head is in, `pieces` are of its body, `complete` tells that nothing is missing. `keep` says whether the
    connection may serve another request, `until_close` that the body ends with the connection. What ends the connection
    (`poisoned`, `fault`) needs no clearing for the next answer.
    """

    __slots__ = (
        "_names", "_parser", "_values", "bodiless", "complete", "fault", "keep", "owner", "pieces", "poisoned", "reply", "seen",
        "until_close",
    )  # fmt: skip

    def __init__(self) -> None:
        self.owner: Owner | None = None
        self.reply: Response | None = None
        self.seen = 0
        self._names, self._values, self.pieces = list[bytes](), list[bytes](), list[bytes]()
        self.bodiless = self.complete = self.keep = self.until_close = self.poisoned = False
        self.fault: str | None = None
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Read on."""
        self.seen += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if self.complete:
                self.poisoned = True
            else:
                self.fault = f"the answer is not HTTP/1.1: {error}"

    def renew(self) -> None:
        """Expect another answer behind one to HEAD: llhttp, which cannot be told where that ends, still waits for its body."""
        self._parser = httptools.HttpResponseParser(self)

    def end(self) -> None:
        """Nothing comes any more."""
        self._parser = None  # type: ignore[assignment]  # which refers to this

    # What the parser tells

    def on_message_begin(self) -> None:
        if self.complete:
            self.poisoned = True
        self._names, self._values = [], []

    def on_header(self, name: bytes, value: bytes) -> None:
        self._names.append(name)
        self._values.append(value)

    def on_headers_complete(self) -> None:
        # What arrives after the head is a trailer, and dropped: nobody behind us could tell it from a header.
        names, values, self._names, self._values = tuple(self._names), tuple(self._values), [], []
        parser = self._parser
        status = parser.get_status_code()
        if self.complete or (status < 200 and interim(self.owner, status, names, values)):
            return
        shape = shape_as_sent(names)
        framing = framing_of(shape)
        self.reply = Response.passed(status, shape, values)
        keep = parser.should_keep_alive()
        version = "1.1" if keep and not framing.persistence else parser.get_http_version()
        if not framing.plain or status > 599 or status < 200 or self.seen > HEAD_LIMIT or version not in VERSIONS:
            self.fault = fault_of(status, shape, values, version=version, seen=self.seen)
        bodiless = self.bodiless or status in BODILESS
        self.until_close = not (bodiless or framing.coded or framing.sized)
        self.keep = keep and not (framing.coded and bodiless) and not (framing.challenged and binds_identity(shape, values))
        self.complete = self.bodiless  # see `renew`

    def on_body(self, body: bytes) -> None:
        if self.complete:
            self.poisoned = True
        else:
            self.pieces.append(body)

    def on_message_complete(self) -> None:
        self.complete = self.reply is not None
