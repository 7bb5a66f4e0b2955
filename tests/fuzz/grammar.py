"""Conversations to try: well-formed messages, wrong in places, and cut anywhere into the pieces they arrive in."""

import re
from dataclasses import dataclass

from hypothesis import strategies as st

METHODS = (b"GET", b"GET", b"GET", b"POST", b"PUT", b"HEAD", b"DELETE", b"OPTIONS", b"PATCH", b"PROPFIND", b"CONNECT", b"TRACE")
TARGETS = (
    b"/public/a", b"/public/a", b"/public/a?x=1&y=%20", b"/public/%61", b"/public/a/b;c=d", b"/public/a?", b"/public/%2e%2e/a",
    b"/public//a", b"/admin/a", b"http://gw.test/public/a?b", b"http://other/public/a", b"*", b"/public/a#b", b"/", b"gw.test:443",
)  # fmt: skip
FIELDS = (
    b"Host: gw.test", b"Host: gw.test", b"X-A: b", b"x-a:c", b"X-B:  two words \t", b"X-Empty:", b"Accept: */*", b"Cookie: a=b; c=d",
    b"Connection: close", b"Connection: keep-alive", b"Connection: X-A", b"connection: x-b, upgrade", b"Upgrade: h2c", b"TE: trailers",
    b"Expect: 100-continue", b"Content-Type: text/plain", b"Via: 1.1 other", b"X-Gateway-Subject: admin", b"X-Forwarded-For: 1.2.3.4",
    b"Keep-Alive: timeout=5", b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", b"X-High: \xe4\xff",
    b"Max-Forwards: 3", b"X_Gateway_Subject: admin", b"Trailer: X-T", b"Range: bytes=0-1", b"X-Obs: a\r\n b", b"Content-Length : 5",
)  # fmt: skip
SCRAPS = (
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"\t", b":", b"\0", b"\x0b", b"\x7f", b"\x80", b"0", b"5", b"0\r\n\r\n", b"0\r\n", b";", b"=", b'"',
    b",", b"chunked", b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: other\r\n", b"close",
    b"HTTP/1.1", b"HTTP/1.0", b"GET /public/hidden HTTP/1.1\r\nHost: gw.test\r\n\r\n", b"+", b"-", b"x", b"_", b"%", b"\r\n ", b"ffffffffffffffff",
)  # fmt: skip
BODIES = (b"", b"hello", b"\r\n\r\n", b"0\r\n\r\n", b"GET /public/hidden HTTP/1.1\r\nHost: gw.test\r\n\r\n", b"x" * 700)
EXTENSIONS = (b"", b"", b"", b";a", b";a=b", b' ; a = "b;\\"c"', b";", b";\t")
TRAILERS = (b"", b"", b"X-T: u\r\n", b"Content-Length: 9\r\n", b"X-T:\r\n")
FOLLOWER = b"GET /public/follower HTTP/1.1\r\nHost: gw.test\r\n\r\n"
LONGEST = 4000


@dataclass
class Mutation:
    """A change at a place: `scrap` put in, over, or instead of what stands there; or bytes doubled or taken out."""

    kind: int
    place: int
    scrap: bytes
    size: int

    def made(self, data: bytes) -> bytes:
        at = self.place % (len(data) + 1)
        end = at + self.size
        return (
            data[:at] + self.scrap + data[at:],
            data[:at] + self.scrap + data[at + len(self.scrap) :],
            data[:at] + self.scrap + data[end:],
            data[:at] + data[end:],
            data[:end] + data[at:],
        )[self.kind]


MUTATIONS = st.builds(
    Mutation,
    kind=st.integers(0, 4),
    place=st.integers(0, LONGEST),
    scrap=st.sampled_from(SCRAPS) | st.binary(min_size=1, max_size=3),
    size=st.integers(0, 12),
)


@st.composite
def mutated(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """The same, with up to three changes; often with none."""
    data = draw(whole)
    for mutation in draw(st.lists(MUTATIONS, max_size=3)):
        data = mutation.made(data)[:LONGEST]
    return data


@st.composite
def chunks(draw: st.DrawFn) -> bytes:
    """A chunked body, or nearly one."""
    pieces = draw(st.lists(st.sampled_from(BODIES), max_size=3))
    extension = draw(st.sampled_from(EXTENSIONS))
    body = b"".join(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces if piece)
    return body + b"0" + extension + b"\r\n" + draw(st.sampled_from(TRAILERS)) + b"\r\n"


@st.composite
def framed(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """The fields that frame a body, and the body."""
    kind = draw(st.sampled_from(("none", "none", "length", "chunked", "lying")))
    if kind == "none":
        return b"", b""
    if kind == "chunked":
        return b"Transfer-Encoding: chunked\r\n", draw(chunks())
    body = draw(st.sampled_from(BODIES))
    return b"Content-Length: %d\r\n" % (len(body) if kind == "length" else draw(st.integers(0, 9))), body


@st.composite
def heads(draw: st.DrawFn) -> tuple[bytes, bytes, bytes]:
    """Method, and all fields but those of the framing; the target is left open."""
    fields = [b"Host: gw.test", *draw(st.lists(st.sampled_from(FIELDS), max_size=4))]
    version = draw(st.sampled_from((b"1.1",) * 9 + (b"1.0",)))
    return draw(st.sampled_from(METHODS)), version, b"".join(field + b"\r\n" for field in fields)


@dataclass
class Conversation:
    """`earlier` are requests that each get their answer first; then `stream` comes in `pieces`."""

    earlier: list[bytes]
    stream: bytes
    cuts: list[int]
    early: bool
    """Whether the upstream answers as soon as it has a head."""

    @property
    def pieces(self) -> list[bytes]:
        return split(self.stream, self.cuts)

    @property
    def said(self) -> bytes:
        return b"".join(self.earlier) + self.stream


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    """`data` cut at these places, wherever they fall."""
    places = sorted({cut % (len(data) or 1) for cut in cuts} - {0})
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True) if start < end]


