"""Errors as the admin listener answers them."""

from time import time
from uuid import uuid4

from starlette.responses import Response

from gateway.core.errors import GatewayError
from gateway.edge.problem import render


def problem(error: GatewayError) -> Response:
    """The one renderer's answer, as starlette sends it."""
    answer = render(error, request_id=str(uuid4()), now=time())
    response = Response(answer.body, answer.status)
    response.raw_headers = [*(pair for pair in response.raw_headers if pair[0] == b"content-length"), *answer.headers]
    return response
