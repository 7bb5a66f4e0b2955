"""Requests signed with a shared secret: the vendors' own examples, and everything about them that may be wrong."""

import asyncio
import base64
import hmac
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.authn.authentication import Authentication
from gateway.authn.model import Authentication as Model
from gateway.authn.model import HmacCaller
from gateway.core.errors import BadRequest, ConfigError, DependencyDown, GatewayError, Unauthenticated
from gateway.core.message import Field, Request
from gateway.core.principal import Principal
from gateway.core.reason import Reason
from gateway.store.once import MemoryOnce
from tests.fakes import CountingMetrics, HeldBody, a_request
from tests.issuer import PEPPER, Counted, FixedSecret, FrozenClock, ScriptedFetch, grant, issuer_model

SECRET = "It's a Secret to Everybody"
STYLES: dict[str, dict[str, Any]] = {
    "github": {"header": "X-Hub-Signature-256", "prefix": "sha256="},
    "slack": {
        "header": "X-Slack-Signature",
        "prefix": "v0=",
        "content": "v0:{timestamp}:{body}",
        "timestamp": {"header": "X-Slack-Request-Timestamp"},
    },
    "standard-webhooks": {
        "header": "webhook-signature",
        "key": "base64",
        "encoding": "base64",
        "prefix": "v1,",
        "separator": " ",
        "content": "{id}.{timestamp}.{body}",
        "id": "webhook-id",
        "timestamp": {"header": "webhook-timestamp"},
    },
    "stripe": {
        "header": "Stripe-Signature",
        "prefix": "v1=",
        "separator": ",",
        "content": "{timestamp}.{body}",
        "timestamp": {"prefix": "t="},
    },
    "shopify": {"header": "X-Shopify-Hmac-Sha256", "encoding": "base64"},
}


class Door:
    """A way in for one sender."""

    def __init__(
        self, style: str = "github", secrets: tuple[str, ...] = (SECRET,), now: float = 1_700_000_000, **more: Any
    ) -> None:
        self.clock = FrozenClock(now)
        self.once = MemoryOnce(self.clock, CountingMetrics())
        self.values = [FixedSecret(secret.encode()) for secret in secrets]
        entry = STYLES[style] | {"secrets": [{"env": f"S{n}"} for n in range(len(secrets))], "subject": style} | more
        model = Model.model_validate({"hmac": {"sender": entry}, "jwt": {"corp": issuer_model()}, "mtls": {}})
        self.authentication = Authentication(
            model,
            fetch=ScriptedFetch(),
            clock=self.clock,
            metrics=Counted(),
            secrets=lambda reference: self.values[int(getattr(reference, "env", "S0")[1:])],
            once=self.once,
        )
        self.gate = self.authentication.gate(("hmac.sender",), anonymous=False, grant=grant)

    async def ask(self, fields: Mapping[str, str] | list[Field], body: bytes = b"", **more: Any) -> Principal:
        return await self.gate.authenticate(asked(fields, body, **more))

    async def refused(self, fields: Mapping[str, str] | list[Field], body: bytes = b"", **more: Any) -> str:
        with pytest.raises(Unauthenticated) as caught:
            await self.ask(fields, body, **more)
        return caught.value.detail


def asked(fields: Mapping[str, str] | list[Field], body: bytes, **more: Any) -> Request:
    listed = fields if isinstance(fields, list) else [(name.lower().encode(), value.encode()) for name, value in fields.items()]
    return a_request("POST", headers=listed, body=HeldBody(body), **more)


def github(body: bytes, secret: str = SECRET) -> dict[str, str]:
    return {"X-Hub-Signature-256": "sha256=" + hmac.digest(secret.encode(), body, "sha256").hex()}


def stripe(body: bytes, stamp: str, secret: str = SECRET) -> dict[str, str]:
    signature = hmac.digest(secret.encode(), stamp.encode() + b"." + body, "sha256").hex()
    return {"Stripe-Signature": f"t={stamp},v1={signature},v0=ignored"}


