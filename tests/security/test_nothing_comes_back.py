"""Every value that an injector puts into a request is masked in the answer, in every form that is promised, wherever it is cut.

What reads the answers here are the decoders of Python's library, not the gateway's. A new kind of credential joins canaries.KINDS.
"""

import base64
import html
import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import get_args, get_origin
from urllib.parse import quote, unquote_to_bytes

import pytest

from gateway.core.errors import GatewayError, Withheld
from gateway.core.exchange import Exchange
from gateway.core.message import Field, Outbound, Response
from gateway.credentials.model import Credential
from gateway.scrub.frames import Frames
from gateway.scrub.scrubber import Scrubber
from gateway.scrub.scrubbing import Scrubbing
from tests.canaries import ANOTHER, ASKING, BURIED, CANARY, HIDDEN, KINDS, ONCE, RENEWED, Mint, planted
from tests.fakes import CountingMetrics
from tests.frames import frame
from tests.house import UPSTREAM_TOKEN, House, house
from tests.issuer import FrozenClock
from tests.minting import Told
from tests.scripted import fields_of


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as running:
        yield running


def each(form: str) -> Callable[[str], str]:
    """Every character escaped alike."""
    return lambda text: "".join(form % ord(sign) for sign in text)


def some(form: str) -> Callable[[str], str]:
    """Every third one."""
    return lambda text: "".join(sign if place % 3 else form % ord(sign) for place, sign in enumerate(text))


def within(encode: Callable[[bytes], bytes], before: str = "", behind: str = "", *, padded: bool = True) -> Callable[[str], str]:
    def form(text: str) -> str:
        whole = encode(f"{before}{text}{behind}".encode()).decode()
        return whole if padded else whole.rstrip("=")

    return form


STANDARD, URL_SAFE = base64.b64encode, base64.urlsafe_b64encode
FORMS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "quoted": lambda text: quote(text, safe=""),
    "quoted, lower case": lambda text: re.sub("%..", lambda found: found[0].lower(), quote(text, safe="")),
    "percent": each("%%%02x"),
    "PERCENT": each("%%%02X"),
    "percent in parts": some("%%%02X"),
    "json": lambda text: json.dumps(text)[1:-1],
    "json of PHP": lambda text: text.replace("/", "\\/"),
    "\\u": each("\\u%04x"),
    "\\U": each("\\u%04X"),
    "\\u in parts": some("\\u%04x"),
    "\\x": each("\\x%02x"),
    "html": html.escape,
    "html decimal": each("&#%d;"),
    "html decimal, zeros": each("&#%05d;"),
    "html hex": each("&#x%x;"),
    "html HEX": each("&#X%X;"),
    "html by name": lambda text: (
        text.replace("+", "&plus;").replace("/", "&sol;").replace("=", "&equals;").replace("_", "&lowbar;")
    ),
    "html in parts": some("&#%d;"),
    **{
        f"base64 {name} {len(before)} {len(behind)} {padded}": within(encode, before, behind, padded=padded)
        for name, encode in (("standard", STANDARD), ("url-safe", URL_SAFE))
        for before in ("", "x", "xy")
        for behind in ("", ">>")
        for padded in (True, False)
    },
    "base64, quoted": lambda text: quote(STANDARD(f"u:{text}?>".encode()), safe=""),
    "base64 in JSON of PHP": lambda text: STANDARD(f"u:{text}?>".encode()).decode().replace("/", "\\/"),
    "utf-16": lambda text: text.encode("utf-16-be").decode("latin-1"),
    "utf-16 little": lambda text: text.encode("utf-16-le").decode("latin-1"),
}


