"""The way to an upstream whose answers mint credentials: the client gets placeholders. Whatever is not understood is withheld."""

import asyncio
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, final

from gateway.core.errors import Withheld
from gateway.core.media import charsets
from gateway.core.message import NO_BODY, Field, Outbound, Response, fields_of
from gateway.core.ports import Transport
from gateway.credentials.captured import keys, placeholder
from gateway.credentials.captured.documents import Document, Read, Steps, Unreadable, reader, steps_of
from gateway.credentials.captured.model import Capture
from gateway.credentials.captured.used import Used
from gateway.scrub.needles import Needles
from gateway.scrub.scrubber import masked, spans_in

COUNTED: Final = "gateway.credentials.captured"
BODILESS: Final = (204, 205, 304)
PIECES: Final = (206, 226)
CHARSETS: Final = frozenset(("utf-8", "utf8", "us-ascii"))
SHORTEST: Final = 16
"""Signs of a credential; what is shorter stands in every other text, and is masked nowhere."""
VALUE: Final = re.compile(r"[!-~]+", re.ASCII)
MUCH: Final = 64 * 1024
"""Bytes beyond which a body is read in another thread."""
RELATIVE: Final = 1_000_000_000
"""Numbers below are seconds from now, others Unix times: none of the latter is of before 2001."""
KEPT: Final = frozenset(
    (
        b"content-type", b"content-language", b"date", b"retry-after", b"www-authenticate", b"vary", b"warning",
        b"x-request-id", b"x-github-request-id", b"x-amzn-requestid", b"x-slack-req-id",
    )
)  # fmt: skip
RATES: Final = (b"ratelimit", b"x-ratelimit-")
"""Of the rest of a head, redirects and cookies carry credentials as well, and digests tell of a body as it was."""
UNSTORED: Final[Field] = (b"cache-control", b"no-store")
Values = dict[Steps, str]
"""Credentials by where they stand."""


@dataclass(frozen=True, slots=True)
class Where:
    """Whose answers these are."""

    route: str
    upstream: str


