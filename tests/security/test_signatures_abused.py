"""Attacks by means of message signatures on those who do not forge any: the worker, partners, and whoever is asked for none."""

import asyncio
import sys
from collections.abc import AsyncIterator
from types import FrameType
from typing import Any

import pytest

from gateway.core import structured
from gateway.core.errors import DependencyDown, Unauthenticated, Unavailable
from gateway.core.message import Field, Request
from gateway.core.reason import Reason
from gateway.detection.guard import Guard
from gateway.detection.model import Detection
from gateway.detection.watch import Watch
from gateway.store.once import MemoryOnce
from tests.fakes import CountingMetrics, HeldBody
from tests.issuer import NOW, Counted, FixedSecret, FrozenClock, authentication, grant
from tests.signatures import Door, Partner, asked, content_digest, parameters

MEBIBYTE = 1024 * 1024
SOCKET: tuple[Field, Field] = ((b"connection", b"Upgrade"), (b"upgrade", b"WebSocket"))
AGENT: tuple[Field, ...] = (
    (b"signature-agent", b'"https://agent.example"'),
    (b"signature-input", b'sig1=("@authority" "signature-agent");created=1;expires=2;keyid="abc";tag="web-bot-auth"'),
    (b"signature", b"sig1=:AAAA:"),
)


def forged(identifiers: str, *fields: Field, **more: Any) -> Request:
    """What a stranger sends who knows a key's id."""
    said = f'sig1=("@method" "@target-uri" {identifiers}){parameters(created=int(NOW), keyid="partner-1")}'
    signature = (b"signature-input", said.encode()), (b"signature", b"sig1=:" + b"A" * 86 + b"==:")
    return asked(*signature, *fields, **({"method": "GET", "body": None} | more))


async def counted(partner: Partner, request: Request) -> tuple[int, int, str]:
    """How often fields were read, all Python calls, and why the request was refused."""
    calls = reads = 0

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal calls, reads
        calls += event == "call"
        reads += event == "call" and frame.f_code is structured.dictionary.__code__

    sys.setprofile(count)
    try:
        error = await partner.door.refused(request)
    finally:
        sys.setprofile(None)
    return reads, calls, error.detail


MEMBERS = ",".join(f"a{number}" for number in range(800))
QUERY = "&".join(f"a{number}" for number in range(800))


def parts(count: int, name: str, parameter: str) -> str:
    return " ".join(f'"{name}";{parameter}="a{number}"' for number in range(count))


COSTLY = {
    "members of one field": (parts(16, "x", "key"), [(b"x", MEMBERS.encode())], "/", "does not verify"),
    "parameters of one query": (parts(16, "@query-param", "name"), [], f"/?{QUERY}", "does not verify"),
    "a long field": (parts(16, "x", "key"), [(b"x", (MEMBERS * 8)[:30000].encode())], "/", "4096 bytes"),
    "a long query": (parts(16, "@query-param", "name"), [], f"/?{QUERY}&{QUERY}", "4096 bytes"),
    "several fields": (
        f"{parts(8, 'x', 'key')} {parts(8, 'y', 'key')}",
        [(b"x", MEMBERS[:2989].encode()), (b"y", MEMBERS[:2989].encode())],
        "/",
        "4096 bytes",
    ),
    "many parts": (parts(17, "x", "key"), [(b"x", MEMBERS.encode())], "/", "16 with parameters"),
    "a long Connection": (
        " ".join(f'"x{number}"' for number in range(60)),
        [*((b"x%d" % number, b"") for number in range(60)), (b"connection", b"," * 30000)],
        "/",
        "does not verify",
    ),
    "a long digest": (
        '"content-digest"',
        [(b"content-digest", (content_digest(b"") + ", " + MEMBERS).encode())],
        "/",
        "1024 bytes",
    ),
    "numbers": ('"x" ' + "1 " * 3500, [], "/", "too many"),
    "much": ('"x" "x";bs', [(b"x", b"a" * 40000)], "/", "65536 bytes"),
}


@pytest.mark.parametrize("way", COSTLY)
async def test_a_stranger_who_knows_a_key_id_does_not_stop_a_worker(way: str) -> None:
    """Fields and query are read once however many components are of them, and not at all where they are long: 62 members of a field of
    30 kB took a second, 62 parameters of a query a fifth."""
    partner = Partner()
    identifiers, fields, target, why = COSTLY[way]
    _, ordinary, _ = await counted(partner, forged('"x"', (b"x", b"1")))
    reads, calls, detail = await counted(partner, forged(identifiers, *fields, target=target))
    assert why in detail
    assert reads <= 4  # two fields of the signature, one that is covered, Content-Digest
    assert calls < 80 * ordinary


async def test_strangers_failures_in_his_name_cost_a_partner_nothing() -> None:
    """50 forgeries from many addresses, then one mistake of his own: only failures that successes can outweigh count for a name."""
    partner, clock = Partner(), FrozenClock(NOW)
    guard = Guard(clock, Counted(), lambda *_, **__: None)
    guard.adopt(Detection())
    watch = Watch(guard, clock, ())
    watch.succeeded("192.0.2.1", await partner.door.ask(asked(*partner.sign())))
    for number in range(60):
        watch.failed(f"203.0.113.{number // 4}", await partner.door.refused(forged("")))
    watch.failed("192.0.2.1", await partner.door.refused(asked(*partner.sign(host="old.example.com"))))
    assert "192.0.2.1" not in watch.blocked


