"""A body for conditions to read: JSON, whole, under a cap, and only where every parser reads the same in it."""

from typing import Any, Final

from gateway.core.decision import UNREAD
from gateway.core.message import Request
from gateway.core.strict_json import InvalidJson, children, parse
from gateway.edge.media import charset, is_json, media_type

CODED: Final = b"content-encoding"
TYPE: Final = b"content-type"


async def judged(request: Request, most: int, *, sized: bool) -> Any:
    """The body's value, UNREAD where it cannot be inspected: none, no JSON, encoded, ambiguous, or announced larger than `most`.

    What is read is kept with the body, to be sent on as it came. `sized`: only a body that tells its length is waited for. Raises
    BadRequest as reading a body does, body-too-large where one that did not tell its length is larger.
    """
    body = request.body
    if body.length == 0 or (body.length or 0) > most or (sized and body.length is None) or not is_inspectable(request):
        return UNREAD
    try:
        value = parse(await body.read(most))
    except InvalidJson:
        return UNREAD
    return UNREAD if holds_nul(value) else value


def is_inspectable(request: Request) -> bool:
    """Whether the header fields tell, beyond doubt, of plain JSON."""
    fields, repeated = request.head.fields, request.head.repeated
    if TYPE in repeated or CODED in repeated or fields.get(CODED, b"identity").lower() != b"identity":
        return False
    presented = fields.get(TYPE, b"").decode("latin-1")
    return is_json(media_type(presented)) and charset(presented) in {None, "utf-8"} and presented.lower().count("charset") < 2


def holds_nul(value: Any) -> bool:
    """Whether some text holds NUL: an upstream written in C would read less of it than was compared here."""
    level = [value]
    while level:
        if any(isinstance(node, str) and "\0" in node for node in level):
            return True
        level = [child for node in level for child in children(node)]
    return False