async def test_the_vendors_documented_examples_are_taken_and_once_only(vectors: Path) -> None:
    found = json.loads((vectors / "webhooks" / "documented_vectors.json").read_text())
    assert {example["provider"] for example in found} == {"github", "slack", "standard-webhooks"}
    for example in found:
        door = Door(example["provider"], (example["secret"],), now=example.get("clock", 1_700_000_000))
        principal = await door.ask(example["headers"], example["body"].encode())
        assert (principal.issuer, principal.id, principal.scheme) == ("sender", example["provider"], "hmac")
        assert "used before" in await door.refused(example["headers"], example["body"].encode())
        door = Door(example["provider"], (example["secret"],), now=example.get("clock", 1_700_000_000))
        assert "no secret" in await door.refused(example["headers"], example["body"].encode() + b" ")


@pytest.mark.parametrize(
    ("style", "secret", "now", "fields", "body"),
    [
        (
            "stripe",
            "whsec_test_secret",
            1_700_000_000,
            {"Stripe-Signature": "t=1700000000,v1=8042376f6ca064adbe037642a718227dfd59047137eb49497a54c49eb0cfb724"},
            b'{"id":"evt_test","object":"event"}',
        ),
        (
            "github",
            SECRET,
            1_700_000_000,
            {"X-Hub-Signature-256": "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"},
            b"Hello World!",
        ),
    ],
    ids=["stripe", "atlassian"],
)
async def test_other_senders_examples_are_taken(style: str, secret: str, now: float, fields: dict[str, str], body: bytes) -> None:
    assert (await Door(style, (secret,), now=now).ask(fields, body)).id == style


async def test_the_body_that_was_verified_is_the_one_that_goes_on() -> None:
    request = asked(github(b"abc"), b"abc")
    await Door().gate.authenticate(request)
    assert request.body.whole == b"abc"


@pytest.mark.parametrize(
    "value", ["", "sha256=", "sha1=" + 40 * "0", "sha256=" + 62 * "0", "sha256=zz", "sha256=" + 2100 * "0", "é"]
)
async def test_a_signature_that_is_none_is_refused_without_reading_the_body(value: str) -> None:
    request = asked([(b"x-hub-signature-256", value.encode())], b"abc")
    with pytest.raises(Unauthenticated):
        await Door().gate.authenticate(request)
    assert isinstance(request.body, HeldBody)
    assert request.body.read_calls == 0


@pytest.mark.parametrize(
    "stamp", ["1699999699", "1700000301", "", "now", "-1", "1e9", "17000000000000", "+1700000000", "1_700_000_000"]
)
async def test_a_time_that_is_none_or_not_near_is_refused_without_reading_the_body(stamp: str) -> None:
    request = asked(stripe(b"abc", stamp), b"abc")
    with pytest.raises(Unauthenticated):
        await Door("stripe").gate.authenticate(request)
    assert isinstance(request.body, HeldBody)
    assert request.body.read_calls == 0


async def test_times_at_the_edges_of_the_tolerance_are_taken() -> None:
    for stamp in ("1699999700", "1700000300"):
        assert (await Door("stripe").ask(stripe(b"abc", stamp), b"abc")).id == "stripe"


async def test_two_times_are_none() -> None:
    fields = stripe(b"abc", "1700000000")
    fields["Stripe-Signature"] = "t=1," + fields["Stripe-Signature"]
    assert "no time" in await Door("stripe").refused(fields, b"abc")


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp"])
async def test_a_signed_field_that_is_missing_or_comes_twice_is_refused(name: str) -> None:
    fields = [(b"webhook-id", b"m1"), (b"webhook-timestamp", b"1700000000"), (b"webhook-signature", b"v1," + 43 * b"A" + b"=")]
    door = Door("standard-webhooks", ("whsec_" + base64.b64encode(SECRET.encode()).decode(),))
    again = [field for field in fields if field[0] == name.encode()]
    assert "missing or repeated" in await door.refused([*fields, *again])
    assert await door.refused([field for field in fields if field not in again])


async def test_two_signatures_in_two_fields_are_ambiguous() -> None:
    [(name, value)] = github(b"abc").items()
    twice = [(name.lower().encode(), value.encode())] * 2
    with pytest.raises(BadRequest) as caught:
        await Door().gate.authenticate(asked(twice, b"abc"))
    assert caught.value.reason is Reason.CREDENTIAL_AMBIGUOUS


async def test_a_signature_beside_another_credential_is_ambiguous() -> None:
    for other in ({"Authorization": "Bearer a.b.c"}, {"Authorization": "Basic eDp5"}):
        with pytest.raises(BadRequest) as caught:
            await Door().gate.authenticate(asked(github(b"abc") | other, b"abc"))
        assert caught.value.reason is Reason.CREDENTIAL_AMBIGUOUS


