"""Keys that are derived, never stored."""

import jwt
import pytest

from gateway.authn.own.signing import ORDER, SigningKeys, derived
from gateway.authn.strength import StrongSecret
from gateway.core.errors import DependencyDown, Unauthenticated
from tests.issuer import FixedSecret, FrozenClock
from tests.tokening import API, ISSUER, MASTER, TokenHouse

DAY = 86400.0


def keys(*secrets: bytes, algorithm: str = "ES256", clock: FrozenClock | None = None) -> SigningKeys:
    return SigningKeys([StrongSecret(FixedSecret(each)) for each in secrets], algorithm, 30 * DAY, clock or FrozenClock())


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
def test_all_who_have_the_secret_have_the_same_keys_and_nobody_else_has(algorithm: str) -> None:
    clock = FrozenClock()
    mine = keys(MASTER, algorithm=algorithm, clock=clock).published()
    assert keys(MASTER, algorithm=algorithm, clock=clock).published() == mine
    others = keys(MASTER[::-1], algorithm=algorithm, clock=clock).published()
    assert {key["kid"] for key in mine}.isdisjoint(key["kid"] for key in others)
    assert len({key["kid"] for key in mine}) == 3
    assert all(not {"d", "k"} & key.keys() for key in mine)


def test_each_purpose_has_a_key_of_its_own() -> None:
    assert len({derived(MASTER, purpose, 32) for purpose in ("ES256 1", "ES256 2", "EdDSA 1", "seal")}) == 4


def test_a_key_is_published_a_period_before_it_signs_and_a_period_after() -> None:
    clock = FrozenClock()
    own = keys(MASTER, clock=clock)
    before = own.current().kid
    following = [key["kid"] for key in own.published()]
    revision = own.revision
    clock.advance(30 * DAY)
    assert own.current().kid in following
    assert own.current().kid != before
    assert before in [key["kid"] for key in own.published()]
    assert own.revision > revision
    clock.advance(30 * DAY)
    assert own.find(before) is None


def test_tokens_of_a_secret_that_was_replaced_still_verify() -> None:
    clock = FrozenClock()
    old, new = keys(MASTER, clock=clock), keys(MASTER[::-1], MASTER, clock=clock)
    assert new.find(old.current().kid) is not None
    assert new.current().kid != old.current().kid


def test_a_secret_that_is_gone_signs_nothing() -> None:
    secret = FixedSecret(MASTER)
    own = SigningKeys([StrongSecret(secret)], "ES256", DAY, FrozenClock())
    assert own.current().kid
    secret.replace(None)
    with pytest.raises(DependencyDown):
        own.current()


def test_a_private_key_is_a_number_of_the_curve() -> None:
    assert ORDER.bit_length() == 256
    for number in range(20):
        assert 1 <= int.from_bytes(derived(MASTER, f"ES256 {number}", 48), "big") % (ORDER - 1) + 1 < ORDER


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
async def test_a_token_verifies_with_pyjwt_by_the_published_keys_across_a_rotation(algorithm: str) -> None:
    house = TokenHouse(algorithm=algorithm, rotate_every="1h")
    house.clock.time -= house.clock.time % 3600 + 10  # ten seconds before a new key signs
    before = await house.token()
    house.clock.advance(60)
    after = await house.token()
    published = jwt.PyJWKSet.from_dict({"keys": house.own.keys.published()})
    kids = set()
    for token in (before, after):
        kid = jwt.get_unverified_header(token)["kid"]
        claims = jwt.decode(
            token,
            published[kid],
            algorithms=[algorithm],
            audience=API,
            issuer=ISSUER,
            options={"verify_exp": False, "verify_iat": False, "require": ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"]},
        )
        assert claims["sub"] == "clients:reports"
        assert jwt.get_unverified_header(token)["typ"] == "at+jwt"
        kids.add(kid)
        assert (await house.who(token)).id == "reports"
    assert len(kids) == 2
    house.clock.advance(3600)
    with pytest.raises(Unauthenticated, match="expired"):
        await house.who(after)