CUTS = st.lists(st.integers(0, LONGEST), max_size=5)


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    """One client's connection."""
    method, version, fields = draw(heads())
    plain = b"GET %b HTTP/1.1\r\n" + fields + b"\r\n"
    earlier = [plain % target for target in draw(st.lists(st.sampled_from(TARGETS[:5]), max_size=3))]
    wanted = []
    for _ in range(draw(st.integers(1, 3))):
        framing, body = draw(framed())
        target = draw(st.sampled_from(TARGETS))
        message = b"%b %b HTTP/%b\r\n%b%b\r\n%b" % (method, target, version, fields, framing, body)
        # Twice the same: what is remembered of the first must mean the same for the second.
        wanted += [message] * draw(st.integers(1, 2))
        if draw(st.booleans()):
            wanted.append(plain % target)
    stream = draw(mutated(st.just(b"".join(wanted))) | mutated(st.just(b"".join(wanted))) | st.binary(max_size=200))
    stream += FOLLOWER
    cuts = draw(CUTS)
    if draw(st.booleans()):
        cuts += [found.end() for found in re.finditer(b"\r\n\r\n", stream)]
    return Conversation(earlier, stream, cuts, draw(st.booleans()))


STATUSES = (
    b"200 OK", b"200 OK", b"200 OK", b"404 Not Found", b"204 No Content", b"304 Not Modified", b"302 Found", b"500 ", b"201", b"206 Partial",
    b"100 Continue", b"103 Early Hints", b"101 Switching Protocols", b"099 x", b"600 x", b"999 x", b"2000 OK", b"20 OK", b"401 No",
)  # fmt: skip
ANSWER_FIELDS = (
    b"X-A: b", b"x-a:c", b"X-B:  two words \t", b"X-Empty:", b"Date: Sun, 22 Nov 2026 00:00:00 GMT", b"Content-Type: text/plain",
    b"Set-Cookie: a=b; Path=/", b"Connection: close", b"Connection: keep-alive", b"Connection: X-A", b"Keep-Alive: timeout=5", b"Server: x",
    b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"Location: /a", b"X-High: \xe4\xff", b"X-A: a\r\n b",
    b"WWW-Authenticate: Negotiate", b"Upgrade: h2c", b"Content-Length : 5", b"Proxy-Connection: close", b'ETag: "x"', b"Trailer: X-T",
)  # fmt: skip


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """One answer, perhaps with an interim one before it."""
    version = draw(st.sampled_from((b"1.1",) * 9 + (b"1.0",)))
    fields = b"".join(field + b"\r\n" for field in draw(st.lists(st.sampled_from(ANSWER_FIELDS), max_size=4)))
    framing, body = draw(framed())
    interim: bytes = draw(
        st.sampled_from((b"",) * 6 + (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n"))
    )
    return interim + b"HTTP/%b %b\r\n%b%b\r\n%b" % (version, draw(st.sampled_from(STATUSES)), fields, framing, body)


@dataclass
class Exchange:
    """A request and what comes back. The answer before is `usual`, and comes `before` times; somebody else asks in the midst or after."""

    method: bytes
    before: int
    usual: bytes
    answer: bytes
    cuts: list[int]
    closes: bool
    meanwhile: bool

    @property
    def pieces(self) -> list[bytes]:
        return split(self.answer, self.cuts)


@st.composite
def exchanges(draw: st.DrawFn) -> Exchange:
    """One exchange with an upstream."""
    usual = b"HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 5\r\n\r\nhello"
    one = draw(st.sampled_from((answers(), answers(), st.just(usual))))
    whole = draw(mutated(one) | mutated(one) | st.binary(max_size=200))
    behind = draw(st.sampled_from((b"",) * 5 + (usual, b"\r\n", b"x")))
    method = draw(st.sampled_from((b"GET", b"GET", b"HEAD", b"POST")))
    return Exchange(method, draw(st.integers(0, 3)), usual, whole + behind, draw(CUTS), draw(st.booleans()), draw(st.booleans()))