async def test_a_signature_counts_on_no_route_that_does_not_take_it() -> None:
    door = Door()
    door.gate = door.authentication.gate(("jwt.corp", "mtls"), anonymous=False, grant=grant)
    assert "not accepted here" in await door.refused(github(b"abc"), b"abc")


async def test_the_upstream_is_never_told_the_signature() -> None:
    assert b"x-hub-signature-256" in Door().authentication.credential_headers()


async def test_two_secrets_overlap_while_one_is_replaced_and_any_of_several_signatures_counts() -> None:
    old, new = "0123456789abcdefOLD", "0123456789abcdefNEW"
    door = Door("stripe", (new, old))
    for secret, body in ((old, b"1"), (new, b"2")):
        assert (await door.ask(stripe(body, "1700000000", secret), body)).id == "stripe"
    one, other = (stripe(b"3", "1700000000", secret)["Stripe-Signature"] for secret in ("0123456789abcdefXXX", new))
    both = {"Stripe-Signature": one + "," + other.partition(",")[2]}
    assert (await door.ask(both, b"3")).id == "stripe"
    many = {"Stripe-Signature": "t=1700000000" + 9 * (",v1=" + 64 * "0")}
    assert "too many" in await door.refused(many, b"4")


async def test_apisix_hmac_auth_a_replay_is_refused_however_it_is_written() -> None:
    door = Door("stripe")
    fields = stripe(b"abc", "1700000000")
    await door.ask(fields, b"abc")
    signature = fields["Stripe-Signature"].split(",")[1].removeprefix("v1=")
    for value in (
        fields["Stripe-Signature"],
        f"t=1700000000,v1={signature.upper()}",
        f"v1={signature}, t=1700000000",
        f"t=1700000000,v1={64 * '0'},v1={signature}",
    ):
        assert "used before" in await door.refused({"Stripe-Signature": value}, b"abc")
    door.clock.advance(599)
    assert await door.refused(fields, b"abc")


async def test_what_was_signed_is_not_cut_into_parts_otherwise() -> None:
    """An id that ends in a time would leave the body's beginning to be the time: one signature for two requests."""
    key = base64.b64encode(SECRET.encode()).decode()
    content = b"m1.1600000000.1700000000.{}"
    signature = base64.b64encode(hmac.digest(SECRET.encode(), content, "sha256")).decode()
    said = {"webhook-signature": f"v1,{signature}"}
    door = Door("standard-webhooks", (f"whsec_{key}",), replay="0s")
    cut = said | {"webhook-id": "m1.1600000000", "webhook-timestamp": "1700000000"}
    assert "read in two ways" in await door.refused(cut, b"{}")
    door.clock.advance(-100_000_000)
    signed = said | {"webhook-id": "m1", "webhook-timestamp": "1600000000"}
    assert (await door.ask(signed, b"1700000000.{}")).id == "standard-webhooks"


async def test_cve_2023_35941_a_signature_over_nothing_is_judged_as_any_other() -> None:
    """Of an empty body nothing but the secret and the time is unknown: neither may be guessed, and neither counts for ever."""
    door = Door("stripe")
    for secret in ("", "\0" * 32, "1700000000", "."):
        assert "no secret" in await door.refused(stripe(b"", "1700000000", secret))
    for stamp in ("", "0", "0000000000"):
        assert await door.refused(stripe(b"", stamp))
    fields = stripe(b"", "1700000000")
    assert (await door.ask(fields)).id == "stripe"
    assert "used before" in await door.refused(fields)
    door.clock.advance(100_000)
    assert "too long ago" in await door.refused(fields)


async def test_a_refused_signature_uses_nothing_up() -> None:
    door = Door()
    await door.refused(github(b"abc", "another secret of some length"), b"abc")
    assert (await door.ask(github(b"abc"), b"abc")).id == "github"


async def test_replays_are_taken_only_where_that_is_said() -> None:
    door = Door(replay="0s")
    assert [(await door.ask(github(b"abc"), b"abc")).id for _ in range(2)] == 2 * ["github"]


