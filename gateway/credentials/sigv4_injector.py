"""Signs requests for AWS, last of all: what a client signed itself is taken away, what is sent is what is signed."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from hashlib import sha256
from typing import Final
from urllib.parse import unquote_plus

from gateway.core.decision import Permit
from gateway.core.errors import BadRequest
from gateway.core.message import Body, Field, Outbound, fields_of, lines
from gateway.core.reason import Reason
from gateway.credentials import sigv4
from gateway.credentials.sigv4_chunks import ChunkSigner, SignedChunks, Unchunked
from gateway.credentials.sigv4_keys import AwsKeys, KeySource
from gateway.scrub.needles import Needles

ONCE: Final = frozenset({"s3", "s3-outposts", "s3-object-lambda"})
"""Services that take the path as it is sent, and bodies in signed chunks."""
SETS: Final = frozenset(
    b"authorization x-amz-date x-amz-content-sha256 x-amz-security-token x-amz-decoded-content-length x-amz-trailer "
    b"x-amz-algorithm x-amz-credential x-amz-signature x-amz-signedheaders x-amz-expires x-amz-region-set "
    b"x-amz-s3session-token".split()
)
"""All that says something about a signature, in header fields and, but for the first, in the query of a signed URL."""
IN_QUERY: Final = frozenset(name.decode() for name in SETS) - {"authorization"}
FRAMING: Final = frozenset({b"x-amz-content-sha256", b"x-amz-decoded-content-length", b"x-amz-trailer"})
VERSION_2: Final = frozenset({"awsaccesskeyid", "signature", "expires"})
SIGNED: Final = frozenset({b"content-type", b"content-md5", b"content-encoding", b"range"})
"""Beside `host` and everything of `x-amz-`: no proxy on the way changes these, and they decide what is stored or read."""
CHUNKED: Final = b"aws-chunked"
UNSIGNED: Final = b"UNSIGNED-PAYLOAD"
STREAMING: Final = b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD"


class Whole:
    """A body that is here; implements core.message.Body."""

    __slots__ = ("length", "limit", "received", "whole")

    def __init__(self, content: bytes) -> None:
        self.whole: bytes | None = content
        self.length: int | None = len(content)
        self.limit = self.received = len(content)

    async def read(self, limit: int) -> bytes:
        return self.whole or b""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.whole or b""


class SigV4Injector:
    """Signs with AWS keys for one region and service.

    A body of up to `buffer` bytes is read whole and its hash signed. A longer one goes to Amazon S3 in signed chunks, or unsigned
    where `unsigned` allows it; to other services it does not go.
    """

    def __init__(
        self,
        name: str,
        keys: KeySource,
        *,
        region: str,
        service: str,
        buffer: int,
        unsigned: bool,
        now: Callable[[], float],
    ) -> None:
        self.name: str | None = name
        self.sets: frozenset[bytes] = SETS
        self.once = True
        self._keys = keys
        self._region = region.encode("ascii")
        self._service = service.encode("ascii")
        self._once = service in ONCE
        self._buffer = buffer
        self._unsigned = unsigned
        self._now = now
        self._derived: tuple[AwsKeys, bytes, bytes] | None = None

    def inject(self, outbound: Outbound, permit: Permit, frames: ChunkSigner | None = None) -> Awaitable[None] | None:
        """Raises DependencyDown without keys that count, BadRequest for a body that cannot be signed, or whose own frames are not
        signed as `frames` does."""
        self._keys.current(self._now())  # where there are none, the request is left as it is
        body, fields = outbound.body, [*fields_of(b"".join(outbound.lines)), *outbound.headers]
        if _is_framed(outbound, fields):
            return self._unframed(outbound, fields, frames)
        if body.length != 0 and body.whole is None:
            return self._carried(outbound, fields)
        self._sign(outbound, fields, _hash(body.whole or b""))
        return None

    async def _unframed(self, outbound: Outbound, fields: list[Field], frames: ChunkSigner | None) -> None:
        """A body that the client's own SDK framed: its content is signed anew, what followed it goes on."""
        said = outbound.request.head.fields
        announced = [name.strip().lower() for name in said.get(b"x-amz-trailer", b"").split(b",") if name.strip()]
        length = _decoded_length(said.get(b"x-amz-decoded-content-length", b""))
        body = Unchunked(outbound.body, length, announced, frames)
        fields = _coded(fields, CHUNKED, keep=False)
        if length > self._buffer:
            self._stream(outbound, fields, body, length)
            return
        content = await body.read(self._buffer)
        outbound.body = Whole(content)
        self._sign(outbound, fields + body.trailers, _hash(content))

    async def _carried(self, outbound: Outbound, fields: list[Field]) -> None:
        """A body that is not here yet: read and signed where it is short, else signed on its way."""
        body = outbound.body
        if body.length is not None and body.length > self._buffer:
            self._stream(outbound, fields, body, body.length)
            return
        try:
            content = await body.read(self._buffer)
        except BadRequest as error:
            raise (self._too_large() if error.reason is Reason.BODY_TOO_LARGE else error) from error
        self._sign(outbound, fields, _hash(content))

    def _stream(self, outbound: Outbound, fields: list[Field], body: Body, length: int) -> None:
        """A body that is longer than what is held: signed while it goes."""
        if not self._once:
            raise self._too_large()
        announced = body.announced if isinstance(body, Unchunked) else ()
        if self._unsigned and not announced:
            outbound.body = body
            self._sign(outbound, fields, UNSIGNED)
            return
        fields = [*_coded(fields, CHUNKED, keep=True), (b"x-amz-decoded-content-length", b"%d" % length)]
        if announced:
            fields.append((b"x-amz-trailer", b",".join(announced)))
        signer = self._sign(outbound, fields, STREAMING + b"-TRAILER" if announced else STREAMING)
        outbound.body = SignedChunks(body, length, signer, body if isinstance(body, Unchunked) and announced else None)

    def _sign(self, outbound: Outbound, fields: list[Field], payload: bytes) -> ChunkSigner:
        """Sign what is sent, and send what is signed; returns what signs the chunks of its body."""
        now = self._now()
        keys = self._keys.current(now)
        scope = sigv4.Scope(time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now)).encode("ascii"), self._region, self._service)
        fields = [*fields, (b"x-amz-date", scope.date), (b"x-amz-content-sha256", payload)]
        if keys.token:
            fields.append((b"x-amz-security-token", keys.token))
        outbound.retarget(sigv4.sent_form(_unsigned(outbound.target)))
        covered = [(b"host", outbound.authority), *(field for field in fields if _is_covered(field[0]))]
        request = sigv4.canonical(outbound.method.encode("ascii"), outbound.target, covered, payload, once=self._once)
        key = self._key(keys, scope)
        signed = sigv4.signature(key, sigv4.string_to_sign(scope, request.text))
        fields.append((b"authorization", sigv4.authorization(keys.id, scope, request.names, signed)))
        outbound.headers, outbound.lines = [], [lines(fields)]
        outbound.secrets += (Needles(signed, once=True), *keys.echoes)
        return ChunkSigner(key, scope, signed)

    def _key(self, keys: AwsKeys, scope: sigv4.Scope) -> bytes:
        """The derived key, made once a day and again when the keys are others."""
        known, day = self._derived, scope.date[:8]
        if known is None or known[0] is not keys or known[1] != day:
            known = self._derived = keys, day, sigv4.signing_key(keys.secret.reveal(), scope)
        return known[2]

    def _too_large(self) -> BadRequest:
        beyond = "" if self._once else f", and {self._service.decode()} takes no signed chunks"
        detail = f"{self.name}: a body of more than {self._buffer} bytes cannot be signed here{beyond}: raise `buffer`"
        return BadRequest(detail, reason=Reason.BODY_TOO_LARGE, close=True)


