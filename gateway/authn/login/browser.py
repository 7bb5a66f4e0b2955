"""Is a person looking at this? Only a browser that shows a page can be sent to log in; scripts and programs are told 401."""

from typing import Final

from gateway.core.message import Request

MODE: Final = b"sec-fetch-mode"
DEST: Final = b"sec-fetch-dest"
UPGRADE: Final = b"upgrade"
HTML: Final = "text/html"
JSON: Final = "application/json"


def navigates(request: Request) -> bool:
    """A GET that replaces the page (Fetch Metadata); where the client sends none of that, one that would rather have HTML."""
    fields = request.head.fields
    if request.method != "GET" or UPGRADE in fields:
        return False
    if MODE in fields or DEST in fields:
        return fields.get(MODE) == b"navigate" and fields.get(DEST) == b"document"
    wanted = preferences(fields.get(b"accept", b"").decode("latin-1"))
    return wanted.get(HTML, 0.0) > 0 and wanted.get(HTML, 0.0) >= wanted.get(JSON, 0.0)


def preferences(accept: str) -> dict[str, float]:
    """Media types with their quality (RFC 9110 12.5.1); one that is none counts as not asked for."""
    found: dict[str, float] = {}
    for each in accept.split(",")[:32]:
        kind, *parameters = (part.strip().lower() for part in each.split(";"))
        quality = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        found[kind] = float(quality) if quality.replace(".", "", 1).isdecimal() and len(quality) <= 5 else 0.0
    return found