async def test_what_cannot_be_remembered_is_503() -> None:
    model = Model.model_validate({"hmac": {"sender": STYLES["github"] | {"secrets": [{"env": "S"}], "subject": "s"}}})
    made = Authentication(
        model,
        fetch=ScriptedFetch(),
        clock=FrozenClock(),
        metrics=Counted(),
        secrets=lambda reference: FixedSecret(SECRET.encode()),
        once=MemoryOnce(FrozenClock(), Counted(), most=0),
    )
    gate = made.gate(("hmac.sender",), anonymous=False, grant=grant)
    with pytest.raises(DependencyDown):
        await gate.authenticate(asked(github(b"abc"), b"abc"))


async def test_a_body_beyond_the_cap_is_413() -> None:
    with pytest.raises(BadRequest) as caught:
        await Door(max_body=2).ask(github(b"abc"), b"abc")
    assert caught.value.status == 413


MIB = 1024 * 1024


class Slow(HeldBody):
    """A body that is announced, and comes once it may."""

    def __init__(self, length: int | None, may: asyncio.Event) -> None:
        super().__init__(b"abc")
        self.length = length
        self.may = may

    async def read(self, limit: int) -> bytes:
        self.read_calls += 1
        await self.may.wait()
        return b"abc"


async def ended(door: Door, client: str, body: HeldBody) -> int:
    """The status that a stranger's request ends with: its signature has the right form, and nothing else."""
    try:
        await door.gate.authenticate(a_request("POST", headers=FORGED, body=body, client=client))
    except GatewayError as error:
        return error.status
    return 200


FORGED = [(b"x-hub-signature-256", b"sha256=" + 64 * b"0")]


@pytest.mark.parametrize("length", [MIB, None])
async def test_strangers_bodies_that_are_read_at_a_time_are_bounded(length: int | None) -> None:
    """Anybody can send a header of the right form, and a body of the largest size behind it."""
    door, may = Door(), asyncio.Event()
    clients = [f"203.0.113.{number}" for number in range(4)]
    crowd = [asyncio.create_task(ended(door, client, Slow(length, may))) for client in clients for _ in range(16)]
    await asyncio.sleep(0)
    beyond = Slow(length, may)
    assert await ended(door, "203.0.113.9", beyond) == 503
    assert beyond.read_calls == 0
    may.set()
    assert set(await asyncio.gather(*crowd)) == {401}
    assert await ended(door, "203.0.113.9", Slow(length, may)) == 401


async def test_one_address_does_not_take_all_the_room() -> None:
    door, may = Door(), asyncio.Event()
    crowd = [asyncio.create_task(ended(door, "2001:db8::1", Slow(MIB, may))) for _ in range(16)]
    await asyncio.sleep(0)
    assert await ended(door, "2001:db8::2", Slow(1, may)) == 503
    assert (await door.ask(github(b"abc"), b"abc")).id == "github"
    may.set()
    assert set(await asyncio.gather(*crowd)) == {401}
    assert await ended(door, "2001:db8::2", Slow(1, may)) == 401


async def test_one_body_of_the_largest_size_that_may_be_configured_fits() -> None:
    may = asyncio.Event()
    may.set()
    assert await ended(Door(max_body="64MiB"), "203.0.113.9", Slow(64 * MIB, may)) == 401


async def test_a_body_that_is_refused_for_its_length_takes_no_room() -> None:
    door, may = Door(), asyncio.Event()
    crowd = [asyncio.create_task(ended(door, "203.0.113.9", Slow(MIB + 1, may))) for _ in range(100)]
    await asyncio.sleep(0)
    assert (await door.ask(github(b"abc"), b"abc", client="203.0.113.9")).id == "github"
    may.set()
    assert set(await asyncio.gather(*crowd)) == {401}


async def test_a_large_body_is_hashed_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    made, threads = hmac.new, list[int]()

    def new(*given: Any, **named: Any) -> Any:
        threads.append(threading.get_ident())
        return made(*given, **named)

    monkeypatch.setattr(hmac, "new", new)
    small, large = b"abc", MIB * b"x"
    assert (await Door().ask(github(small), small)).id == "github"
    assert (await Door().ask(github(large), large)).id == "github"
    assert threads[0] == threading.get_ident() != threads[1]


