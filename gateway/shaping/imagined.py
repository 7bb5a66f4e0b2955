"""The answer to a request that nobody sends, shaped as a real one is: for those who ask what a client would see."""

import asyncio
from typing import Final

from gateway.core.decision import Permit
from gateway.core.message import NO_BODY, Outbound, Response
from gateway.core.obligations import Obligations, Shaped
from gateway.core.ports import Metrics
from gateway.shaping.shaping import Shaping

KEY: Final = b"this key hashes imagined answers"
"""No secret: what it hashes is nobody's."""


def imagined(response: Response, permit: Permit, obligations: Obligations, metrics: Metrics) -> Response:
    """What the client gets of an answer that is here as a whole. Raises Withheld. Not within an event loop."""
    shaping = Shaping(lambda: KEY, metrics)
    request = permit.access.request
    shaping.prepare(Outbound(request.method, b"/", [], NO_BODY, request), obligations, switches=False)
    return asyncio.run(shaping.shape(response, obligations, permit, Shaped()))
