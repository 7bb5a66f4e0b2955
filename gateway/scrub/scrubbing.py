"""An upstream's answer without what an injector put into the request; what cannot be looked into is withheld."""

from functools import partial
from typing import Final

from gateway.core.echoes import Echoed
from gateway.core.errors import Withheld
from gateway.core.exchange import Exchange
from gateway.core.media import charsets
from gateway.core.message import Outbound, Response
from gateway.core.ports import Metrics
from gateway.core.shape import Shape, conclude, remember
from gateway.scrub.frames import Frames
from gateway.scrub.scrubber import Scrubber, masked, spans_in
from gateway.scrub.stream import ScrubbedStream

COUNTED: Final = "gateway.credential.echoes"
CODINGS: Final = frozenset((b"content-encoding", b"grpc-encoding", b"connect-content-encoding"))
LEGIBLE: Final = (
    "utf-8", "utf8", "us-ascii", "ascii", "iso-8859-", "iso8859-", "latin", "windows-12", "cp12", "koi8", "utf-16", "gb", "big5",
    "shift_jis", "shift-jis", "sjis", "euc-", "binary",
)  # fmt: skip
"""Beginnings of the character encodings in which a secret is found: those that write ASCII as ASCII, and UTF-16."""


class Kind:
    """Where among the fields of a shape it stands how a body is to be read."""

    __slots__ = ("codings", "plain", "types")

    def __init__(self, shape: Shape) -> None:
        names = shape.names
        self.codings = [place for place, name in enumerate(names) if name in CODINGS]
        self.types = [place for place, name in enumerate(names) if name == b"content-type"]
        self.plain = not self.codings and not self.types


class Scrubbing:
    """Looks through the answers of one route whose credential was injected.

    `bodies` says whether beyond their heads, `coded` that what is in a coding passes unseen.
    """

    __slots__ = ("_bodies", "_coded", "_count", "_kinds", "_types")

    def __init__(self, metrics: Metrics, bodies: bool = True, coded: bool = False) -> None:
        self._count = metrics.count
        self._bodies = bodies
        self._coded = coded
        self._kinds: dict[Shape, Kind] = {}
        self._types: dict[bytes, bool] = {}

    def scrub(self, response: Response, outbound: Outbound, exchange: Exchange) -> None:
        """Leave nothing of what was injected in the answer. Raises Withheld; its upstream is let go then."""
        if outbound.echoed:
            self._told(outbound, exchange, 0)
        if not self._bodies:
            return
        body = response.body
        if response.stream is not None or response.switched is not None:
            self._follow(response, outbound, exchange)
        elif body:
            self._judge(response)
            for each in outbound.secrets:
                if each.occur(body, each.in_bodies):
                    spans = spans_in(body, outbound.secrets)
                    response.body = masked(body, spans)
                    self._told(outbound, exchange, len(spans))
                    break

    def _follow(self, response: Response, outbound: Outbound, exchange: Exchange) -> None:
        """Look through what is still to come."""
        looked, told = [each for each in outbound.secrets if each.in_bodies], partial(self._told, outbound, exchange)
        if response.stream is not None:
            self._judge(response)
        if looked and response.switched is not None:
            response.switched.scrub = Frames(looked, told).feed
        elif looked and response.stream is not None:
            response.stream = ScrubbedStream(response.stream, Scrubber(looked), told)

    def _judge(self, response: Response) -> None:
        """Raises Withheld where the body cannot be looked into."""
        shape, values = response.shape, response.values
        kind = self._kinds.get(shape) or conclude(self._kinds, shape, Kind(shape))
        if kind.plain:
            return
        for place in kind.types:
            value = values[place]
            legible = self._types.get(value)
            if legible is None:
                legible = remember(self._types, value, is_legible(value))
            if not legible:
                self._withhold(response, "in an encoding of characters that cannot be looked into")
        if (
            kind.codings
            and not self._coded
            and any(values[place].strip().lower() not in (b"", b"identity") for place in kind.codings)
        ):
            self._withhold(response, "in a content coding that was not asked for")

    def _withhold(self, response: Response, why: str) -> None:
        if response.abandon is not None:
            response.abandon()
        self._count(COUNTED, 1, place="unseen")
        raise Withheld(f"the answer to a request with an injected credential is {why}: see the upstream's scrub")

    def _told(self, outbound: Outbound, exchange: Exchange, found: int) -> None:
        """So many were masked in a body, and in the head what `outbound` says."""
        head = outbound.echoed
        if not (head or found):
            return
        echoed = exchange.echoed = exchange.echoed or Echoed(outbound.secrets)
        if head > echoed.head:
            self._count(COUNTED, head - echoed.head, place="head")
            echoed.head = head
        if found:
            self._count(COUNTED, found, place="body")
            echoed.body += found


def is_legible(content_type: bytes) -> bool:
    """Whether all that a content type says of characters lets secrets be found in the body."""
    return all(charset.startswith(LEGIBLE) for charset in charsets(content_type.decode("latin-1")))