def _is_framed(outbound: Outbound, fields: list[Field]) -> bool:
    """Whether the body came in the framing of a client's own signature. Raises BadRequest where that cannot be told."""
    head = outbound.request.head
    framed = head.fields.get(b"x-amz-content-sha256", b"").startswith(b"STREAMING-")
    coded = any(CHUNKED in value.lower() for name, value in fields if name == b"content-encoding")
    if not framed and not coded:
        return False
    # Content-Encoding alone would leave open whether frames or content are stored.
    if not framed or not head.repeated.isdisjoint(FRAMING):
        raise BadRequest("aws-chunked: announced in one place only, or twice", close=True)
    return True


def _decoded_length(value: bytes) -> int:
    if not value.isdigit() or len(value) > 15:
        raise BadRequest("aws-chunked: x-amz-decoded-content-length is missing", close=True)
    return int(value)


def _coded(fields: list[Field], coding: bytes, *, keep: bool) -> list[Field]:
    """The fields with `coding` as the last of the content's codings, or without it."""
    listed = [each.strip() for name, value in fields if name == b"content-encoding" for each in value.split(b",")]
    codings = [each for each in listed if each and each.lower() != coding] + ([coding] if keep else [])
    rest = [field for field in fields if field[0] != b"content-encoding"]
    return [*rest, (b"content-encoding", b",".join(codings))] if codings else rest


def _is_covered(name: bytes) -> bool:
    return name in SIGNED or name.startswith(b"x-amz-")


def _unsigned(target: bytes) -> bytes:
    """The target without what a signed URL of the client's had in its query."""
    path, _, query = target.partition(b"?")
    named = [(_name(piece), piece) for piece in query.split(b"&") if piece]
    dropped = IN_QUERY | VERSION_2 if any(name == "awsaccesskeyid" for name, _ in named) else IN_QUERY
    return path + b"?" + b"&".join(piece for name, piece in named if name not in dropped)


def _name(piece: bytes) -> str:
    return unquote_plus(piece.partition(b"=")[0].decode("latin-1"), errors="replace").lower()


def _hash(content: bytes) -> bytes:
    return sha256(content).hexdigest().encode("ascii") if content else sigv4.NOTHING
