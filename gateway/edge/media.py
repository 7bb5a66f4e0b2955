"""The bodies that can be looked into: of one media type, in no coding, in UTF-8, and no larger than somebody said."""

from typing import Final

from gateway.core.errors import BadRequest
from gateway.core.media import charsets
from gateway.core.message import Body, Head
from gateway.core.reason import Reason
from gateway.edge.parameters import field_lines

TYPE: Final = b"content-type"
FORM: Final = "application/x-www-form-urlencoded"
INSPECTED: Final = 1024 * 1024
"""The largest body that is inspected where the route states no `body_limit`."""


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
    """Raises BadRequest media-type for JSON or a form in another charset (RFC 8259 8.1), or in two."""
    if charsets(value) not in ([], ["utf-8"]):
        raise BadRequest("JSON is UTF-8 (RFC 8259 8.1)", reason=Reason.MEDIA_TYPE)


def bound(body: Body, most: int, rule: str) -> None:
    """Take no larger body than `most` bytes: a declared length is compared at once, what streams is counted by the body itself.

    Raises BadRequest body-too-large, for which `rule` names who said so.
    """
    if body.length == 0:
        return
    if (body.length or 0) > most or body.received > most:
        raise BadRequest(f"{rule}={most}", reason=Reason.BODY_TOO_LARGE, close=True)
    body.limit = min(body.limit, most)
