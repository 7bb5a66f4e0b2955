"""Where each injector puts its secret, and what it removes first."""

import base64
from typing import Any, cast

import pytest
from pydantic import TypeAdapter

from gateway.core.decision import Permit
from gateway.core.errors import DependencyDown, Forbidden
from gateway.core.message import NO_BODY, Outbound, Request
from gateway.core.ports import Injector
from gateway.core.secret import Secret
from gateway.credentials.injectors import NoCredential, build, planned
from gateway.credentials.model import Credential
from gateway.credentials.plan import check_stands
from tests.minting import workshop
from tests.scripted import fields_of

PERMIT = cast("Permit", None)


class Source:
    """A secret that tests can replace."""

    name = "env:TEST"

    def __init__(self, value: bytes) -> None:
        self.secret = Secret(value)

    def current(self) -> Secret:
        return self.secret


def injector(source: Source, **keys: Any) -> Injector:
    field = "password" if keys["inject"] == "basic" else "secret"
    credential = TypeAdapter[Any](Credential).validate_python({**keys, field: {"env": "TEST"}})
    return build("cred", credential, workshop(secrets=lambda ref: source))


def outbound(target: bytes = b"/a", headers: list[tuple[bytes, bytes]] | None = None) -> Outbound:
    return Outbound(method="GET", target=target, headers=headers or [], body=NO_BODY, request=cast("Request", None))


async def test_bearer_sets_authorization() -> None:
    message = outbound()
    injector(Source(b"s3cret"), inject="bearer").inject(message, PERMIT)
    assert fields_of(message) == [(b"authorization", b"Bearer s3cret")]
    (needles,) = message.secrets
    assert needles.replaced(b"said Bearer s3cret.") == b"said REDACTED."


async def test_basic_encodes_user_and_password() -> None:
    message = outbound()
    injector(Source("pä:ss".encode()), inject="basic", username="bot@example.com").inject(message, PERMIT)
    assert fields_of(message) == [(b"authorization", b"Basic " + base64.b64encode("bot@example.com:pä:ss".encode()))]


async def test_header_sets_the_named_field_and_tells_which_it_sets() -> None:
    message = outbound()
    made = injector(Source(b"k"), inject="header", name="X-Api-Key")
    made.inject(message, PERMIT)
    assert fields_of(message) == [(b"x-api-key", b"k")]
    assert made.sets == frozenset((b"x-api-key",))


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"/a", b"/a?key=s%26%2F"),
        (b"/a?", b"/a?key=s%26%2F"),
        (b"/a?x=1", b"/a?x=1&key=s%26%2F"),
        (b"/a?key=evil&x=%20", b"/a?x=%20&key=s%26%2F"),
        (b"/a?%6Bey=evil&k%65y", b"/a?key=s%26%2F"),
        (b"/a?x=1;key=evil", b"/a?key=s%26%2F"),
        (b"/a?keys=1&KEY=2", b"/a?keys=1&KEY=2&key=s%26%2F"),
    ],
    ids=repr,
)
async def test_a_query_secret_replaces_every_parameter_of_its_name(target: bytes, expected: bytes) -> None:
    message = outbound(target)
    injector(Source(b"s&/"), inject="query", name="key").inject(message, PERMIT)
    assert message.target == expected
    (needles,) = message.secrets
    assert [needles.replaced(echo) for echo in (b"key=s%26%2F", b"key=s&/.")] == [b"key=REDACTED", b"key=REDACTED."]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ([], b"sid=s"),
        ([b"a=1; b=2"], b"a=1; b=2; sid=s"),
        ([b"sid=evil; a=1", b"sid=again"], b"a=1; sid=s"),
        ([b"s%69d=evil;  a=1"], b"a=1; sid=s"),
        ([b'"sid"=evil'], b"sid=s"),
        ([b"sidx=1"], b"sidx=1; sid=s"),
    ],
    ids=repr,
)
async def test_a_cookie_secret_replaces_every_cookie_of_its_name(sent: list[bytes], expected: bytes) -> None:
    message = outbound(headers=[(b"cookie", line) for line in sent])
    injector(Source(b"s"), inject="cookie", name="sid").inject(message, PERMIT)
    assert message.headers == [(b"cookie", expected)]


async def test_a_changed_secret_is_used_from_then_on() -> None:
    source = Source(b"old")
    made = injector(source, inject="bearer")
    made.inject(outbound(), PERMIT)
    source.secret = Secret(b"new")
    message = outbound()
    made.inject(message, PERMIT)
    assert fields_of(message) == [(b"authorization", b"Bearer new")]


@pytest.mark.parametrize("value", [b"", b"a1b2\r\nX: y", b"a1b2\x00", b" padded", "ä".encode()], ids=repr)
@pytest.mark.parametrize("kind", ["bearer", "header", "cookie"])
async def test_a_secret_that_would_break_the_message_is_never_sent(kind: str, value: bytes) -> None:
    keys = {"inject": kind} | ({"name": "X-K"} if kind != "bearer" else {})
    message = outbound()
    with pytest.raises(DependencyDown) as caught:
        injector(Source(value), **keys).inject(message, PERMIT)
    assert fields_of(message) == []
    assert not value or value.decode("utf-8") not in caught.value.detail


async def test_no_credential_adds_nothing() -> None:
    message = outbound()
    NoCredential().inject(message, PERMIT)
    assert (fields_of(message), message.secrets) == ([], ())


async def test_what_was_opened_with_one_of_several_credentials_goes_on_while_the_route_has_it() -> None:
    """A tunnel on a route with a list of them was ended when it was first judged again."""
    made = [build(name, bearer(), workshop(secrets=lambda ref: Source(b"k"))) for name in ("own", "bot")]
    await check_stands(planned(made), PERMIT, "bot")
    await check_stands(planned(made[:1]), PERMIT, "own")
    await check_stands(planned([]), PERMIT, None)
    for injector, used in ((planned(made), "other"), (planned(made[:1]), "bot"), (planned([]), "bot"), (planned(made), None)):
        with pytest.raises(Forbidden):
            await check_stands(injector, PERMIT, used)


def bearer() -> Any:
    return TypeAdapter[Any](Credential).validate_python({"inject": "bearer", "secret": {"env": "TEST"}})
