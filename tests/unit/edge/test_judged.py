"""Bodies that conditions may read: whole, plain and unambiguous JSON, or nothing."""

from typing import Any

import pytest

from gateway.core.decision import UNREAD
from gateway.core.errors import BadRequest
from gateway.core.message import Field
from gateway.edge.judged import judged
from gateway.server.body import StreamBody, WholeBody
from tests.fakes import a_request

JSON = (b"content-type", b"application/json")


class Client:
    """Sends what it has when it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def want(self) -> None:
        self.asked += 1

    def hold(self) -> None:
        """It does."""

    def relieve(self) -> None:
        """It does."""


async def value(body: bytes, headers: list[Field] | None = None, *, most: int = 1024, sized: bool = False) -> Any:
    request = a_request("POST", headers=[JSON] if headers is None else headers)
    request.body = WholeBody(body, 4096)
    return await judged(request, most, sized=sized)


@pytest.mark.parametrize("type", [b"application/json", b"Application/JSON; charset=UTF-8", b"application/scim+json"])
async def test_plain_json_is_read(type: bytes) -> None:
    assert await value(b'{"a": [1, "x"]}', [(b"content-type", type)]) == {"a": [1, "x"]}


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"", None),
        (b"not json", None),
        (b'{"a": 1, "a": 2}', None),
        (b'{"a": 1, "A": 2}', None),
        (b'{"a": "x\\u0000y"}', None),
        (b'["\\ud800"]', None),
        (b"[" * 65 + b"]" * 65, None),
        (b"[NaN]", None),
        (b"\xef\xbb\xbf{}", None),
        (b'"\xff"', None),
        (b"{}", []),
        (b"{}", [(b"content-type", b"text/plain")]),
        (b"{}", [JSON, JSON]),
        (b"{}", [(b"content-type", b"application/json; charset=utf-16")]),
        (b"{}", [(b"content-type", b"application/json; charset=utf-8; charset=utf-7")]),
        (b"{}", [JSON, (b"content-encoding", b"gzip")]),
        (b"{}", [JSON, (b"content-encoding", b"identity"), (b"content-encoding", b"gzip")]),
        (b"[" + b"1," * 600 + b"1]", None),
    ],
)
async def test_what_cannot_be_inspected_has_no_value(body: bytes, headers: list[Field] | None) -> None:
    assert await value(body, headers) is UNREAD


async def test_a_body_that_tells_it_is_too_large_is_not_waited_for() -> None:
    request = a_request("POST", headers=[JSON])
    client = Client()
    request.body = StreamBody(client, 2000, 4096, expects=True)
    assert await judged(request, 1024, sized=False) is UNREAD
    assert (client.asked, request.body.limit) == (0, 4096)


async def test_a_body_that_does_not_tell_is_refused_when_it_grows_too_large() -> None:
    request = a_request("POST", headers=[JSON])
    body = request.body = StreamBody(Client(), None, 4096, expects=False)
    body.put(b"[" + b"1," * 600)
    with pytest.raises(BadRequest):
        await judged(request, 1024, sized=False)
    assert await judged(request, 1024, sized=True) is UNREAD


async def test_what_was_read_is_kept_to_be_sent_on_as_it_came() -> None:
    request = a_request("POST", headers=[JSON])
    body = request.body = StreamBody(Client(), 11, 4096, expects=False)
    body.put(b'{ "a" : 1 }')
    body.finish()
    assert await judged(request, 1024, sized=False) == {"a": 1}
    assert body.whole == b'{ "a" : 1 }'
