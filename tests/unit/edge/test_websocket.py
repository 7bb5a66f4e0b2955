"""WebSocket handshakes: what asks for one, what is one, which pages may begin one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import BadRequest, Forbidden, GatewayError
from gateway.core.message import Field, Request
from gateway.core.reason import Reason
from gateway.edge.model import WebSocket
from gateway.edge.websocket import Handshakes
from tests.fakes import HeldBody, a_request
from tests.frames import ACCEPT, KEY

ASKED: list[Field] = [
    (b"upgrade", b"websocket"),
    (b"connection", b"Upgrade"),
    (b"sec-websocket-version", b"13"),
    (b"sec-websocket-key", KEY),
]


def handshakes(**keys: Any) -> Handshakes:
    return Handshakes(WebSocket.model_validate(keys))


def request(*fields: Field, without: bytes = b"", **options: Any) -> Request:
    named = {name for name, _ in fields} | {without}
    return a_request(headers=[*(field for field in ASKED if field[0] not in named), *fields], **options)


def test_a_handshake_is_accepted_as_the_rfcs_own_example_is() -> None:
    offer = handshakes().asked(request())
    assert offer is not None
    assert (offer.accept, offer.protocols) == (ACCEPT, ())


@pytest.mark.parametrize(
    "fields",
    [
        [(b"upgrade", b"WebSocket"), (b"connection", b"keep-alive, UPGRADE")],
        [(b"upgrade", b"h2c, websocket"), (b"connection", b"keep-alive"), (b"connection", b" upgrade")],
        [(b"upgrade", b"h2c"), (b"upgrade", b"websocket")],
    ],
    ids=["any case, among others", "several lines", "several upgrades"],
)
def test_lists_are_read_as_lists(fields: list[Field]) -> None:
    assert handshakes().asked(request(*fields)) is not None


@pytest.mark.parametrize(
    "asked",
    [request(without=b"upgrade"), request((b"upgrade", b"h2c")), request((b"upgrade", b"websockets")), request((b"upgrade", b""))],
    ids=["no upgrade", "h2c", "another word", "empty"],
)
def test_what_asks_for_none_is_none(asked: Request) -> None:
    assert handshakes().asked(asked) is None


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (request(method="POST"), Reason.MALFORMED_REQUEST),
        (request(body=HeldBody(b"x")), Reason.MALFORMED_REQUEST),
        (request(without=b"connection"), Reason.MALFORMED_REQUEST),
        (request(without=b"sec-websocket-key"), Reason.MALFORMED_REQUEST),
        (request((b"sec-websocket-key", KEY), (b"sec-websocket-key", KEY)), Reason.MALFORMED_REQUEST),
        (request((b"sec-websocket-key", KEY + b" ")), Reason.MALFORMED_REQUEST),
        (request(without=b"sec-websocket-version"), Reason.UPGRADE_REQUIRED),
        (request((b"sec-websocket-version", b"013")), Reason.UPGRADE_REQUIRED),
        (request((b"sec-websocket-version", b"13"), (b"sec-websocket-version", b"13")), Reason.UPGRADE_REQUIRED),
        (request((b"sec-websocket-protocol", b"a"), (b"sec-websocket-protocol", b"a")), Reason.MALFORMED_REQUEST),
        (request((b"sec-websocket-protocol", b"a;b")), Reason.MALFORMED_REQUEST),
    ],
)
def test_what_breaks_the_rules_is_refused(asked: Request, reason: Reason) -> None:
    with pytest.raises(BadRequest) as refused:
        handshakes().asked(asked)
    assert refused.value.reason is reason


@pytest.mark.parametrize(
    ("allowed", "offered", "passed"),
    [
        (None, [b"b, a", b"c"], (b"b", b"a", b"c")),
        (["a", "c"], [b"b, a", b"c"], (b"a", b"c")),
        (["x"], [b"a"], ()),
        ([], [b"a"], ()),
        (None, [b"", b" , "], ()),
    ],
)
def test_only_subprotocols_that_may_be_are_offered_on(
    allowed: list[str] | None, offered: list[bytes], passed: tuple[bytes, ...]
) -> None:
    offer = handshakes(subprotocols=allowed).asked(request(*[(b"sec-websocket-protocol", value) for value in offered]))
    assert offer is not None
    assert offer.protocols == passed


@pytest.mark.parametrize(
    ("origin", "origins", "may"),
    [
        (b"https://gw.example", [], True),
        (b"HTTPS://GW.EXAMPLE", [], True),
        (b"http://gw.example", [], False),
        (b"https://gw.example:8443", [], False),
        (b"https://app.example", [], False),
        (b"https://app.example", ["https://app.example"], True),
        (b"https://a.app.example", ["https://*.app.example"], True),
        (b"https://app.example", ["https://*.app.example"], False),
        (b"https://anything.test", ["*"], True),
        (b"capacitor://localhost", ["capacitor://localhost"], True),
        (b"capacitor://localhost", ["https://localhost"], False),
        (b"null", ["*"], False),
        (b"https://" + b"a" * 600 + b".test", ["*"], False),
    ],
)
def test_a_page_may_begin_one_from_the_own_origin_or_a_listed_one(origin: bytes, origins: list[str], may: bool) -> None:
    asked = request((b"origin", origin))
    if may:
        assert handshakes(origins=origins).asked(asked) is not None
        return
    with pytest.raises(Forbidden) as refused:
        handshakes(origins=origins).asked(asked)
    assert refused.value.reason is Reason.ORIGIN_DENIED


def test_an_origin_that_is_none_is_told_at_load() -> None:
    with pytest.raises(ValueError, match="not an origin"):
        handshakes(origins=["https://a.example/x"])


@given(st.lists(st.tuples(st.sampled_from([name for name, _ in ASKED]), st.binary(max_size=30)), max_size=6))
def test_no_bytes_do_more_than_ask_or_be_refused(fields: list[Field]) -> None:
    offer, status = None, 0
    try:
        offer = handshakes().asked(request(*fields))
    except GatewayError as error:
        status = error.status
    assert status in (0, 400, 403, 426)
    assert offer is None or len(offer.accept) == 28
