"""Keys that were captured: whose signature is taken, and what of a request it must cover."""

import base64
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.core.decision import AccessRequest, Permit
from gateway.core.errors import BadRequest, Forbidden, Ungranted
from gateway.core.message import NO_BODY, Body, Field, Outbound
from gateway.core.principal import ANONYMOUS, Identity, Principal
from gateway.core.secret import Secret
from gateway.credentials.captured import keys, placeholder, used
from gateway.credentials.captured.injector import CapturedInjector
from gateway.credentials.captured.keys_injector import CapturedKeysInjector
from gateway.credentials.captured.model import Capture, Captured, CapturedKeys
from gateway.credentials.captured.used import Used
from gateway.credentials.vault.keys import LocalKey
from gateway.credentials.vault.ring import Ring
from tests.aws import KEY_ID, SECRET, Verified, frames, sha, sign, verify
from tests.fakes import CountingMetrics, HeldBody
from tests.issuer import FrozenClock
from tests.minting import Told
from tests.scripted import fields_of, outbound, principal, request

REAL = (KEY_ID, SECRET, "session-token-of-a-role")
LONG = bytes(index % 251 for index in range(5000))
HOST = "gateway.example"


@dataclass
class Asked:
    """What a client asks for, and how it signs that. `target` is that of the gateway, where the upstream's is /key."""

    method: str = "GET"
    target: str = "/s3/key"
    scope: tuple[str, str] = ("eu-west-1", "s3")
    payload: str | None = "UNSIGNED-PAYLOAD"
    body: bytes = b""
    said: dict[str, str] = field(default_factory=dict)


class Bench:
    def __init__(self, **model: Any) -> None:
        self.clock, self.metrics, self.told = FrozenClock(), CountingMetrics(), Told()
        self.ring = Ring([LocalKey("k1", Secret(base64.b64encode(bytes(range(32)))))], self.clock.now)
        self.used = Used(self.ring, self.clock, self.metrics, self.told)
        told: dict[str, Any] = {"regions": ["eu-west-1"], "services": ["s3", "dynamodb"], "buffer": 1000, **model}
        self.injector = CapturedKeysInjector("session", CapturedKeys(inject="captured_keys", **told), self.used)

    async def made(self, lifetime: int = 600, who: Principal | None = None) -> tuple[str, str, str]:
        """Placeholders for REAL."""
        where = keys.place("session", (who or principal()).key)
        return await keys.sealed(self.ring, where, REAL, int(self.clock.now()) + lifetime)

    def signed(self, made: tuple[str, str, str], asked: Asked, ago: float = 0.0) -> dict[str, str]:
        date = datetime.fromtimestamp(self.clock.now() - ago, UTC).strftime("%Y%m%dT%H%M%SZ")
        said = {"host": HOST, "x-amz-security-token": made[2], **asked.said}
        what = asked.method, asked.target, said
        return sign(*what, keys=made[:2], date=date, scope=asked.scope, payload=asked.payload, body=asked.body)

    async def sent(
        self,
        fields: dict[str, str],
        asked: Asked | None = None,
        who: Principal | None = None,
        body: Body | None = None,
        more: Sequence[Field] = (),
    ) -> Outbound:
        asked = asked or Asked()
        carried = body or (HeldBody(asked.body) if asked.body else NO_BODY)
        made = outbound(asked.method, b"/key", body=carried)
        path, mark, query = asked.target.partition("?")
        raw = [*((name.encode(), value.encode()) for name, value in fields.items()), *more]
        said = request(*raw, method=asked.method, path=path, query=query.encode() if mark else None, body=carried, authority=HOST)
        made.request, made.headers = said, [each for each in raw if each[0] == b"content-encoding"]
        coming = self.injector.inject(made, Permit(who or principal(), AccessRequest(said, "r", "u", {}, 0.0), None))
        assert await coming == "session"
        return made

    async def refused(self, fields: dict[str, str], asked: Asked | None = None, who: Principal | None = None) -> str:
        with pytest.raises(Forbidden) as caught:
            await self.sent(fields, asked, who)
        assert caught.value.reason == "upstream-credential-missing"
        name, said = self.told.events[-1]
        assert name == "placeholder.refused"
        assert self.metrics.counted("gateway.credentials.placeholders", credential="session", outcome=said["fault"])
        return str(said["fault"])


