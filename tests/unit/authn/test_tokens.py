"""What was verified is remembered, and never longer, elsewhere or for others than it was verified for."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authn.authentication import Authentication
from gateway.authn.tokens import LONGEST
from gateway.core.errors import ConfigError, Unauthenticated
from gateway.core.principal import Identity, Principal
from gateway.core.reason import Reason
from tests.issuer import (
    JWKS_URL,
    EdKey,
    FrozenClock,
    ScriptedFetch,
    answer,
    authentication,
    bearer,
    claims,
    grant,
    issuer_model,
    jwks,
    mint,
    request,
)


class Counting:
    """A grant that counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, identity: Identity) -> Principal:
        self.asked += 1
        return grant(identity)


def two_issuers(fetch: ScriptedFetch, clock: FrozenClock, key: EdKey) -> Authentication:
    """The same identity provider twice, for two audiences, and another one."""
    fetch.answers[JWKS_URL] = answer(jwks(key))
    model = {
        "jwt": {
            "reader": issuer_model(audience=["read"], max_bytes=8192),
            "writer": issuer_model(audience=["write"], max_bytes=400),
            "other": issuer_model(issuer="https://other.example/"),
            "any": issuer_model(issuer="none"),
        }
    }
    return authentication(model, fetch=fetch, clock=clock)


async def test_a_token_is_verified_once(fetch: ScriptedFetch, clock: FrozenClock, ed_key: EdKey) -> None:
    counting = Counting()
    gate = two_issuers(fetch, clock, ed_key).gate(("jwt.reader",), anonymous=False, grant=counting)
    asking = request(bearer(mint(ed_key, claims(aud="read"))))
    first = await gate.authenticate(asking)
    # The keys arrived while the first was verified, which is a change of keys: the second is verified again.
    second = await gate.authenticate(asking)
    assert await gate.authenticate(asking) is second
    assert (first.key, counting.asked) == (second.key, 2)


async def test_nothing_is_remembered_past_its_expiry(fetch: ScriptedFetch, clock: FrozenClock, ed_key: EdKey) -> None:
    counting = Counting()
    gate = two_issuers(fetch, clock, ed_key).gate(("jwt.reader",), anonymous=False, grant=counting)
    asking = request(bearer(mint(ed_key, claims(aud="read", exp=clock.time + 10))))
    for _ in range(3):
        await gate.authenticate(asking)
    assert counting.asked == 2
    clock.advance(10)
    await gate.authenticate(asking)
    assert counting.asked == 3, "within the leeway it is verified each time"
    clock.advance(30)
    with pytest.raises(Unauthenticated) as caught:
        await gate.authenticate(asking)
    assert caught.value.reason is Reason.CREDENTIAL_EXPIRED


async def test_a_long_lived_token_is_verified_again_now_and_then(fetch: ScriptedFetch, clock: FrozenClock, ed_key: EdKey) -> None:
    counting = Counting()
    gate = two_issuers(fetch, clock, ed_key).gate(("jwt.reader",), anonymous=False, grant=counting)
    asking = request(bearer(mint(ed_key, claims(aud="read", exp=clock.time + 10_000))))
    for _ in range(3):
        await gate.authenticate(asking)
    clock.advance(LONGEST)
    await gate.authenticate(asking)
    assert counting.asked == 3


async def test_a_token_of_a_key_that_was_withdrawn_is_refused_though_it_was_verified(
    fetch: ScriptedFetch, clock: FrozenClock, ed_key: EdKey
) -> None:
    gate = two_issuers(fetch, clock, ed_key).gate(("jwt.reader",), anonymous=False, grant=grant)
    asking = request(bearer(mint(ed_key, claims(aud="read"))))
    await gate.authenticate(asking)
    await gate.authenticate(asking)
    newer = EdKey("newer")
    fetch.answers[JWKS_URL] = answer(jwks(newer))
    await gate.authenticate(request(bearer(mint(newer, claims(aud="read")))))
    with pytest.raises(Unauthenticated):
        await gate.authenticate(asking)


async def test_who_presented_a_head_is_recalled_with_it_alone_and_no_longer_than_the_token_counts(
    fetch: ScriptedFetch, clock: FrozenClock, ed_key: EdKey
) -> None:
    resources = two_issuers(fetch, clock, ed_key)
    gate = resources.gate(("jwt.reader",), anonymous=False, grant=grant)
    other = resources.gate(("jwt.reader", "jwt.other"), anonymous=False, grant=grant)
    asking = request(bearer(mint(ed_key, claims(aud="read", exp=clock.time + 100))))
    asking.head.memo = {}
    assert gate.recalled(asking) is None
    principal = [await gate.authenticate(asking) for _ in range(3)][-1]
    assert gate.recalled(asking) is principal
    assert other.recalled(asking) is None, "what one set of issuers verified says nothing to another"
    assert gate.recalled(request(*asking.head.headers)) is None, "another head has its own memo"
    clock.advance(99)
    assert gate.recalled(asking) is principal
    clock.advance(1)
    assert gate.recalled(asking) is None
    assert gate.recalled(asking) is None


