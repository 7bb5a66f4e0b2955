"""What a file is, by its first bytes and by how it ends: what its name or Content-Type says is only a claim.

A kind is recognised where it begins with its signature and, where its format says so, ends where the file ends: what hides
behind the end of an image is another file to somebody else (GIFAR, PNG with a ZIP behind it). Files that a browser would run (HTML,
SVG) are no kind here. What is inside an archive, a PDF or a picture is not looked at.
"""

import re
from collections.abc import Callable
from typing import Final

from gateway.core.strict_json import InvalidJson, parse

Check = Callable[[bytes], bool]

CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
PNG_END: Final = b"\x00\x00\x00\x00IEND\xaeB`\x82"
ZIP_END: Final = b"PK\x05\x06"
ZIP_END_SIZE: Final = 22
WRITTEN: Final = (b"GIF87a", b"GIF89a", b"%PDF-")
"""Signatures that are text themselves."""


def _png(content: bytes) -> bool:
    return content.startswith(b"\x89PNG\r\n\x1a\n") and content.endswith(PNG_END)


def _jpeg(content: bytes) -> bool:
    return content.startswith(b"\xff\xd8\xff") and content.endswith(b"\xff\xd9")


def _gif(content: bytes) -> bool:
    return content.startswith((b"GIF87a", b"GIF89a")) and content.endswith(b"\x3b")


def _riff(kind: bytes) -> Check:
    """A RIFF file of one kind, whose length is that of the file."""

    def check(content: bytes) -> bool:
        size = int.from_bytes(content[4:8], "little")
        return content.startswith(b"RIFF") and content[8:12] == kind and size + 8 == len(content)

    return check


def _bmp(content: bytes) -> bool:
    return content.startswith(b"BM") and int.from_bytes(content[2:6], "little") == len(content)


def _tiff(content: bytes) -> bool:
    return content.startswith((b"II*\x00", b"MM\x00*"))


def _pdf(content: bytes) -> bool:
    return re.match(rb"%PDF-[12]\.[0-9]", content) is not None and content[-64:].rstrip(b"\r\n \t").endswith(b"%%EOF")


def _zip(content: bytes) -> bool:
    """The directory stands at the very end, without a comment behind it, and is this file's."""
    end = content[-ZIP_END_SIZE:]
    directory = int.from_bytes(end[12:16], "little") + int.from_bytes(end[16:20], "little")
    return content.startswith((b"PK\x03\x04", ZIP_END)) and end.startswith(ZIP_END) and directory == len(content) - ZIP_END_SIZE


def _gzip(content: bytes) -> bool:
    return content.startswith(b"\x1f\x8b\x08")


def _mp4(content: bytes) -> bool:
    return content[4:8] == b"ftyp"


def _text(content: bytes) -> bool:
    """UTF-8 without control characters other than tab, line feed and carriage return, without byte order mark; no GIF or PDF."""
    if content.startswith(WRITTEN):
        return False
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return False
    return CONTROL.search(text) is None and not text.startswith("\ufeff")


def _json(content: bytes) -> bool:
    try:
        parse(content)
    except InvalidJson:
        return False
    return True


KINDS: Final[dict[str, Check]] = {
    "image/png": _png,
    "image/jpeg": _jpeg,
    "image/gif": _gif,
    "image/webp": _riff(b"WEBP"),
    "image/bmp": _bmp,
    "image/tiff": _tiff,
    "application/pdf": _pdf,
    "application/zip": _zip,
    "application/gzip": _gzip,
    "audio/wav": _riff(b"WAVE"),
    "video/mp4": _mp4,
    "text/plain": _text,
    "text/csv": _text,
    "application/json": _json,
}
"""Media type -> whether bytes are of it."""