async def arrived(made: Outbound) -> Verified:
    """What reaches Amazon, its signature with the real keys checked."""
    content = b"".join([piece async for piece in made.body])
    fields = [(name.decode(), value.decode()) for name, value in fields_of(made)]
    assert dict(fields)["x-amz-security-token"] == REAL[2]
    return verify(made.method, made.target.decode(), fields, content)


PLAIN = Asked(method="PUT", target="/dynamodb/", scope=("eu-west-1", "dynamodb"), payload=None, body=b"{}")
HASHED = Asked(method="PUT", payload=sha(LONG), body=LONG)


@pytest.mark.parametrize(
    "asked",
    [
        Asked(),
        Asked(target="/s3/a%20b/%C3%BC%2B~?prefix=a%20b&list-type=2&acl="),
        Asked(
            method="PUT", payload=sha(b"short"), body=b"short", said={"x-amz-meta-a": "two  blanks", "content-type": "text/plain"}
        ),
        HASHED,
        Asked(method="PUT", body=LONG),
        PLAIN,
        Asked(target="/dynamodb/a%20b/c", scope=("eu-west-1", "dynamodb"), payload=None),
    ],
    ids=["nothing", "odd", "short", "long", "unsigned", "no hash", "normalised"],
)
async def test_what_is_signed_with_placeholders_is_signed_anew_with_the_keys(asked: Asked) -> None:
    bench = Bench()
    for _ in range(2):
        found = await arrived(await bench.sent(bench.signed(await bench.made(), asked), asked))
        assert found.content == asked.body


CRC = {"x-amz-checksum-crc32": "AAAAAA=="}


def framing(chunks: list[bytes], payload: str, trailers: dict[str, str]) -> Asked:
    asked = Asked(method="PUT", payload=payload)
    asked.said = {"content-encoding": "aws-chunked", "x-amz-decoded-content-length": str(sum(map(len, chunks)))}
    asked.said |= {"x-amz-trailer": ",".join(trailers)} if trailers else {}
    return asked


