"""Media types as header fields name them (RFC 9110 8.3.1)."""

from typing import Final

from gateway.core.errors import BadRequest
from gateway.core.message import Head
from gateway.core.reason import Reason
from gateway.edge.parameters import field_lines

TYPE: Final = b"content-type"
FORM: Final = "application/x-www-form-urlencoded"


def media_type(value: str) -> str:
    """A media type without its parameters, in lower case."""
    return value.partition(";")[0].strip().lower()


def is_json(essence: str) -> bool:
    """What a schema reads where the route lists no types: application/json and the types built on it (RFC 6839 3.1)."""
    return essence == "application/json" or (essence.startswith("application/") and essence.endswith("+json"))


def charset(value: str) -> str | None:
    """The charset parameter in lower case, None where there is none."""
    for parameter in value.split(";")[1:]:
        name, _, text = parameter.partition("=")
        if name.strip().lower() == "charset":
            return text.strip().strip('"').lower()
    return None


def presented(head: Head) -> str:
    """The Content-Type as the upstream gets it: "" where there is none, or where Connection keeps it back.

    Raises BadRequest media-type for two of them, also where one has another spelling (`Content_Type`).
    """
    found = field_lines(head, TYPE)
    if found is None or len(found) > 1:
        raise BadRequest("content-type repeated, or in another spelling", reason=Reason.MEDIA_TYPE)
    return found[0] if found else ""


def demand_plain(head: Head) -> None:
    """Raises BadRequest media-type for a body that is encoded: it cannot be inspected."""
    if head.fields.get(b"content-encoding", b"identity").lower() != b"identity" or b"content-encoding" in head.repeated:
        raise BadRequest("an encoded body cannot be inspected", reason=Reason.MEDIA_TYPE)


def demand_utf8(value: str) -> None:
    """Raises BadRequest media-type for JSON or a form in another charset (RFC 8259 8.1)."""
    if charset(value) not in {None, "utf-8"}:
        raise BadRequest("JSON is UTF-8 (RFC 8259 8.1)", reason=Reason.MEDIA_TYPE)