@final
class Capturing:
    """Implements core.ports.Transport in front of a route's own. Other routes have nothing of it."""

    def __init__(self, transport: Transport, model: Capture, where: Where, used: Used) -> None:
        self._transport = transport
        self._model = model
        self._where = where
        self._used = used
        self._required = tuple(steps_of(pointer) for pointer in model.fields)
        self._wanted = (*self._required, *(steps_of(pointer) for pointer in model.optional))
        self._triples = tuple(tuple((*steps_of(pointer), name) for name in keys.MEMBERS) for pointer in model.aws_keys)
        self._expires = None if model.expires is None else steps_of(model.expires)
        ends = [(*triple[0][:-1], keys.EXPIRATION) for triple in self._triples]
        ends += [] if self._expires is None else [self._expires]
        self._read: Read = reader(model.format, [*self._wanted, *(steps for triple in self._triples for steps in triple), *ends])

    async def upgrade(self, outbound: Outbound, protocols: tuple[bytes, ...]) -> Response:
        """Raises Withheld: nobody looks for documents in another protocol."""
        raise Withheld("capture: an upgraded connection cannot be captured from")

    async def send(self, outbound: Outbound) -> Response:
        """Raises Withheld for an answer that cannot be captured from, and what breaks the answer; its upstream is let go then."""
        outbound.interim = None  # they would be at the client before the answer is judged
        response = await self._transport.send(outbound)
        is_made = False
        try:
            made = await self._made(response, outbound)
            is_made = True
        except Unreadable as error:
            self._used.metrics.count(COUNTED, 1, route=self._where.route, outcome="withheld")
            raise Withheld(f"capture: {error}") from None
        finally:
            if not is_made and response.abandon is not None:
                response.abandon()
        return made

    async def _made(self, response: Response, outbound: Outbound) -> Response:
        if outbound.head or response.status in BODILESS:
            if response.abandon is not None:
                response.abandon()
            made = headed(response, ())
            made.stream = NO_BODY if outbound.head else None
            return made
        succeeded = 200 <= response.status < 300
        try:
            document = await self._document(response)
            found = self._values(document, self._wanted, self._required if succeeded else ())
            triples = self._held(document, required=succeeded)
        except Unreadable:
            if succeeded:
                raise
            if response.abandon is not None:
                response.abandon()
            return headed(response, ())
        return await self._replaced(response, document, found, triples, outbound)

    async def _document(self, response: Response) -> Document:
        """The answer, understood. Raises Unreadable."""
        if response.status in PIECES:
            raise Unreadable("a part of a body")
        for name, value in zip(response.shape.names, response.values, strict=True):
            if name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
                raise Unreadable("a body in a content coding")
            if name == b"content-type" and not CHARSETS.issuperset(charsets(value.decode("latin-1"))):
                raise Unreadable("a body that is not in UTF-8")
        body = await gathered(response, self._model.max_size)
        return await asyncio.to_thread(self._read, body) if len(body) > MUCH else self._read(body)

    def _held(self, document: Document, *, required: bool) -> list[Values]:
        """The AWS keys that are to be captured, each set of them whole. Raises Unreadable."""
        there = [triple for triple in self._triples if any(document.get(steps) is not None for steps in triple)]
        if required and self._triples and not there:
            raise Unreadable("no keys where `aws_keys` says")
        return [self._values(document, triple, triple) for triple in there]

    def _values(self, document: Document, wanted: Sequence[Steps], required: Sequence[Steps]) -> Values:
        """What is to be captured. Raises Unreadable."""
        found: Values = {}
        for steps in wanted:
            value = document.get(steps)
            if value is None and steps not in required:
                continue
            if not isinstance(value, str) or not SHORTEST <= len(value) <= placeholder.MOST or not VALUE.fullmatch(value):
                raise Unreadable(f"no credential at /{'/'.join(steps)}")
            found[steps] = value
        return found

    async def _replaced(
        self, response: Response, document: Document, found: Values, triples: list[Values], outbound: Outbound
    ) -> Response:
        """The answer with placeholders, and without any other trace of what they stand for."""
        every = {steps: value for each in (found, *triples) for steps, value in each.items()}
        if not every:
            return headed(response, (), document.written())
        needles = (Needles(*(value.encode("ascii") for value in every.values())),)
        ends = [await self._sealed(document, triple, outbound) for triple in triples]
        if found:
            ends.append(self._ends(document, self._expires))
            where = placeholder.place(self._model.spend_with, outbound.principal)
            for steps, value in found.items():
                document.put(steps, await placeholder.sealed(self._used.ring, where, value.encode("ascii"), ends[-1]))
        body = document.written()
        made = headed(response, needles, masked(body, spans_in(body, needles)))
        self._told(every, needles[0], max(ends), outbound)
        return made

    async def _sealed(self, document: Document, triple: Values, outbound: Outbound) -> int:
        """Put placeholders in place of AWS keys; when they end, Unix time. Raises Unreadable."""
        expires = self._ends(document, (*next(iter(triple))[:-1], keys.EXPIRATION))
        where = keys.place(self._model.spend_with, outbound.principal)
        try:
            made = await keys.sealed(self._used.ring, where, tuple(triple.values()), expires)
        except ValueError as error:
            raise Unreadable(str(error)) from None
        for steps, value in zip(triple, made, strict=True):
            document.put(steps, value)
        return expires

    def _ends(self, document: Document, stating: Steps | None) -> int:
        """When placeholders end, Unix time. Raises Unreadable where the answer should say and does not."""
        now = self._used.clock.now()
        most = now + self._model.max_age
        if stating is None:
            return int(most)
        stated = moment(document.get(stating), now)
        if stated is None or stated <= now:
            raise Unreadable(f"no time to come at /{'/'.join(stating)}")
        return int(min(stated, most))

    def _told(self, found: Values, needles: Needles, expires: int, outbound: Outbound) -> None:
        self._used.metrics.count(COUNTED, len(found), route=self._where.route, outcome="captured")
        issuer, subject = parted(outbound.principal)
        request_id = dict(fields_of(b"".join(outbound.lines))).get(b"x-request-id", b"")
        self._used.tell(
            "credential.captured",
            request_id=request_id.decode("latin-1") or None,
            issuer=issuer,
            subject=subject,
            route=self._where.route,
            upstream=self._where.upstream,
            credential=self._model.spend_with,
            fields=["/" + "/".join(steps) for steps in found],
            fingerprint=needles.fingerprint,
            expires_at=datetime.fromtimestamp(expires, UTC).isoformat(timespec="seconds"),
        )


async def gathered(response: Response, most: int) -> bytes:
    """The whole body. Raises Unreadable for a longer one, and what broke it."""
    body = bytearray(response.body)
    if response.stream is not None:
        async for piece in response.stream:
            body += piece
            if len(body) > most:
                break
    if len(body) > most:
        raise Unreadable(f"more than {most} bytes: see `max_size`")
    return bytes(body)


def headed(response: Response, needles: Sequence[Needles], body: bytes = b"") -> Response:
    """An answer with another body, and only what the head may still say. Trailers stay behind."""
    fields = [field for field in zip(response.shape.names, response.values, strict=True) if is_kept(field[0])]
    for each in needles:
        fields = [(name, each.replaced(value)) for name, value in fields if not each.in_name(name)]
    made = Response(response.status, [*fields, UNSTORED], body, own=False, close=response.close)
    made.abandon, made.address, made.retries = response.abandon, response.address, response.retries
    return made


def is_kept(name: bytes) -> bool:
    """Whether a field may pass."""
    return name in KEPT or name.startswith(RATES)


def moment(stated: object, now: float) -> float | None:
    """A Unix time, however it is stated: see `model.Capture.expires`. None for what is no time."""
    if isinstance(stated, str) and stated.isascii() and stated.isdigit() and len(stated) <= 12:
        stated = int(stated)
    if isinstance(stated, int | float) and not isinstance(stated, bool) and math.isfinite(stated):
        return now + stated if stated < RELATIVE else float(min(stated, 1e12))
    try:
        read = datetime.fromisoformat(stated if isinstance(stated, str) else "")
        return None if read.tzinfo is None else read.timestamp()
    except (ValueError, OverflowError):
        return None


def parted(principal: str) -> tuple[str, str]:
    """Issuer and id of a principal's key."""
    size, _, rest = principal.partition(":")
    return rest[: int(size)], rest[int(size) + 1 :]
