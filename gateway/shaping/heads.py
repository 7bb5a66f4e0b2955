"""The head's part in shaping: what is asked of the upstream so that its answer can be read, and what its answer may still say.

What is told of a body that the client does not get (its length, its digests, its version) would tell of what was left out.
"""

from collections.abc import Callable
from typing import Final

from gateway.core.media import charsets, is_json, media_type
from gateway.core.message import Field, Outbound, Response
from gateway.shaping.events import Events
from gateway.shaping.faults import Unreadable
from gateway.shaping.lines import Lines
from gateway.shaping.plan import Plan
from gateway.shaping.rewriter import Rewriter
from gateway.shaping.styles import Styles

SAFE: Final = frozenset(("GET", "HEAD"))
PARTIAL: Final = frozenset(
    (b"range", b"if-range", b"a-im", b"accept-encoding", b"want-digest", b"want-content-digest", b"want-repr-digest")
)
CONDITIONAL: Final = frozenset((b"if-none-match", b"if-modified-since"))
"""On a read they would tell whether a guessed body is the right one; on a write they keep updates from getting lost."""
GONE: Final = frozenset(
    (
        b"content-length", b"content-md5", b"digest", b"content-digest", b"repr-digest", b"etag", b"accept-ranges",
        b"content-range", b"cache-control", b"expires", b"surrogate-control", b"cdn-cache-control", b"x-goog-hash",
    )
)  # fmt: skip
DIGESTS: Final = (b"x-amz-checksum-", b"x-checksum-")
ABOUT_BODY: Final = b"content-"
UNSTORED: Final = (b"cache-control", b"private, no-store")
"""What one may see another may not: no cache keeps it."""
PIECES: Final = frozenset((206, 226))
CHARSETS: Final = frozenset(("utf-8", "utf8", "us-ascii"))
LINES: Final = frozenset(("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"))
EVENTS: Final = "text/event-stream"

Reader = Rewriter | Lines | Events
"""Takes a body in pieces and gives what may leave of it."""


def ask_plainly(outbound: Outbound) -> None:
    """Ask for a whole body in no coding, and for no interim answers: they would be at the client before the answer is judged."""
    outbound.interim = None
    outbound.ask_plainly(PARTIAL | CONDITIONAL if outbound.method in SAFE else PARTIAL)


def is_grpc(content_type: bytes) -> bool:
    """Whether a request speaks gRPC, whose answers are no JSON."""
    return content_type.strip().lower().startswith(b"application/grpc")


def reader_of(response: Response) -> Callable[[Plan, Styles], Reader]:
    """What reads such a body. Raises Unreadable where nothing does."""
    if response.status in PIECES:
        raise Unreadable("a part of a body")
    fields = list(zip(response.shape.names, response.values, strict=True))
    if any(name == b"content-encoding" and value.lower() != b"identity" for name, value in fields):
        raise Unreadable("an encoded body")
    types = [value.decode("latin-1") for name, value in fields if name == b"content-type"]
    if len(types) != 1 or "," in types[0]:
        raise Unreadable(f"{len(types)} content types")
    essence = media_type(types[0])
    if not CHARSETS.issuperset(charsets(types[0])):
        raise Unreadable("a body that is not in UTF-8")
    if is_json(essence):
        return Rewriter
    if essence in LINES:
        return Lines
    if essence == EVENTS:
        return Events
    raise Unreadable("a body that is not JSON")


def pruned(response: Response, *, with_body: bool = True) -> Response:
    """The same answer without its body, and with only what the head may still say. Trailers stay behind."""
    fields = list(zip(response.shape.names, response.values, strict=True))
    kept: list[Field] = [field for field in fields if is_kept(field[0]) and (with_body or not field[0].startswith(ABOUT_BODY))]
    made = Response(response.status, [*kept, UNSTORED], own=False, close=response.close)
    made.abandon = response.abandon
    made.address, made.retries = response.address, response.retries
    return made


def is_kept(name: bytes) -> bool:
    """Whether a field tells nothing of the body as it was."""
    return name not in GONE and not name.startswith(DIGESTS)