def readings(text: bytes) -> set[bytes]:
    """What readers of one kind or another take a text for."""
    json_read = re.sub(
        rb"\\u00([0-9a-fA-F]{2})|\\x([0-9a-fA-F]{2})", lambda found: bytes.fromhex((found[1] or found[2]).decode()), text
    )
    found = {text, unquote_to_bytes(text), json_read.replace(b"\\/", b"/"), html.unescape(text.decode("latin-1")).encode()}
    found |= {text[at::2] for at in (0, 1)}
    plain = set(found)
    for piece in {each for reading in plain for each in re.findall(rb"[A-Za-z0-9+/_-]{8,}", reading)}:
        for cut in range(4):
            encoded = piece[cut:].translate(bytes.maketrans(b"-_", b"+/"))
            found.add(base64.b64decode(encoded + b"A" * (-len(encoded) % 4)))
    return found


def leaks(values: set[bytes], given: bytes) -> bool:
    return any(value in reading for reading in readings(given) for value in values)


def legible(value: bytes, echo: bytes) -> bool:
    """Whether anybody could read a value in an echo: else a test of its absence would show nothing."""
    return any(value in reading for reading in readings(echo))


def through(outbound: Outbound, pieces: list[bytes]) -> bytes:
    scrubber = Scrubber(outbound.secrets)
    return b"".join([*(scrubber.feed(piece) for piece in pieces), scrubber.end()])


STATIC = ("bearer", "basic", "header", "query", "cookie")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", STATIC)
async def test_no_injector_s_value_comes_back_in_any_form_cut_anywhere(kind: str, form: str) -> None:
    request = await planted(kind)
    for value in request.values:
        echo = f'{{"a": "{FORMS[form](value.decode())}", "b": 1}}'.encode("latin-1")
        assert legible(value, echo)
        whole = through(request.outbound, [echo])
        assert not leaks(request.values, whole)
        assert len(whole) == len(echo)
        assert whole.startswith(b'{"a": "')
        assert whole.endswith(b'"b": 1}')
        # What is looked for is the same wherever it goes in: where it is cut is tried with the values of two.
        for cut in range(1, len(echo)) if kind in ("basic", "query") else ():
            assert through(request.outbound, [echo[:cut], echo[cut:]]) == whole
        assert through(request.outbound, [echo[at : at + 1] for at in range(len(echo))]) == whole


def test_every_kind_of_credential_there_is_is_tried_here() -> None:
    [union] = [each for each in get_args(Credential) if get_origin(each) is not None]
    told = [get_args(each.model_fields["inject"].annotation) for each in get_args(union)]
    # A client certificate is in the connection, and its key nowhere: nothing of it is in a request that could be echoed.
    assert sorted([*KINDS, "mtls"]) == sorted(kind for kinds in told for kind in kinds)


def coded(form: str) -> bool:
    """Whether a form is another code, beyond escapes."""
    return form.startswith(("base64", "utf-16"))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in STATIC])
async def test_neither_does_what_is_minted_signed_or_granted(kind: str) -> None:
    request = await planted(kind)
    assert request.values
    for value in request.values:
        is_signature = kind in ONCE and value != CANARY.encode()
        for form, write in FORMS.items():
            echo = f"<{write(value.decode())}>".encode("latin-1")
            if is_signature and coded(form):
                continue  # of no use for another request: see docs/explanation/nothing-comes-back.md
            assert legible(value, echo)
            whole = through(request.outbound, [echo])
            assert not leaks(request.values, whole), form
            assert (len(whole), whole[:1], whole[-1:]) == (len(echo), b"<", b">")
            if form in ("raw", "\\u in parts", "base64 url-safe 2 2 False"):
                assert through(request.outbound, [echo[at : at + 1] for at in range(len(echo))]) == whole


def jwts(posted: bytes) -> set[bytes]:
    """Statements signed, and identities shown, to a token endpoint."""
    return set(re.findall(rb"[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}", posted))


@pytest.mark.parametrize("kind", KINDS)
async def test_what_a_credential_is_made_of_is_in_no_request(kind: str) -> None:
    """Client secrets, private keys, refresh tokens, assertions: what they are worth comes without them."""
    request = await planted(kind)
    sent = b"".join(name + value for name, value in fields_of(request.outbound)) + request.outbound.target
    posted = b"".join(each.body + json.dumps(each.headers).encode() for each in request.fetch.posted)
    hidden = BURIED | jwts(posted) - request.values
    assert not leaks(hidden, sent)
    assert (f"{HIDDEN}federated".encode() in posted) == (kind == "google_federation")


