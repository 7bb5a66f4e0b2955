"""Signatures by template: what others published, and that nothing a client writes becomes part of the format."""

import hmac
from base64 import urlsafe_b64encode
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from gateway.core.decision import Permit
from gateway.core.errors import BadRequest, DependencyDown, InternalError
from gateway.core.message import Body, Outbound, Request
from gateway.core.secret import Secret
from gateway.credentials.hmac_signature import HmacInjector, build
from gateway.credentials.model import Hmac
from gateway.credentials.sigv4_injector import Whole
from gateway.credentials.template import Template
from tests.scripted import fields_of
from tests.unit.credentials.test_sigv4_chunks import Pieces

PERMIT = cast("Permit", None)
KEY = b"k3Jw9vQzP0sLx7TnB2mYc5RdF8hGaE1u"
SLACK = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar"
    b"&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com"
    b"%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)


class Source:
    """A secret that tests can replace."""

    name = "env:TEST"

    def __init__(self, value: bytes) -> None:
        self.secret = Secret(value)

    def current(self) -> Secret:
        return self.secret


def model(**keys: Any) -> Hmac:
    ordinary = {"inject": "hmac", "secret": {"env": "TEST"}, "content": "{target}", "headers": {"X-Signature": "{signature}"}}
    return TypeAdapter(Hmac).validate_python(ordinary | keys)


def injector(now: float = 0, secret: bytes = KEY, **keys: Any) -> HmacInjector:
    return HmacInjector("partner", model(**keys), Source(secret), lambda: now)


def outbound(body: Body | None = None, target: bytes = b"/a?b=c", method: str = "POST") -> Outbound:
    made = Outbound(method, target, [], body or Whole(b""), cast("Request", None))
    made.authority = b"api.example.com"
    return made


def signed(made: HmacInjector, message: Outbound) -> dict[bytes, bytes]:
    assert made.inject(message, PERMIT) is None
    return {name: value for name, value in fields_of(message) if name != b"host"}


def test_slacks_published_example() -> None:
    made = injector(
        1531420618,
        b"8f742231b10e8888abcd99yyyzzz85a5",
        content="v0:{timestamp}:{body}",
        headers={"X-Slack-Signature": "v0={signature}", "X-Slack-Request-Timestamp": "{timestamp}"},
    )
    assert signed(made, outbound(Whole(SLACK))) == {
        b"x-slack-signature": b"v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        b"x-slack-request-timestamp": b"1531420618",
    }


def test_the_published_example_of_standard_webhooks() -> None:
    made = injector(
        1614265330,
        b"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        key_encoding="base64",
        encoding="base64",
        content="msg_p5jXN8AQM9LWM0D4loKWxJek.{timestamp}.{body}",
        headers={"webhook-signature": "v1,{signature}"},
    )
    expected = b"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert signed(made, outbound(Whole(b'{"test": 2432232314}'))) == {b"webhook-signature": expected}


def test_every_word_stands_for_what_is_sent() -> None:
    content = "{{{method} {host} {path} {query} {target} {timestamp} {nonce} {body_sha256} {body_sha512}}}"
    made = injector(1.5, content=content, algorithm="sha512", encoding="base64url", timestamp="milliseconds", headers={
        "X-Signature": "{signature}", "X-Nonce": "{nonce}"})  # fmt: skip
    message = outbound(Whole(b"hello"))
    fields = signed(made, message)
    nonce = fields[b"x-nonce"].decode()
    sha256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    sha512 = "9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca72323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043"
    text = f"{{POST api.example.com /a b=c /a?b=c 1500 {nonce} {sha256} {sha512}}}"
    expected = urlsafe_b64encode(hmac.digest(KEY, text.encode(), "sha512")).rstrip(b"=")
    assert fields[b"x-signature"] == expected
    assert message.secrets[0].replaced(expected) == b"REDACTED"
    assert len(nonce) == 32


def test_a_time_is_written_as_rfc_3339_where_asked_for() -> None:
    made = injector(1531420618.9, timestamp="rfc3339", headers={"X-S": "{signature}", "X-T": "{timestamp}"})
    assert signed(made, outbound())[b"x-t"] == b"2018-07-12T18:36:58Z"


