"""Files that clients upload, as a body or in multipart/form-data: their kind by their bytes, their size, their names.

A body is held until it is judged, so that nothing of a refused one reaches the upstream; what cannot be inspected is refused.
"""

from typing import Final

from gateway.config.validation import suggest
from gateway.core.errors import BadRequest
from gateway.core.media import media_type
from gateway.core.message import Request
from gateway.core.reason import Reason
from gateway.edge import apart
from gateway.edge.formats import is_safe_filename
from gateway.edge.magic import KINDS
from gateway.edge.media import demand_plain, presented
from gateway.edge.model import Upload
from gateway.edge.multipart import Malformed, Part, boundary, disposition, parts
from gateway.edge.refusal import invalid

MULTIPART: Final = "multipart/form-data"
OVERHEAD: Final = 64 * 1024
"""Bytes beside one file of the largest size, where the route states no `body_limit`: fields and heads of parts."""
MOST_FIELD: Final = 64 * 1024
TEXT: Final = frozenset(("", "text/plain", "text/plain; charset=utf-8", "text/plain;charset=utf-8"))


class Uploads:
    """What one route takes as files."""

    __slots__ = ("_checks", "_config", "limit")

    def __init__(self, config: Upload, limit: int | None) -> None:
        """Raises ValueError for a type that is not known by its bytes."""
        for name in config.types:
            if name not in KINDS:
                hint = suggest(name, list(KINDS)) or f"known are {', '.join(KINDS)}"
                raise ValueError(f"upload.types: files of '{name[:80]}' cannot be told by their bytes ({hint})")
        self._checks = {name: KINDS[name] for name in config.types}
        self._config = config
        self.limit = config.max_size + OVERHEAD if limit is None else limit
        """Bytes that a body may have."""

    def takes(self, request: Request) -> bool:
        """Whether a body says that it is a file, or holds some. Raises BadRequest media-type."""
        essence = media_type(presented(request.head))
        return essence == MULTIPART or essence in self._checks

    async def validate(self, request: Request) -> None:
        """Raises BadRequest: media-type, body-too-large or body-invalid."""
        head, body = request.head, request.body
        demand_plain(head)
        value = presented(head)
        try:
            separator = boundary(value) if media_type(value) == MULTIPART else None
            name = self._named(request) if separator is None else ""
        except Malformed as error:
            raise invalid("upload", [("", str(error))]) from error
        content = await body.read(body.limit)
        if separator is None:
            await self._judge(Part("", name, media_type(value), content), "")
            return
        try:
            found = parts(content, separator, self._config.parts)
        except Malformed as error:
            raise invalid("upload", [("", str(error))]) from error
        for number, part in enumerate(found):
            await self._judge(part, f"/{number}")

    def _named(self, request: Request) -> str | None:
        """The name that a file by itself is sent with, None for none. Raises Malformed."""
        raw = request.head.fields.get(b"content-disposition")
        if raw is None:
            return None
        if b"content-disposition" in request.head.repeated:
            raise Malformed("disposition")
        return disposition(raw.decode("utf-8", "replace"))[1].get("filename")

    async def _judge(self, part: Part, place: str) -> None:
        """One file or field, at a place among the parts. Raises BadRequest."""
        if place and part.file_name is None:
            self._judge_field(part, place)
            return
        if part.file_name == "" and not part.content:
            return  # a file input that was left empty
        if part.file_name is not None and self._config.file_names == "safe" and not is_safe_filename(part.file_name):
            raise invalid("upload", [(place, "filename")])
        if len(part.content) > self._config.max_size:
            raise BadRequest(f"max_size={self._config.max_size}", reason=Reason.BODY_TOO_LARGE, close=True)
        check = self._checks.get(media_type(part.media_type))
        if check is None:
            raise BadRequest("a file of a type that is not listed", reason=Reason.MEDIA_TYPE)
        if not await apart.read(len(part.content), lambda: check(part.content)):
            raise invalid("upload", [(place, "content")])

    def _judge_field(self, part: Part, place: str) -> None:
        if part.media_type not in TEXT:
            raise invalid("upload", [(place, "type")])
        if len(part.content) > MOST_FIELD:
            raise invalid("upload", [(place, "maxLength")])
        if not KINDS["text/plain"](part.content):
            raise invalid("upload", [(place, "encoding")])
