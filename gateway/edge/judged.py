"""A body for conditions to read: JSON, whole, under a cap, and only where every parser reads the same in it."""

from typing import Any, Final

from gateway.core.decision import UNREAD
from gateway.core.errors import BadRequest
from gateway.core.media import is_json, media_type
from gateway.core.message import Head, Request
from gateway.core.strict_json import InvalidJson, children
from gateway.edge.apart import parsed
from gateway.edge.media import demand_plain, demand_utf8, presented

NUL: Final = b"\\u0000"
"""The only way to write one in JSON."""
MOST_VALUES: Final = 50_000
"""Values of a body that is looked into. A mebibyte can hold half a million: a second of the processor, fifty times the memory."""


async def judged(request: Request, most: int, *, sized: bool) -> Any:
    """The body's value, UNREAD where it cannot be inspected: none, no JSON, encoded, ambiguous, crowded, or announced
    larger than `most`.

    What is read is kept with the body, to be sent on as it came. `sized`: only a body that tells its length is waited for. Raises
    BadRequest as reading a body does, body-too-large where one that did not tell its length is larger.
    """
    body = request.body
    if body.length == 0 or (body.length or 0) > most or (sized and body.length is None) or not is_inspectable(request.head):
        return UNREAD
    content = await body.read(most)
    if is_crowded(content):
        return UNREAD
    try:
        value = await parsed(content)
    except InvalidJson:
        return UNREAD
    return UNREAD if NUL in content and holds_nul(value) else value


def is_crowded(body: bytes) -> bool:
    """Whether there may be more than MOST_VALUES in it. Commas within strings count, too."""
    return body.count(b",") + body.count(b"[") + body.count(b"{") > MOST_VALUES


def is_inspectable(head: Head) -> bool:
    """Whether the header fields that the upstream gets tell, beyond doubt, of plain JSON. Without a Content-Type some frameworks
    read a form (Rack)."""
    try:
        value = presented(head)
        demand_plain(head)
        demand_utf8(value)
    except BadRequest:
        return False
    return is_json(media_type(value))


def holds_nul(value: Any) -> bool:
    """Whether some text holds NUL: an upstream written in C would read less of it than was compared here."""
    level = [value]
    while level:
        if any(isinstance(node, str) and "\0" in node for node in level):
            return True
        level = [child for node in level for child in children(node)]
    return False