def test_a_nonce_is_another_one_each_time() -> None:
    made = injector(headers={"X-S": "{signature} {nonce}"})
    assert len({signed(made, outbound())[b"x-s"] for _ in range(20)}) == 20


async def test_a_body_that_streams_in_is_read_up_to_the_bound() -> None:
    class Streaming(Pieces):
        async def read(self, limit: int) -> bytes:
            self.whole = b"".join(self.pieces)
            if len(self.whole) > limit:
                raise BadRequest("x", reason=too_large.value.reason)
            return self.whole

    made = injector(content="{body}", buffer=5)
    with pytest.raises(BadRequest, match="raise `buffer`") as too_large:
        await cast("Any", made.inject(outbound(Pieces(b"123456", length=6)), PERMIT))
    message = outbound(Streaming(b"123", b"45"))
    await cast("Any", made.inject(message, PERMIT))
    assert dict(fields_of(message))[b"x-signature"] == hmac.digest(KEY, b"12345", "sha256").hex().encode()
    with pytest.raises(BadRequest, match="raise `buffer`"):
        await cast("Any", made.inject(outbound(Streaming(b"123", b"456")), PERMIT))


def test_a_body_that_no_word_reads_is_left_to_stream() -> None:
    message = outbound(Pieces(b"1" * 100, length=100))
    assert injector(buffer=0).inject(message, PERMIT) is None
    assert message.body.whole is None


@pytest.mark.parametrize(
    ("keys", "wrong"),
    [
        ({"content": "{target:.1}"}, "belongs to no word"),
        ({"content": "{target!r}"}, "belongs to no word"),
        ({"content": "{0}{path}"}, "is no word"),
        ({"content": "{headers}"}, "is no word here: there are body"),
        ({"content": "{target"}, "belongs to no word"),
        ({"content": "{}{target}"}, "belongs to no word"),
        ({"content": "{signature}{target}"}, "is no word"),
        ({"content": "{timestamp}{nonce}"}, "fits every request"),
        ({"headers": {"X-S": "{signature} {path}"}}, "is no word"),
        ({"headers": {"X-S": "{body}"}}, "is no word"),
        ({"headers": {"X-S": "{timestamp}"}}, "must carry"),
        ({"headers": {"X-S": "{signature}\r\nX: y"}}, "printable"),
        ({"headers": {"X-S": "{signature}", "x-s": "{signature}"}}, "twice"),
    ],
    ids=repr,
)
def test_a_template_that_is_none_is_refused_at_load(keys: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        injector(**keys)


@pytest.mark.parametrize(
    ("secret", "encoding", "wrong"),
    [
        (b"canary", "text", "shorter"),
        (b"canary!!" * 8, "hex", "not hexadecimal"),
        (b"canary!!" * 8, "base64", "not base64"),
        (b"00" * 15, "hex", "shorter"),
    ],
)
def test_a_key_that_is_none_is_refused_at_load_and_an_outage_later(secret: bytes, encoding: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong) as caught:
        build("partner", model(key_encoding=encoding), lambda _: Source(secret), lambda: 0.0)
    assert "canary" not in str(caught.value)
    with pytest.raises(DependencyDown, match=wrong):
        injector(0, secret, key_encoding=encoding).inject(outbound(), PERMIT)


def test_a_field_that_would_break_its_line_never_leaves() -> None:
    message = outbound()
    message.authority = b"x\r\ny: z"
    made = injector(content="{host}{path}")
    made._fields = {b"x-s\r\nevil": Template("{signature}", {"signature"})}
    with pytest.raises(InternalError):
        made.inject(message, PERMIT)


@given(st.text(max_size=40))
def test_any_text_is_a_template_or_refused(text: str) -> None:
    try:
        made = Template(text, {"a"})
    except ValueError:
        return
    assert made.render(lambda _: b"") is not None


@given(st.text(max_size=40))
def test_text_with_its_braces_doubled_is_itself(text: str) -> None:
    doubled = text.replace("{", "{{").replace("}", "}}")
    assert Template(doubled, ()).render(lambda _: b"") == text.encode("utf-8", "surrogatepass")
