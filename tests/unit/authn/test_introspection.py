"""Opaque tokens (RFC 7662): what is asked, what of the answer counts, for how long, and for whom."""

import asyncio
import json
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.authn.introspection import AT_ONCE, WAITING
from gateway.authn.model import Introspection
from gateway.core.errors import ConfigError, DependencyDown, Unauthenticated
from gateway.core.ports import Fetched
from gateway.core.principal import Principal
from gateway.core.reason import Reason
from tests.issuer import (
    AUDIENCE,
    ISSUER,
    NOW,
    FixedSecret,
    FrozenClock,
    Held,
    ScriptedFetch,
    authentication,
    bearer,
    grant,
    issuer_model,
    request,
)

URL = "https://idp.example.com/introspect"
SECRET = b"s3cret: with a colon"


def entry(**more: Any) -> dict[str, Any]:
    """One entry under `authentication.introspection`."""
    made = {"url": URL, "client": {"id": "gate:way", "secret": {"env": "S"}}, "issuer": ISSUER, "audience": [AUDIENCE]} | more
    return {name: value for name, value in made.items() if value is not None}


def said(**more: Any) -> Fetched:
    """What the endpoint answers; a member given as None is left out."""
    members = {"active": True, "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": NOW + 600, "token_type": "Bearer"} | more
    return Fetched(200, {}, json.dumps({name: value for name, value in members.items() if value is not None}).encode())


class Door:
    """A way in that takes opaque tokens, its endpoint and its clock."""

    def __init__(self, answer: Any = None, *, accepted: tuple[str, ...] = ("introspection.corp",), **more: Any) -> None:
        self.clock = FrozenClock()
        self.fetch = ScriptedFetch({URL: said() if answer is None else answer})
        model = {"introspection": {"corp": entry(**more)}, "jwt": {"tokens": issuer_model()}}
        self.authentication = authentication(
            model, fetch=self.fetch, clock=self.clock, secrets=lambda reference: FixedSecret(SECRET)
        )
        self.gate = self.authentication.gate(accepted, anonymous=False, grant=grant)

    async def ask(self, presented: str = "opaque-1") -> Principal:
        return await self.gate.authenticate(request(bearer(presented)))

    async def refused(self, presented: str = "opaque-1") -> Unauthenticated:
        with pytest.raises(Unauthenticated) as caught:
            await self.ask(presented)
        return caught.value


async def test_a_token_is_asked_about_and_its_claims_make_the_principal() -> None:
    door = Door(said(scope="read write", groups=["staff"], jti="j1"))
    principal = await door.ask()
    assert (principal.issuer, principal.id, principal.scheme) == ("corp", "alice", "introspection")
    assert (principal.scopes, principal.groups, principal.credential_id) == (("read", "write"), ("staff",), "j1")
    [posted] = door.fetch.posted
    assert posted.form == {"token": "opaque-1", "token_type_hint": "access_token"}
    assert posted.headers == {"authorization": "Basic Z2F0ZSUzQXdheTpzM2NyZXQlM0Erd2l0aCthK2NvbG9u"}


async def test_the_client_may_say_who_it_is_in_the_form() -> None:
    door = Door(client={"id": "gateway", "secret": {"env": "S"}, "auth": "client_secret_post"})
    await door.ask()
    [posted] = door.fetch.posted
    assert posted.form["client_id"] == "gateway"
    assert posted.form["client_secret"] == SECRET.decode()
    assert "authorization" not in posted.headers


async def test_without_a_jti_the_trail_has_a_fingerprint_that_nobody_can_make() -> None:
    first, second = (await Door().ask()).credential_id, (await Door().ask()).credential_id
    assert first is not None
    assert first.startswith("fp:")
    assert first != second


