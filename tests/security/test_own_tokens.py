"""The gateway's own access tokens, attacked: forged, altered, taken for something else. Named after the attack."""

import base64
import json
from typing import Any

import pytest

from gateway.authn.own.sealed import CLAIM
from gateway.core.errors import BadRequest, DependencyDown, Unauthenticated
from gateway.core.reason import Reason
from gateway.store.once import MemoryOnce
from gateway.store.tally import MemoryTally
from tests.fakes import CountingMetrics
from tests.holding import Holder, dpop
from tests.issuer import EcKey, FrozenClock, SharedKey, bearer, mint, request
from tests.tokening import API, ISSUER, REPORTS, TokenHouse, basic, stated
from tests.unit.authn.certificates import client_certificate

CERTIFICATE = client_certificate(uri=["spiffe://example.org/batch"])
OTHER = client_certificate(uri=["spiffe://example.org/batch"])
BATCH = {
    "auth": "tls_client_auth",
    "certificate": {"san_uri": "spiffe://example.org/batch"},
    "grants": ["client_credentials", "token_exchange"],
}


async def refused(house: TokenHouse, token: str, match: str | None = None, **more: Any) -> Unauthenticated:
    with pytest.raises(Unauthenticated, match=match) as caught:
        await house.who(token, **more)
    return caught.value


def parts(token: str) -> list[dict[str, Any]]:
    return [json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in token.split(".")[:2]]


def resigned(house: TokenHouse, claims: dict[str, Any], **header: Any) -> str:
    """What somebody would write who had the signing key, and nothing else."""
    key = house.own.keys.current()
    head = {"typ": "at+jwt", "alg": "ES256", "kid": key.kid} | header
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (head, claims)]
    signed = ".".join(encoded)
    return f"{signed}.{base64.urlsafe_b64encode(key.sign(signed.encode())).rstrip(b'=').decode()}"


async def test_algorithm_confusion() -> None:
    house = TokenHouse()
    token = await house.token()
    _, body, signature = token.split(".")
    none = base64.urlsafe_b64encode(json.dumps(parts(token)[0] | {"alg": "none"}).encode()).rstrip(b"=").decode()
    await refused(house, f"{none}.{body}.{signature}", "not an access token of ours")
    await refused(house, f"{none}.{body}.", "not three base64url parts")
    [public] = house.own.keys.published()[:1]
    shared = SharedKey(json.dumps(public).encode())
    await refused(house, mint(shared, stated(token), typ="at+jwt", kid=public["kid"]), "not an access token of ours")


@pytest.mark.parametrize("kid", ["", "../../etc/passwd", "unknown"])
async def test_key_confusion_by_kid(kid: str) -> None:
    house, attacker = TokenHouse(), EcKey(kid)
    claims = stated(await house.token())
    await refused(house, mint(attacker, claims, typ="at+jwt"), "no key verifies")
    attacker.kid = house.own.keys.current().kid
    await refused(house, mint(attacker, claims, typ="at+jwt", jwk=attacker.jwk()), "no key verifies")


@pytest.mark.parametrize("kid", [None, "next"])
async def test_a_token_that_names_no_key_is_none_of_ours(kid: str | None) -> None:
    house = TokenHouse()
    claims = stated(await house.token())
    await refused(house, resigned(house, claims, kid=kid) if kid else resigned(house, claims, kid=""), "no key verifies")


@pytest.mark.parametrize("typ", ["JWT", "dpop+jwt", "logout+jwt", "client-authentication+jwt", None])
async def test_cross_jwt_confusion(typ: str | None) -> None:
    house = TokenHouse()
    await refused(house, resigned(house, stated(await house.token()), typ=typ), "not an access token of ours")


async def test_what_is_sealed_cannot_be_moved_to_another_token() -> None:
    house = TokenHouse()
    mine, others = stated(await house.token(scope="reports:read")), stated(await house.token())
    await refused(house, resigned(house, mine | {CLAIM: others[CLAIM]}), "does not open")
    await refused(house, resigned(house, {**mine, CLAIM: mine[CLAIM][:-4] + "AAAA"}), "does not open")
    await refused(house, resigned(house, {name: value for name, value in mine.items() if name != CLAIM}), f"no {CLAIM}")


async def test_what_is_sealed_tells_nobody_who_is_behind_it() -> None:
    house = TokenHouse(with_keys=True)
    assert house.keys is not None
    key = house.keys.create(roles=["administrator"], routes=["payroll.*"])
    found = await house.ask({"grant_type": "client_credentials"}, (b"x-api-key", key.encode()))
    for part in parts(found["access_token"]):
        assert "administrator" not in json.dumps(part)
        assert "payroll" not in json.dumps(part)
    assert "administrator" not in base64.urlsafe_b64decode(stated(found["access_token"])[CLAIM] + "==").decode("latin-1")