async def test_a_signature_is_remembered_longer_than_replicas_whose_clocks_differ_take_it() -> None:
    """Replicas that share a store: used at one whose clock is ahead, sent again at one that is behind."""
    for replay, least in ((None, 660), ("10m", 660), ("1d", 86400)):
        door = Door("stripe", replay=replay)
        await door.ask(stripe(b"abc", "1700000000"), b"abc")
        door.clock.ticks += least - 1
        assert "used before" in await door.refused(stripe(b"abc", "1700000000"), b"abc")


async def test_method_and_target_may_be_signed() -> None:
    door = Door(content="{method} {target}\n{body}".replace("\n", "|"))
    content = b"POST /hooks/a|abc"
    fields = {"X-Hub-Signature-256": "sha256=" + hmac.digest(SECRET.encode(), content, "sha256").hex()}
    assert "no secret" in await door.refused(fields, b"abc", path="/hooks/b")
    assert (await door.ask(fields, b"abc", path="/hooks/a")).id == "github"


@given(st.binary(max_size=200), st.integers(0, 199), st.integers(1, 255))
async def test_any_other_body_is_refused(body: bytes, place: int, change: int) -> None:
    changed = bytearray(body or b"x")
    changed[place % len(changed)] ^= change
    fields = github(body)
    assert "no secret" in await Door().refused(fields, bytes(changed) if body else b"x")


@pytest.mark.parametrize("header", ["Authorization", "cookie", "Host", "Content-Length"])
def test_no_signature_is_looked_for_in_a_field_with_a_meaning_of_its_own(header: str) -> None:
    with pytest.raises(ValidationError, match="meaning of its own"):
        HmacCaller.model_validate({"header": header, "secrets": [{"env": "S"}], "subject": "s"})


@pytest.mark.parametrize(
    "wrong",
    [
        {"content": "fixed"},
        {"content": "{body}{nonce}"},
        {"content": "{timestamp}.{body}"},
        {"content": "{body}", "timestamp": {"header": "T"}},
        {"content": "{timestamp}{body}", "timestamp": {"header": "T", "prefix": "t="}},
        {"content": "{timestamp}{body}", "timestamp": {"prefix": "t="}},
        {"content": "{body}", "id": "I"},
        {"content": "{id}{body}", "id": "I"},
        {"content": "{method}{target} {body}"},
        {"content": "{timestamp}{body}", "timestamp": {"header": "T"}, "replay": "599s"},
        {"algorithm": "sha1"},
        {"secrets": []},
        {"secrets": ["in the clear"]},
        {"subject": "a b"},
    ],
    ids=str,
)
def test_what_would_leave_something_unsigned_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        HmacCaller.model_validate({"header": "X-Signature", "secrets": [{"env": "S"}], "subject": "s"} | wrong)


@pytest.mark.parametrize(
    ("secret", "more"), [("short", {}), (16 * "a", {}), ("not base64 in any way!", {"key": "base64"})], ids=str
)
def test_a_secret_that_is_weak_or_no_key_is_refused_at_load(secret: str, more: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"authentication\.hmac\.sender\.secrets"):
        Door(secrets=(secret,), **more)


async def test_a_secret_that_goes_away_is_503() -> None:
    door = Door()
    door.values[0].replace(None)
    with pytest.raises(DependencyDown):
        await door.ask(github(b"abc"), b"abc")


def test_two_senders_of_one_header_field_on_a_route_are_refused() -> None:
    entry = STYLES["github"] | {"secrets": [{"env": "S"}], "subject": "s"}
    model = Model.model_validate({"hmac": {"one": entry, "two": entry}})
    made = Authentication(
        model,
        fetch=ScriptedFetch(),
        clock=FrozenClock(),
        metrics=Counted(),
        secrets=lambda reference: FixedSecret(PEPPER),
        once=MemoryOnce(FrozenClock(), Counted()),
    )
    with pytest.raises(ConfigError, match="same header field"):
        made.gate(("hmac.one", "hmac.two"), anonymous=False, grant=grant)


async def test_the_longer_hash_is_taken_where_it_is_configured_and_no_other() -> None:
    mac = hmac.digest(SECRET.encode(), b"abc", "sha512").hex()
    assert (await Door(algorithm="sha512").ask({"X-Hub-Signature-256": f"sha256={mac}"}, b"abc")).id == "github"
    assert "another length" in await Door().refused({"X-Hub-Signature-256": f"sha256={mac}"}, b"abc")
    assert "another length" in await Door(algorithm="sha512").refused(github(b"abc"), b"abc")