@pytest.mark.parametrize("kind", ASKING)
async def test_an_error_of_a_token_endpoint_is_told_to_nobody_in_its_own_words(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """Servers repeat what they were sent, and what they were sent are secrets."""
    caplog.set_level("DEBUG")
    fetch, told = Mint(repeats=True), Told()
    with pytest.raises(GatewayError) as caught:
        await planted(kind, fetch=fetch, told=told)
    posted = b"".join(each.body + json.dumps(each.headers).encode() for each in fetch.posted)
    hidden = BURIED | jwts(posted)
    assert any(value in reading for value in hidden for reading in readings(posted)), "nothing secret was shown to it"
    log = "".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    error = f"{caught.value!r} {caught.value.detail} {caught.value.members} {caught.value.headers}"
    assert not leaks(hidden, f"{error} {log} {told.events}".encode())


@pytest.mark.parametrize("kind", RENEWED)
async def test_a_token_that_was_refused_is_looked_for_in_the_answer_to_the_next(kind: str) -> None:
    """An upstream that says what the token was that it did not like may do so a request later."""
    clock = FrozenClock()
    request = await planted(kind, clock)
    before = request.values
    clock.advance(60)
    assert await request.renewed()
    assert (before, request.values) == ({CANARY.encode()}, {ANOTHER.encode()})
    for form, write in FORMS.items():
        echo = f"<{write(CANARY)}|{write(ANOTHER)}>".encode("latin-1")
        given = through(request.outbound, [echo])
        assert not leaks(before | request.values, given), form
        assert len(given) == len(echo)


@pytest.mark.parametrize("kind", STATIC)
async def test_what_holds_nothing_leaves_at_once_to_the_byte(kind: str) -> None:
    scrubber = Scrubber((await planted(kind)).outbound.secrets)
    for piece in (b'data: {"x": "50% \\n & more"}\n\n', b"event: ping\n\n", b"\xff\xfe\0\0" * 10, b"&amp;%20\\u00e9;\n"):
        assert scrubber.feed(piece) == piece
    assert (scrubber.end(), scrubber.found) == (b"", 0)


async def test_no_more_is_held_back_than_may_be_the_beginning_of_a_value() -> None:
    scrubber = Scrubber((await planted("header")).outbound.secrets)
    assert scrubber.feed(b"tail: canary+0") == b"tail: "
    assert scrubber.feed(b" no") == b"canary+0 no"
    assert scrubber.feed(b"&#99;&#9") == b""
    assert scrubber.feed(b"7;;") == b"&#99;&#97;;"
    assert scrubber.end() == b""


# Answers, in whole

TOLD: list[tuple[str, Field]] = [
    ("gzip", (b"content-encoding", b"gzip")),
    ("br", (b"content-encoding", b"br")),
    ("zstd", (b"content-encoding", b"zstd")),
    ("deflate", (b"content-encoding", b"deflate")),
    ("two codings", (b"content-encoding", b"identity, gzip")),
    ("an unknown coding", (b"content-encoding", b"x-own")),
    ("grpc", (b"grpc-encoding", b"gzip")),
    ("connect", (b"connect-content-encoding", b"gzip")),
    ("UTF-7", (b"content-type", b"text/html; charset=utf-7")),
    ("UTF-32", (b"content-type", b"text/plain;charset=UTF-32LE")),
    ("EBCDIC", (b"content-type", b'application/json; charset="IBM037"')),
]


def exchange() -> Exchange:
    return Exchange("id", 0.0, 0.0, "g", "main", "GET", "192.0.2.1")


async def pieces(*given: bytes) -> AsyncIterator[bytes]:
    for piece in given:
        yield piece


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("field", [field for _, field in TOLD], ids=[name for name, _ in TOLD])
async def test_what_cannot_be_searched_is_withheld_and_its_upstream_let_go(field: Field, streams: bool) -> None:
    abandoned: list[bool] = []
    outbound = (await planted("bearer")).outbound
    response = Response(200, [field], b"" if streams else b"x", own=False, abandon=lambda: abandoned.append(True))
    response.stream = pieces(b"x") if streams else None
    metrics = CountingMetrics()
    with pytest.raises(Withheld):
        Scrubbing(metrics).scrub(response, outbound, exchange())
    assert abandoned == [True]
    assert metrics.counted("gateway.credential.echoes", place="unseen") == 1


@pytest.mark.parametrize("streams", [False, True])
async def test_a_body_is_masked_counted_and_told_whether_it_streams_or_not(streams: bool) -> None:
    echo = f"a {CANARY} b {quote(CANARY, safe='')}".encode()
    response = Response(200, [(b"content-type", b"text/plain; charset=utf-8")], b"" if streams else echo, own=False)
    response.stream = pieces(echo[:9], echo[9:30], echo[30:]) if streams else None
    metrics, told, request = CountingMetrics(), exchange(), await planted("bearer")
    outbound = request.outbound
    Scrubbing(metrics).scrub(response, outbound, told)
    given = b"".join([piece async for piece in response.stream]) if response.stream is not None else response.body
    assert (len(given), leaks(request.values, given)) == (len(echo), False)
    assert metrics.counted("gateway.credential.echoes", place="body") == 2
    assert told.echoed is not None
    assert (told.echoed.body, told.echoed.fingerprints) == (2, [outbound.secrets[0].fingerprint])
    assert CANARY not in repr(told.echoed.fingerprints)


# WebSockets

MESSAGES = {
    "text": [(0x1, True)],
    "binary": [(0x2, True)],
    "two fragments": [(0x1, False), (0x0, True)],
    "many fragments": [(0x2, False), (0x0, False), (0x0, False), (0x0, True)],
}


def frames_of(wire: bytes) -> list[tuple[bytes, bytes]]:
    """Head and payload of each; all are short or of two bytes' length."""
    found = []
    while wire:
        length, start = wire[1], 2
        if length == 126:
            length, start = int.from_bytes(wire[2:4], "big"), 4
        found.append((wire[:start], wire[start : start + length]))
        wire = wire[start + length :]
    return found


@pytest.mark.parametrize("kind", MESSAGES)
@pytest.mark.parametrize("form", ["raw", "percent", "\\u in parts", "base64 standard 1 2 True"])
async def test_fragments_of_a_websocket_message_are_one_text(kind: str, form: str) -> None:
    request = await planted("basic")
    outbound = request.outbound
    text = f"say {FORMS[form](CANARY)}!".encode()
    shape = MESSAGES[kind]
    size = -(-len(text) // len(shape))
    parts = [text[at : at + size] for at in range(0, len(text), size)]
    ping = frame(b"?", kind=0x9, masked=False)
    wire = ping.join(frame(part, kind=each[0], final=each[1], masked=False) for part, each in zip(parts, shape, strict=True))
    wire += frame(b"next", kind=0x1, masked=False) + frame(b"\x03\xe8", kind=0x8, masked=False)
    counted: list[int] = []
    for cut in range(len(wire)):
        frames = Frames(outbound.secrets, counted.append)
        given = (frames.feed(wire[:cut]) or b"") + (frames.feed(wire[cut:]) or b"")
        assert len(given) == len(wire)
        assert [head for head, _ in frames_of(given)] == [head for head, _ in frames_of(wire)]
        message = b"".join(payload for head, payload in frames_of(given) if head[0] & 0xF < 0x8)
        assert message.startswith(b"say ")
        assert message.endswith(b"!next")
        assert not leaks(request.values, message)
    assert sum(counted) == len(wire)


@pytest.mark.parametrize("kind", KINDS)
async def test_no_kind_of_credential_comes_back_through_a_websocket(kind: str) -> None:
    request = await planted(kind)
    for value in request.values:
        frames, half = Frames(request.outbound.secrets, lambda found: None), len(value) // 2
        wire = frame(b"a " + value[:half], kind=0x1, final=False, masked=False) + frame(
            value[half:] + b" z", kind=0x0, masked=False
        )
        given = frames.feed(wire) or b""
        assert len(given) == len(wire)
        assert not leaks({value}, b"".join(payload for _, payload in frames_of(given)))


async def test_a_control_frame_is_searched_as_well() -> None:
    frames = Frames((await planted("header")).outbound.secrets, lambda found: None)
    given = frames.feed(frame(CANARY.encode(), kind=0x9, masked=False)) or b""
    assert given[:2] == frame(CANARY.encode(), kind=0x9, masked=False)[:2]
    assert CANARY.encode() not in given


async def test_an_upstream_that_sends_empty_fragments_behind_a_beginning_is_cut_off() -> None:
    frames = Frames((await planted("header")).outbound.secrets, lambda found: None)
    assert (
        frames.feed(frame(b"canary", kind=0x1, final=False, masked=False))
        == frame(b"canary", kind=0x1, final=False, masked=False)[:2]
    )
    assert frames.feed(frame(b"", kind=0x0, final=False, masked=False) * 2000) is None


# On the wire


async def test_an_upstream_is_asked_for_whole_bodies_in_no_coding(gateway: House) -> None:
    asked = {"Range": "bytes=3-", "If-Range": '"x"', "Accept-Encoding": "gzip, br", "A-IM": "feed"}
    await gateway.get("/admin/x", token=gateway.keys.token(), headers=asked)
    await gateway.get("/public/x", headers=asked)
    searched, public = gateway.upstream.seen
    assert [searched.all(name) for name in asked] == [[], [], ["identity"], []]
    assert [public.all(name) for name in asked] == [[value] for value in asked.values()]


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_body_comes_without_the_credential_over_the_wire(gateway: House, framing: str) -> None:
    body = f"<p>Authorization: Bearer {UPSTREAM_TOKEN}</p>".encode()
    cut = body.index(UPSTREAM_TOKEN.encode()) + 5
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:cut], body[cut:], b""))
    told = {
        "length": b"Content-Length: %d\r\n\r\n%b" % (len(body), body),
        "chunked": b"Transfer-Encoding: chunked\r\n\r\n" + chunks,
    }
    gateway.upstream.answer = b"HTTP/1.1 500 Oops\r\nContent-Type: text/html\r\n" + told[framing]
    reply = await gateway.get("/admin/x", token=gateway.keys.token())
    assert (reply.status, len(reply.body)) == (500, len(body))
    assert UPSTREAM_TOKEN.encode() not in reply.body
    assert b"Bearer REDACTED" in reply.body
    event = await gateway.only_request()
    assert (event["echoed"]["body"], event["echoed"]["head"]) == (1, 0)


async def test_a_field_whose_name_holds_the_credential_is_left_out(gateway: House) -> None:
    gateway.upstream.answer = f"HTTP/1.1 200 OK\r\nX-{UPSTREAM_TOKEN}: 1\r\nX-Other: 2\r\nContent-Length: 0\r\n\r\n".encode()
    reply = await gateway.get("/admin/x", token=gateway.keys.token())
    assert (reply.status, reply["X-Other"]) == (200, "2")
    assert UPSTREAM_TOKEN.lower() not in str(reply.headers).lower()
    assert (await gateway.only_request())["echoed"]["head"] == 1


async def test_a_compressed_answer_that_nobody_asked_for_is_withheld_over_the_wire(gateway: House) -> None:
    gateway.upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nxyz"
    reply = await gateway.get("/admin/x", token=gateway.keys.token())
    assert (reply.status, reply.json()["type"].rpartition(":")[2]) == (403, "response-withheld")