async def test_who_presented_a_head_is_asked_again_when_the_keys_have_changed(
    fetch: ScriptedFetch, clock: FrozenClock, ed_key: EdKey
) -> None:
    gate = two_issuers(fetch, clock, ed_key).gate(("jwt.reader",), anonymous=False, grant=grant)
    asking = request(bearer(mint(ed_key, claims(aud="read"))))
    asking.head.memo = {}
    for _ in range(3):
        await gate.authenticate(asking)
    assert gate.recalled(asking) is not None
    newer = EdKey("newer")
    fetch.answers[JWKS_URL] = answer(jwks(newer))
    await gate.authenticate(request(bearer(mint(newer, claims(aud="read")))))
    assert gate.recalled(asking) is None


async def test_another_policy_grants_anew(fetch: ScriptedFetch, clock: FrozenClock, ed_key: EdKey) -> None:
    resources = two_issuers(fetch, clock, ed_key)
    first, second = Counting(), Counting()
    asking = request(bearer(mint(ed_key, claims(aud="read"))))
    old = resources.gate(("jwt.reader",), anonymous=False, grant=first)
    new = resources.gate(("jwt.reader",), anonymous=False, grant=second)
    await old.authenticate(asking)
    await new.authenticate(asking)
    assert (first.asked, second.asked) == (1, 1)


def test_routes_that_accept_the_same_share_a_gate(fetch: ScriptedFetch, clock: FrozenClock, ed_key: EdKey) -> None:
    resources = two_issuers(fetch, clock, ed_key)
    one = resources.gate(("jwt.reader", "jwt.other"), anonymous=False, grant=grant)
    assert resources.gate(("jwt.other", "jwt.reader"), anonymous=False, grant=grant) is one
    assert resources.gate(("jwt.reader",), anonymous=False, grant=grant) is not one
    assert resources.gate((), anonymous=True, grant=grant) is resources.gate((), anonymous=True, grant=grant)


async def test_a_token_of_a_configured_issuer_is_never_anybody_elses(
    fetch: ScriptedFetch, clock: FrozenClock, ed_key: EdKey
) -> None:
    resources = two_issuers(fetch, clock, ed_key)
    gate = resources.gate(("jwt.any",), anonymous=False, grant=grant)
    assert (await gate.authenticate(request(bearer(mint(ed_key, claims(iss="https://unknown.example/")))))).issuer == "any"
    for issuer in ("https://idp.example.com/", "https://other.example/"):
        with pytest.raises(Unauthenticated, match="no accepted issuer"):
            await gate.authenticate(request(bearer(mint(ed_key, claims(iss=issuer)))))


def test_two_entries_of_one_issuer_on_one_route_are_a_configuration_error(
    fetch: ScriptedFetch, clock: FrozenClock, ed_key: EdKey
) -> None:
    resources = two_issuers(fetch, clock, ed_key)
    with pytest.raises(ConfigError, match="same issuer"):
        resources.gate(("jwt.reader", "jwt.writer"), anonymous=False, grant=grant)


async def test_the_larger_cap_of_another_issuer_does_not_count(fetch: ScriptedFetch, clock: FrozenClock, ed_key: EdKey) -> None:
    gate = two_issuers(fetch, clock, ed_key).gate(("jwt.writer", "jwt.other"), anonymous=False, grant=grant)
    padded = claims(aud="write", pad="x" * 400)
    with pytest.raises(Unauthenticated, match="longer than 400"):
        await gate.authenticate(request(bearer(mint(ed_key, padded))))


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=2, max_size=8, unique=True))
def test_no_two_tokens_share_what_they_are_remembered_by(tokens: list[bytes]) -> None:
    assert len({hashlib.sha256(token).digest() for token in tokens}) == len(tokens)


PARTS = st.text(alphabet="abc:12/|", min_size=0, max_size=6)


@given(PARTS, PARTS, PARTS, PARTS)
def test_no_two_principals_share_a_key(issuer: str, id: str, other_issuer: str, other_id: str) -> None:
    first = Principal(Identity(id=id, issuer=issuer, scheme="jwt"))
    second = Principal(Identity(id=other_id, issuer=other_issuer, scheme="jwt"))
    assert (first.key == second.key) == ((issuer, id) == (other_issuer, other_id))


async def test_a_verified_token_for_somebody_else_is_genuine_and_a_forged_one_is_not(
    fetch: ScriptedFetch, clock: FrozenClock, ed_key: EdKey
) -> None:
    """What detection takes for a guess."""
    made = two_issuers(fetch, clock, ed_key)
    gate = made.gate(("jwt.reader",), anonymous=False, grant=grant)
    pinned = made.gate(("jwt.reader",), anonymous=False, grant=grant, pinned="https://notes.example")
    asked = [(gate, ed_key, "write"), (pinned, ed_key, "read"), (gate, EdKey(), "read"), (pinned, EdKey(), "read")]
    found = []
    for way, key, audience in asked:
        with pytest.raises(Unauthenticated) as caught:
            await way.authenticate(request(bearer(mint(key, claims(aud=audience)))))
        found.append((caught.value.reason, caught.value.genuine))
    assert found == [(Reason.CREDENTIAL_INVALID, genuine) for genuine in (True, True, False, False)]