@pytest.mark.parametrize(
    "answer",
    [
        {"active": False},
        {"iss": "https://other.example/"},
        {"iss": None},
        {"aud": "https://other.example"},
        {"aud": None},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "a\nb"},
        {"exp": None},
        {"exp": NOW - 31},
        {"exp": "never"},
        {"exp": True},
        {"nbf": NOW + 300},
        {"scope": 7},
        {"cnf": {"jkt": "x"}},
        {"token_type": "DPoP"},
        {"token_type": None},
        {"token_type": 7},
        {"token_use": "refresh_token"},
        {"token_use": "id_token"},
    ],
    ids=str,
)
async def test_an_answer_that_does_not_fit_is_refused_and_not_asked_for_again_at_once(answer: dict[str, Any]) -> None:
    door = Door(said(**answer))
    first, second = await door.refused(), await door.refused()
    assert first.status == 401
    assert second.detail == first.detail
    assert first.genuine is second.genuine is not {"iss", "aud"}.isdisjoint(answer)
    assert first.headers == ((b"www-authenticate", b'Bearer realm="gateway", error="invalid_token"'),)
    assert len(door.fetch.posted) == 1
    door.clock.advance(10)
    await door.refused()
    assert len(door.fetch.posted) == 2


async def test_an_expired_token_is_told_as_such() -> None:
    assert (await Door(said(exp=NOW - 60)).refused()).reason is Reason.CREDENTIAL_EXPIRED


@pytest.mark.parametrize(
    "answer",
    [
        Fetched(401, {}, b'{"active": true}'),
        Fetched(302, {}, b""),
        Fetched(500, {}, b""),
        Fetched(200, {}, b"active"),
        Fetched(200, {}, b"[true]"),
        Fetched(200, {}, b"{}"),
        said(active="true"),
        said(active=1),
        Fetched(200, {}, b'{"active": false, "active": true, "sub": "alice"}'),
        Fetched(200, {}, b'\xff{"active": true}'),
        DependencyDown("idp.example.com: ConnectError"),
    ],
    ids=lambda answer: str(answer.body if isinstance(answer, Fetched) else answer)[:40],
)
async def test_what_is_no_answer_is_503_and_not_remembered(answer: Any) -> None:
    door = Door(answer)
    with pytest.raises(DependencyDown) as caught:
        await door.ask()
    assert caught.value.status == 503
    door.fetch.answers[URL] = said()
    assert (await door.ask()).id == "alice"


async def test_a_secret_that_is_gone_is_503() -> None:
    door = Door()
    held = FixedSecret(None)
    door.authentication = authentication({"introspection": {"corp": entry()}}, fetch=door.fetch, secrets=lambda reference: held)
    door.gate = door.authentication.gate(("introspection.corp",), anonymous=False, grant=grant)
    with pytest.raises(DependencyDown):
        await door.ask()
    held.replace(b"\xff")
    with pytest.raises(DependencyDown, match="not UTF-8"):
        await door.ask()


async def test_an_answer_counts_for_the_stated_time_and_a_revocation_is_felt_then() -> None:
    door = Door(cache="60s")
    await door.ask()
    door.fetch.answers[URL] = said(active=False)
    door.clock.advance(59)
    assert (await door.ask()).id == "alice"
    door.clock.advance(1)
    assert "not active" in (await door.refused()).detail


async def test_an_answer_never_counts_past_its_expiry() -> None:
    door = Door(said(exp=NOW + 5), leeway="0s")
    await door.ask()
    door.clock.advance(5)
    assert (await door.refused()).reason is Reason.CREDENTIAL_EXPIRED
    assert len(door.fetch.posted) == 2


async def test_a_token_that_becomes_active_is_taken_once_the_refusal_is_forgotten() -> None:
    door = Door(said(active=False))
    await door.refused()
    door.fetch.answers[URL] = said()
    door.clock.advance(10)
    assert (await door.ask()).id == "alice"
    assert (await door.ask()).id == "alice"
    assert len(door.fetch.posted) == 2