async def test_no_body_is_read_for_a_captured_head_that_was_used() -> None:
    partner = Partner()
    head = partner.sign()
    await partner.door.ask(asked(*head))
    again = asked(*head)
    error = await partner.door.refused(again)
    assert "used before" in error.detail
    assert error.genuine
    assert isinstance(again.body, HeldBody)
    assert again.body.read_calls == 0


class Stalled(HeldBody):
    """A body of which nothing comes."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""


async def test_a_captured_head_takes_no_more_room_than_an_address() -> None:
    """Sent from many addresses, each slowly: other partners' bodies are read all the same."""
    partner, other = Partner(max_body=8 * MEBIBYTE), Partner(tag="other")
    door = Door({"partners": partner.entry, "others": other.entry})
    head = partner.sign()

    def slow(number: int) -> Request:
        request = asked(*head)
        request.head.client = f"203.0.113.{number}"
        request.body = Stalled(bytes(8 * MEBIBYTE))
        return request

    tasks = [asyncio.create_task(door.ask(slow(number))) for number in range(16)]
    try:
        for _ in range(3):
            await asyncio.sleep(0)
        assert [task.done() for task in tasks] == [False] * 2 + [True] * 14
        assert all(isinstance(task.exception(), Unavailable) for task in tasks[2:])
        assert (await door.ask(asked(*other.sign(stated={"tag": "other"})))).id == "partner"
    finally:
        for task in tasks:
            task.cancel()


HOOKS = {"hooks": {"header": "X-Hub-Signature-256", "secrets": [{"env": "HOOK"}], "subject": "hooks"}}


@pytest.mark.parametrize("fields", [AGENT, (*AGENT, *AGENT), Partner().sign()], ids=["an agent's", "twice", "a partner's"])
async def test_a_signature_is_no_credential_where_none_is_asked_for(fields: tuple[Field, ...]) -> None:
    """Agents and proxies sign for others: neither a second credential, nor a guess."""
    model = {"signatures": {"partners": Partner().entry}, "hmac": HOOKS}
    made = authentication(model, secrets=lambda reference: FixedSecret(b"k3Jw9vQzP0sLx7TnB2mYc5RdF8hGaE1u"))
    gate = made.gate(("hmac.hooks",), anonymous=False, grant=grant)
    with pytest.raises(Unauthenticated) as alone:
        await gate.authenticate(asked(*fields))
    assert alone.value.reason is Reason.CREDENTIAL_MISSING
    with pytest.raises(Unauthenticated, match="hmac hooks"):
        await gate.authenticate(asked(*fields, (b"x-hub-signature-256", b"00")))
    assert made.credential_headers() >= {b"signature", b"signature-input"}


async def test_a_genuine_signature_of_another_entry_is_no_guess_and_a_forged_one_is() -> None:
    here, there = Partner(), Partner()
    entry = {"keys": {"partner-2": {"algorithm": "ed25519", "jwk": there.key.jwk(), "subject": "other"}}}
    door = Door({"partners": here.entry, "others": entry}, accept=["signatures.partners"])
    genuine = await door.refused(asked(*there.sign(stated={"keyid": "partner-2"})))
    assert (genuine.reason, genuine.genuine) == (Reason.CREDENTIAL_INVALID, True)
    assert not (await door.refused(asked(*Partner().sign(stated={"keyid": "partner-2"})))).genuine
    assert not (await door.refused(asked(*there.sign()))).genuine  # in the name of a key that is not his


async def test_where_every_entry_has_a_tag_others_signatures_are_as_none() -> None:
    door = Door({"partners": Partner(tag="ours").entry})
    error = await door.refused(asked(*AGENT))
    assert error.reason is Reason.CREDENTIAL_MISSING
    assert b"error=" not in dict(error.headers)[b"www-authenticate"]


async def test_one_partner_does_not_use_up_the_memory_of_others() -> None:
    one, other = Partner(), Partner(tag="other")
    once = MemoryOnce(FrozenClock(NOW), CountingMetrics(), most=3)
    door = Door({"one": one.entry, "other": other.entry}, once=once)
    for number in range(3):
        await door.ask(asked(*one.sign(stated={"nonce": str(number)})))
    with pytest.raises(DependencyDown, match=r"signature\.one"):
        await door.ask(asked(*one.sign(stated={"nonce": "4"})))
    await door.ask(asked(*other.sign(stated={"tag": "other"})))


async def test_a_signed_read_does_not_open_a_socket() -> None:
    """Whoever captured one adds Upgrade, which Connection names and nobody signed."""
    partner = Partner()
    covered = ("@method", "@target-uri")
    for fields in (SOCKET, (SOCKET[0], (b"upgrade", b"h2c, websocket")), (SOCKET[0], (b"upgrade", b"h2c"), SOCKET[1])):
        error = await partner.door.refused(asked(*partner.sign(*covered, method="GET"), *fields, method="GET", body=None))
        assert "does not cover upgrade" in error.detail
    h2c = (SOCKET[0], (b"upgrade", b"h2c"))  # which nobody here goes along with
    await partner.door.ask(asked(*partner.sign(*covered, method="GET"), *h2c, method="GET", body=None))
    named = partner.sign(*covered, "upgrade", method="GET", upgrade="h2c")
    assert "Connection" in (await partner.door.refused(asked(*named, *h2c, method="GET", body=None))).detail
    signature = partner.sign(*covered, "upgrade", method="GET", upgrade="WebSocket")
    await partner.door.ask(asked(*signature, *SOCKET, method="GET", body=None))