@pytest.mark.parametrize("chunks", [[b"hel", b"lo"], [LONG[:4000], LONG[4000:]], []], ids=["short", "long", "nothing"])
@pytest.mark.parametrize("trailers", [{}, CRC], ids=["", "trailers"])
async def test_frames_of_a_client_s_own_are_taken_off(chunks: list[bytes], trailers: dict[str, str]) -> None:
    bench, content = Bench(), b"".join(chunks)
    asked = framing(chunks, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" + ("-TRAILER" if trailers else ""), trailers)
    made = await bench.made()
    fields = bench.signed(made, asked)
    wire = frames(chunks, fields, made[1], trailers)
    found = await arrived(await bench.sent(fields, asked, body=HeldBody(wire[:100], wire[100:])))
    assert found.content == content


async def test_frames_that_say_that_they_are_not_signed_need_no_signature() -> None:
    bench, asked = Bench(), framing([b"hello"], "STREAMING-UNSIGNED-PAYLOAD-TRAILER", CRC)
    wire = HeldBody(b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n")
    found = await arrived(await bench.sent(bench.signed(await bench.made(), asked), asked, body=wire))
    assert (found.content, found.payload) == (b"hello", sha(b"hello"))


def swapped(wire: bytes) -> bytes:
    """The first two of three chunks of the same size, each in the other's place."""
    size = wire.index(b"\r\n") + 2 + 1000 + 2
    return wire[size : 2 * size] + wire[:size] + wire[2 * size :]


FORGED: dict[str, Callable[[bytes], bytes]] = {
    "another content": lambda wire: wire.replace(b"b" * 1000, b"x" + b"b" * 999),
    "another order": swapped,
    "no signatures": lambda wire: re.sub(rb";chunk-signature=[0-9a-f]+", b"", wire),
    "another signature at the end": lambda wire: re.sub(
        rb"\r\n0;chunk-signature=[0-9a-f]{4}", b"\r\n0;chunk-signature=zzzz", wire
    ).replace(b"zzzz", b"0000"),
    "another trailer": lambda wire: wire.replace(b"AAAAAA==", b"BAAAAA=="),
    "a trailer that nobody signed": lambda wire: re.sub(rb"x-amz-trailer-signature:[0-9a-f]+\r\n", b"", wire),
}


@pytest.mark.parametrize("buffer", [1000, 10_000], ids=["streamed", "held"])
@pytest.mark.parametrize("forged", FORGED)
async def test_a_chunk_changed_on_the_way_is_never_stored(forged: str, buffer: int) -> None:
    """The signature of the head says nothing of them. What is streamed ends without its last chunk."""
    bench, chunks = Bench(buffer=buffer), [letter * 1000 for letter in (b"a", b"b", b"c")]
    asked = framing(chunks, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", CRC)
    made = await bench.made()
    fields = bench.signed(made, asked)
    wire = frames(chunks, fields, made[1], CRC)
    changed = FORGED[forged](wire)
    assert changed != wire
    seen = bytearray()

    async def go() -> None:
        async for piece in (await bench.sent(fields, asked, body=HeldBody(changed))).body:
            seen.extend(piece)

    with pytest.raises(BadRequest, match="that the client signed"):
        await go()
    assert b"\r\n0;" not in seen


async def test_they_are_good_until_their_end_also_when_they_were_spent_before() -> None:
    bench = Bench()
    made = await bench.made(600)
    await bench.sent(bench.signed(made, Asked()))
    bench.clock.advance(599)
    await bench.sent(bench.signed(made, Asked()))
    bench.clock.advance(1)
    assert await bench.refused(bench.signed(made, Asked())) == "expired"


async def test_what_was_captured_before_a_time_is_refused() -> None:
    bench = Bench(issued_after="2027-01-15T08:00:01Z")  # a second after the clock's
    assert await bench.refused(bench.signed(await bench.made(), Asked())) == "revoked"


async def test_a_stranger_with_all_three_words_is_refused() -> None:
    bench = Bench()
    assert await bench.refused(bench.signed(await bench.made(), Asked()), who=principal("corp", "mallory")) == "altered"


async def test_words_of_two_sets_are_refused_and_so_is_any_other_secret() -> None:
    bench = Bench()
    one, two = await bench.made(), await bench.made()
    assert await bench.refused(bench.signed((one[0], one[1], two[2]), Asked())) == "altered"
    assert await bench.refused(bench.signed((one[0], two[1], one[2]), Asked())) == "signature"
    assert await bench.refused(bench.signed((one[0], REAL[1], one[2]), Asked())) == "signature"


@pytest.mark.parametrize("scope", [("us-east-1", "s3"), ("eu-west-1", "iam")])
async def test_a_region_or_service_that_is_not_listed_is_refused(scope: tuple[str, str]) -> None:
    bench = Bench()
    assert await bench.refused(bench.signed(await bench.made(), Asked(scope=scope))) == "scope"


@pytest.mark.parametrize("ago", [901.0, -901.0])
async def test_a_signature_of_another_time_is_refused(ago: float) -> None:
    bench = Bench()
    assert await bench.refused(bench.signed(await bench.made(), Asked(), ago)) == "stale"
    await bench.sent(bench.signed(await bench.made(), Asked(), ago * 0.99))


@pytest.mark.parametrize(
    "change",
    [{"x-amz-acl": "public-read"}, {"x-amz-meta-a": "changed"}, {"content-type": "text/html"}, {"host": "elsewhere.example"}],
    ids=lambda change: next(iter(change)),
)
async def test_a_field_added_or_changed_on_the_way_breaks_the_signature(change: dict[str, str]) -> None:
    bench, asked = Bench(), Asked(said={"x-amz-meta-a": "signed", "content-type": "text/plain"})
    assert await bench.refused(bench.signed(await bench.made(), asked) | change) == "signature"


@pytest.mark.parametrize(
    "connection",
    [
        [b"x-amz-copy-source"],
        [b"keep-alive, X-Amz-Copy-Source"],
        [b"close", b"te ,\tx-amz-copy-source"],
        [b"content-type"],
        [b"x-amz-meta-of-nobody"],
    ],
)
async def test_an_unsigned_connection_field_takes_no_signed_field_away(connection: list[bytes]) -> None:
    """CopyObject would go out as a PutObject of nothing, signed anew (RFC 9110 7.6.1; CVE-2024-45410)."""
    bench, asked = Bench(), Asked(method="PUT", said={"x-amz-copy-source": "/src/key", "content-type": "text/plain"})
    signed = bench.signed(await bench.made(), asked)
    await bench.sent(signed, asked, more=[(b"connection", b"keep-alive, x-other")])
    with pytest.raises(Forbidden):
        await bench.sent(signed, asked, more=[(b"connection", value) for value in connection])
    assert bench.told.events[-1][1]["fault"] == "signature"


@pytest.mark.parametrize("other", [Asked(method="DELETE"), Asked(target="/s3/other"), Asked(target="/s3/key?versioning=")])
async def test_a_signature_is_for_one_method_path_and_query(other: Asked) -> None:
    bench = Bench()
    assert await bench.refused(bench.signed(await bench.made(), Asked()), other) == "signature"


@pytest.mark.parametrize("asked", [PLAIN, Asked(method="PUT", payload=sha(b"short"), body=b"short")], ids=["no hash", "hash"])
async def test_another_body_breaks_the_signature(asked: Asked) -> None:
    bench = Bench()
    signed = bench.signed(await bench.made(), asked)
    changed = Asked(**{**vars(asked), "body": b"other"})
    assert await bench.refused(signed, changed) == "signature"


async def test_another_long_body_never_ends() -> None:
    """It goes out before its hash is known; what would complete it stays here."""
    bench = Bench()
    made = await bench.sent(bench.signed(await bench.made(), HASHED), HASHED, body=HeldBody(LONG[:-1], b"?"))
    pieces = aiter(made.body)
    with pytest.raises(BadRequest, match="not the one that the client signed"):
        await anext(pieces)


async def test_a_body_that_is_too_long_to_be_signed_is_refused_and_the_trail_says_what_to_do() -> None:
    bench, asked = Bench(), Asked(**{**vars(PLAIN), "body": LONG})
    with pytest.raises(BadRequest, match=r"session: .*: raise `buffer`") as caught:
        await bench.sent(bench.signed(await bench.made(), asked), asked)
    assert caught.value.reason == "body-too-large"


MALFORMED: dict[str, dict[str, str | None]] = {
    "no token": {"x-amz-security-token": None},
    "no signature": {"authorization": None},
    "another scheme": {"authorization": "Bearer lgp1_x"},
    "another algorithm": {"authorization": "AWS4-ECDSA-P256-SHA256 Credential=LGPK"},
    "no date": {"x-amz-date": None},
    "a date of another day": {"x-amz-date": "20000101T000000Z"},
    "no time": {"x-amz-date": "20270115T995959Z"},
    "no token of ours": {"x-amz-security-token": "of-amazon"},
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_what_is_no_signature_with_placeholders_is_refused_for_good(name: str) -> None:
    bench = Bench()
    fields = {**bench.signed(await bench.made(), Asked()), **MALFORMED[name]}
    assert await bench.refused({name: value for name, value in fields.items() if value is not None}) == "malformed"


@pytest.mark.parametrize("left_out", ["host", "x-amz-security-token", "x-amz-content-sha256"])
async def test_what_amazon_wants_signed_must_be(left_out: str) -> None:
    bench = Bench()
    made = await bench.made()
    date = datetime.fromtimestamp(bench.clock.now(), UTC).strftime("%Y%m%dT%H%M%SZ")
    said = {"host": HOST, "x-amz-security-token": made[2], "x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
    kept = {name: value for name, value in said.items() if name != left_out}
    fields = sign("GET", "/s3/key", kept, keys=made[:2], date=date, scope=("eu-west-1", "s3"))
    assert await bench.refused(said | fields) == "signature"


async def test_nobody_and_nothing_have_no_credential() -> None:
    bench = Bench()
    with pytest.raises(Ungranted):
        await bench.sent({"authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"})
    nobody = Principal(Identity(id=ANONYMOUS, issuer=ANONYMOUS, scheme=ANONYMOUS))
    with pytest.raises(Ungranted):
        await bench.sent(bench.signed(await bench.made(who=nobody), Asked()), who=nobody)


async def test_one_kind_of_placeholder_is_none_of_the_other() -> None:
    """Renamed or retyped in the configuration, a token must not go out as keys, nor keys as a token."""
    bench = Bench()
    token = await placeholder.sealed(bench.ring, placeholder.place("session", principal().key), b"x" * 20, 2**40)
    id, secret, triple = await bench.made()
    assert await bench.refused(bench.signed((id, secret, token), Asked())) == "altered"
    other = CapturedInjector("session", Captured(inject="captured"), bench.used)
    asked = AccessRequest(request((b"authorization", b"Bearer " + triple.encode())), "r", "u", {}, 0.0)
    coming = other.inject(outbound(), Permit(principal(), asked, None))
    assert coming is not None
    with pytest.raises(Forbidden):
        await coming


async def test_the_longest_keys_have_placeholders_that_open() -> None:
    bench = Bench()
    real = ("A" * 128, "s" * 64, "t" * placeholder.MOST)
    made = await keys.sealed(bench.ring, b"there", real, 7)
    assert len(made[2]) < placeholder.LONGEST
    held = await keys.opened(bench.ring, b"there", made[2].encode())
    assert (held.id.decode(), held.secret.reveal().decode(), held.expires) == (made[0], made[1], 7)
    assert (held.keys.id, held.keys.secret.reveal(), held.keys.token) == tuple(word.encode() for word in real)
    with pytest.raises(ValueError, match="too long"):
        await keys.sealed(bench.ring, b"there", ("A" * 128, "s" * 4000, "t" * placeholder.MOST), 7)


async def test_what_is_remembered_is_bounded_and_says_nothing_in_print(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(used, "EACH", 2)
    bench = Bench()
    for _ in range(3):
        await bench.sent(bench.signed(await bench.made(), Asked()))
        await bench.refused(bench.signed((*(await bench.made())[:2], "lgp1_" + "A" * 80), Asked()))
    assert len(bench.injector._opened) == 2
    assert not any(word in json.dumps(bench.told.events, default=str) for word in REAL[1:])
    made = await bench.made()
    await bench.sent(bench.signed(made, Asked()))
    spent = bench.injector._opened.find(principal().key, made[2].encode())
    assert spent is not None
    assert SECRET not in repr(spent.held)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"fields": ["/token"], "aws_keys": ["/R/Credentials"]},
        {"aws_keys": ["/R/Credentials"], "expires": "/R/Credentials/Expiration"},
        {"aws_keys": ["/R/Credentials"], "optional": ["/token"]},
        {"aws_keys": ["/R/Credentials"], "format": "form"},
    ],
)
def test_keys_are_captured_alone_or_tokens_are(more: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="aws_keys"):
        Capture.model_validate({"spend_with": "session", **more})