async def test_a_changed_letter_anywhere_is_refused() -> None:
    house = TokenHouse()
    token = await house.token()
    for place in (10, len(token) // 2, len(token) - 10):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        await refused(house, changed)


async def test_a_token_of_another_gateway_is_none_of_ours() -> None:
    house = TokenHouse(issuer="https://other.example.com", key={"env": "OLD_MASTER"})
    await refused(TokenHouse(), await house.token(), "no accepted issuer")
    same = TokenHouse(key={"env": "OLD_MASTER"})
    await refused(TokenHouse(), await same.token(), "no key verifies")


async def test_a_token_ends() -> None:
    house = TokenHouse()
    token = await house.token()
    house.clock.advance(906)
    assert (await refused(house, token)).reason is Reason.CREDENTIAL_EXPIRED


async def test_a_revoked_token_counts_no_more_though_it_was_verified() -> None:
    house = TokenHouse()
    token, gate, memo = await house.token(), house.gate(), dict[object, Any]()
    asked = request(bearer(token), memo=memo)
    for _ in range(2):
        await gate.authenticate(asked)
    assert gate.recalled(asked) is not None
    await house.own.revoked.revoke(stated(token)["jti"], 900)
    assert gate.recalled(asked) is None
    assert (await refused(house, token, "revoked", gate=gate)).genuine
    assert (await house.who(await house.token(), gate=gate)).id == "reports"


async def test_while_nobody_can_tell_what_was_revoked_no_token_counts() -> None:
    house = TokenHouse()
    token, gate = await house.token(), house.gate()
    await house.who(token, gate=gate)
    house.own.revoked.blinded(True)
    with pytest.raises(DependencyDown):
        await house.who(token, gate=gate)
    house.own.revoked.blinded(False)
    assert (await house.who(token, gate=gate)).id == "reports"


async def test_revoking_more_than_can_be_remembered_is_refused_not_forgotten() -> None:
    from gateway.authn.own.revoked import Revoked

    house = TokenHouse()
    revoked = Revoked(house.clock, most=2)
    await revoked.revoke("a", 60)
    await revoked.revoke("b", 60)
    with pytest.raises(DependencyDown):
        await revoked.revoke("c", 60)
    assert revoked.has(["a"])
    house.clock.advance(61)
    await revoked.revoke("c", 60)
    assert not revoked.has(["a", "b"])


async def test_a_client_that_fills_the_room_for_revocations_leaves_it_to_families_and_others() -> None:
    from gateway.authn.own.revoked import OF_CLIENT, Revoked

    house = TokenHouse()
    revoked = Revoked(house.clock, most=40)
    greedy: dict[str, Any] = {"of": "client:greedy", "share": OF_CLIENT, "single": True}
    for n in range(10):
        await revoked.revoke(f"{n}", 60, **greedy)
    with pytest.raises(DependencyDown):
        await revoked.revoke("10", 60, **greedy)
    for n in range(10):
        await revoked.revoke(f"other {n}", 60, **{**greedy, "of": "client:other"})
    with pytest.raises(DependencyDown):
        await revoked.revoke("third", 60, **{**greedy, "of": "client:third"})
    await revoked.revoke("family", 60, of="corp:alice", share=20)
    assert revoked.has(["family"])
    house.clock.advance(61)
    await revoked.revoke("10", 60, **greedy)
    assert len(revoked) == 1
    assert dict(revoked._of) == {"client:greedy": 1}


async def test_a_stolen_copy_of_a_token_bound_to_a_key() -> None:
    house = TokenHouse(authentication={"dpop": {}})
    holder = Holder(url=f"{ISSUER}/.gateway/token")
    proof = holder.proof("", htm="POST", ath=None)
    found = await house.ask({"grant_type": "client_credentials"}, basic("reports", "REPORTS"), (b"dpop", proof))
    token = found["access_token"]
    assert (found["token_type"], stated(token)["cnf"]) == ("DPoP", holder.cnf)
    await refused(house, token, "comes as DPoP")
    gate, theirs = house.gate("dpop"), Holder(url="https://api.example.com/")
    with pytest.raises(Unauthenticated):
        await gate.authenticate(request(*dpop(token, theirs.proof(token))))
    holder.url = "https://api.example.com/"
    assert (await gate.authenticate(request(*dpop(token, holder.proof(token))))).id == "reports"


async def test_a_proof_is_used_once_at_the_token_endpoint_too() -> None:
    house = TokenHouse(authentication={"dpop": {}})
    proof = Holder(url=f"{ISSUER}/.gateway/token").proof("", htm="POST", ath=None)
    form = {"grant_type": "client_credentials"}
    await house.ask(form, basic("reports", "REPORTS"), (b"dpop", proof))
    assert await house.refused(form, basic("reports", "REPORTS"), (b"dpop", proof)) == (400, "invalid_dpop_proof")


async def test_proofs_for_tokens_keep_nobody_from_using_the_tokens_there_are() -> None:
    """And what is known to give nothing is not remembered."""
    clock = FrozenClock()
    once = MemoryOnce(clock, CountingMetrics(), most=1)
    house = TokenHouse(authentication={"dpop": {}}, once=once, clock=clock)
    holder = Holder(url=f"{ISSUER}/.gateway/token")

    def proof() -> tuple[bytes, bytes]:
        return b"dpop", holder.proof("", htm="POST", ath=None)

    me = basic("reports", "REPORTS")
    for form in ({"grant_type": "x"}, {"grant_type": "urn:x"}):
        assert await house.refused(form, me, proof()) == (400, "unsupported_grant_type")
    token = (await house.ask({"grant_type": "client_credentials"}, me, proof()))["access_token"]
    with pytest.raises(DependencyDown):
        await house.ask({"grant_type": "client_credentials"}, me, proof())
    holder.url = "https://api.example.com/"
    assert (await house.gate("dpop").authenticate(request(*dpop(token, holder.proof(token))))).id == "reports"


async def test_a_proof_for_another_endpoint() -> None:
    house = TokenHouse(authentication={"dpop": {}})
    proof = Holder(url="https://other.example.com/.gateway/token").proof("", htm="POST", ath=None)
    told = await house.refused({"grant_type": "client_credentials"}, basic("reports", "REPORTS"), (b"dpop", proof))
    assert told == (400, "invalid_dpop_proof")


async def test_a_proof_is_asked_to_hold_a_nonce_of_ours() -> None:
    house = TokenHouse(authentication={"dpop": {"nonce": {}}})
    proof = Holder(url=f"{ISSUER}/.gateway/token").proof("", htm="POST", ath=None)
    form = {"grant_type": "client_credentials"}
    assert await house.refused(form, basic("reports", "REPORTS"), (b"dpop", proof)) == (400, "use_dpop_nonce")
    assert house.error.reason is Reason.CREDENTIAL_MISSING
    [(name, nonce)] = house.error.headers
    assert name == b"dpop-nonce"
    again = Holder(url=f"{ISSUER}/.gateway/token").proof("", htm="POST", ath=None, nonce=nonce.decode())
    assert (await house.ask(form, basic("reports", "REPORTS"), (b"dpop", again)))["token_type"] == "DPoP"


async def test_a_stolen_copy_of_a_token_bound_to_a_certificate() -> None:
    house = TokenHouse(clients={"batch": BATCH})
    found = await house.ask({"grant_type": "client_credentials", "client_id": "batch"}, certificate=CERTIFICATE)
    token, gate = found["access_token"], house.gate("mtls")
    assert (await house.who(token, gate=gate, certificate=CERTIFICATE)).id == "batch"
    await refused(house, token, "another certificate", gate=gate, certificate=OTHER)
    await refused(house, token, "another certificate", gate=gate)


async def test_a_token_among_other_credentials() -> None:
    house = TokenHouse(with_keys=True)
    with pytest.raises(BadRequest) as caught:
        await house.who(await house.token(), (b"x-api-key", b"lgk_x"), gate=house.gate(accepted=("tokens", "api_keys")))
    assert caught.value.reason is Reason.CREDENTIAL_AMBIGUOUS


async def test_an_own_token_does_not_pass_where_a_token_of_another_audience_is_asked_for() -> None:
    house = TokenHouse(clients={"reports": REPORTS | {"audiences": [API, "https://mcp.example.com"]}})
    await refused(house, await house.token(), "another audience", gate=house.gate(pinned="https://mcp.example.com"))


@pytest.mark.parametrize(
    "change", [{"roles": ["reader"]}, {"permissions": ["a:b"]}, {"routes": ["wiki"]}, {"addresses": ["192.0.2.0/24"]}]
)
async def test_a_token_does_not_keep_what_its_api_key_lost(change: dict[str, Any]) -> None:
    house = TokenHouse(with_keys=True)
    assert house.keys is not None
    key, gate = house.keys.create(roles=["admin"]), house.gate()
    token = (await house.ask({"grant_type": "client_credentials"}, (b"x-api-key", key.encode())))["access_token"]
    assert (await house.who(token, gate=gate)).id == "ci"
    [entry] = house.keys.entries
    house.keys.take([entry.model_copy(update={"description": "the same key, told of otherwise"})])
    assert (await house.who(token, gate=gate)).id == "ci"
    house.keys.take([entry.model_validate(entry.model_dump() | change)])
    await refused(house, token, "gives something else", gate=gate)


async def test_a_token_counts_no_more_where_the_key_it_was_given_for_could_not_be_judged() -> None:
    house = TokenHouse(with_keys=True)
    assert house.keys is not None
    key = house.keys.create()
    token = (await house.ask({"grant_type": "client_credentials"}, (b"x-api-key", key.encode())))["access_token"]
    house.keys._away = "the table has been away for too long"
    for asked in (
        house.who(token),
        house.authentication.gate(("api_keys",), anonymous=False, grant=house.grant).authenticate(
            request((b"x-api-key", key.encode()))
        ),
    ):
        with pytest.raises(DependencyDown):
            await asked


async def test_calls_are_counted_for_as_long_as_the_token_lives_that_has_them() -> None:
    house = TokenHouse()
    short = await house.token(budget="1", expires_in="60")
    await house.who(short)
    house.clock.advance(121)
    long = await house.token(budget="1")
    await house.who((await house.exchanged(long, expires_in="60"))["access_token"])
    assert isinstance(house.own.tally, MemoryTally)
    assert house.own.tally.status()["held"] == 1
    house.clock.advance(300)
    await refused(house, long, "spent")