async def test_all_who_come_at_once_wait_for_one_answer_also_when_the_first_leaves() -> None:
    held = Held(said())
    door = Door(held)
    first = asyncio.create_task(door.ask())
    await held.asked.wait()
    others = [asyncio.create_task(door.ask()) for _ in range(5)]
    await asyncio.sleep(0)
    first.cancel()
    held.go.set()
    assert [principal.id for principal in await asyncio.gather(*others)] == 5 * ["alice"]
    assert len(door.fetch.posted) == 1
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_an_answer_that_does_not_come_is_503_in_time() -> None:
    door = Door(Held(said()), timeout="50ms")
    with pytest.raises(DependencyDown, match="in time"):
        await door.ask()
    await door.authentication.close()


async def test_who_waits_is_bounded_and_few_are_asked_about_at_once() -> None:
    held = Held(said())
    door = Door(held)
    waiting = [asyncio.create_task(door.ask(f"opaque-{number}")) for number in range(WAITING)]
    await held.asked.wait()
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(door.fetch.posted) == AT_ONCE
    with pytest.raises(DependencyDown, match="too many"):
        await door.ask("one-more")
    held.go.set()
    await asyncio.gather(*waiting)
    assert len(door.fetch.posted) == WAITING


async def test_a_reload_leaves_nobody_without_the_answer_he_waits_for() -> None:
    held = Held(said())
    door = Door(held)
    asking = asyncio.create_task(door.ask())
    await held.asked.wait()
    closing = asyncio.create_task(door.authentication.close())
    await asyncio.sleep(0)
    held.go.set()
    assert (await asking).id == "alice"
    await closing


@pytest.mark.parametrize("token", ["", "a b", "ä", "a\x01", "a=b", 'a"', "x" * 8193])
async def test_what_can_be_no_token_is_not_asked_about(token: str) -> None:
    door = Door()
    with pytest.raises(Unauthenticated):
        await door.gate.authenticate(request(bearer(token.encode("latin-1"))))
    assert door.fetch.posted == []


async def test_three_parts_are_a_jwt_and_never_asked_about() -> None:
    door = Door(accepted=("introspection.corp", "jwt.tokens"))
    for token in ("a.b.c", "..", "eyJ.eyJ."):
        await door.refused(token)
    assert door.fetch.posted == []
    assert (await door.ask("a.b")).id == (await door.ask("a.b.c.d.e")).id == "alice"


async def test_without_introspection_an_opaque_token_is_not_taken() -> None:
    door = Door(accepted=("jwt.tokens",))
    await door.refused()
    assert door.fetch.posted == []


def test_two_issuers_of_opaque_tokens_on_one_route_are_refused() -> None:
    model = {"introspection": {"corp": entry(), "other": entry()}}
    made = authentication(model, secrets=lambda reference: FixedSecret(SECRET))
    with pytest.raises(ConfigError, match="two issuers"):
        made.gate(("introspection.corp", "introspection.other"), anonymous=False, grant=grant)


def test_a_name_is_the_issuer_of_one_kind_only() -> None:
    for model in ({"introspection": {"corp": entry()}, "jwt": {"corp": issuer_model()}}, {"introspection": {"mtls": entry()}}):
        with pytest.raises(ValidationError, match="another scheme's principals"):
            authentication(model)


@pytest.mark.parametrize(
    "wrong",
    [
        {"audience": None},
        {"issuer": None},
        {"url": "http://idp.example.com/introspect"},
        {"url": "https://user:pass@idp.example.com/"},
        {"cache": "301s"},
        {"negative_cache": "61s"},
        {"timeout": "0s"},
        {"client": {"id": "gateway"}},
        {"client": {"id": "gateway", "secret": "in the clear"}},
    ],
    ids=str,
)
def test_an_unsafe_entry_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Introspection.model_validate(entry(**wrong))


async def test_waived_issuer_and_audience_are_not_looked_at() -> None:
    door = Door(said(iss=None, aud=None), issuer="none", audience="none")
    assert (await door.ask()).id == "alice"
