"""One issuer's tokens, verified through a gate as requests see it."""

from pathlib import Path
from typing import Any

import pytest

from gateway.authn.claims import LATEST
from gateway.authn.jwks import PublishedKeys
from gateway.authn.jwt import Verifier
from gateway.authn.key_sources import FileSource
from gateway.authn.model import JwtIssuer
from gateway.authn.token import Token
from gateway.core.errors import DependencyDown, Unauthenticated
from gateway.core.principal import Identity, Principal
from gateway.core.reason import Reason
from tests.issuer import (
    AUDIENCE,
    ISSUER,
    JWKS_URL,
    NOW,
    Counted,
    EcKey,
    EdKey,
    FixedSecret,
    FrozenClock,
    RsaKey,
    ScriptedFetch,
    SharedKey,
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

SECRET = b"0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz"


class Corp:
    """A configuration with one issuer, `corp`, and whoever presents a token to it."""

    def __init__(self, *keys: RsaKey | EcKey | EdKey, clock: FrozenClock | None = None, **entry: Any) -> None:
        self.clock = clock or FrozenClock()
        self.fetch = ScriptedFetch({JWKS_URL: answer(jwks(*keys))})
        self.secret = FixedSecret(SECRET)
        model = {"jwt": {"corp": issuer_model(**entry)}}
        self.authentication = authentication(model, fetch=self.fetch, clock=self.clock, secrets=lambda _: self.secret)
        self.gate = self.authentication.gate(("jwt.corp",), anonymous=False, grant=grant)

    async def present(self, token: str) -> Principal:
        return await self.gate.authenticate(request(bearer(token)))

    async def refuses(self, token: str, reason: Reason = Reason.CREDENTIAL_INVALID) -> str:
        with pytest.raises(Unauthenticated) as caught:
            await self.present(token)
        assert caught.value.reason is reason
        assert caught.value.headers == ((b"www-authenticate", b'Bearer realm="gateway", error="invalid_token"'),)
        return caught.value.detail


@pytest.fixture
def corp(ed_key: EdKey) -> Corp:
    return Corp(ed_key)


async def test_a_good_token_of_each_kind_of_key_is_accepted(rsa_key: RsaKey, ec_key: EcKey, ed_key: EdKey) -> None:
    corp = Corp(rsa_key, ec_key, ed_key)
    for key in (rsa_key, ec_key, ed_key):
        principal = await corp.present(mint(key))
        assert (principal.id, principal.issuer, principal.scheme) == ("alice", "corp", "jwt")
        assert principal.expires == NOW + 600


async def test_claims_become_the_identity(corp: Corp, ed_key: EdKey) -> None:
    token = mint(ed_key, claims(jti="id-7", groups=["a", "b"], scope="read  write", extra={"deep": [1]}))
    principal = await corp.present(token)
    assert (principal.groups, principal.scopes, principal.credential_id) == (("a", "b"), ("read", "write"), "id-7")
    assert principal.claims["extra"] == {"deep": [1]}


async def test_other_claims_may_be_named(ed_key: EdKey) -> None:
    corp = Corp(ed_key, subject="client_id", groups="realm.roles", scopes="scp", scope_ceiling=True)
    seen: list[Identity] = []

    def noting(identity: Identity) -> Principal:
        seen.append(identity)
        return grant(identity)

    gate = corp.authentication.gate(("jwt.corp",), anonymous=False, grant=noting)
    payload = claims(sub=None, client_id="svc", scp=["r", "w"]) | {"realm.roles": "one group", "realm": {"roles": ["x"]}}
    token = mint(ed_key, payload)
    principal = await gate.authenticate(request(bearer(token)))
    assert (principal.id, principal.groups, principal.scopes) == ("svc", ("one group",), ("r", "w"))
    assert seen[0].scope_ceiling


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"sub": None}, id="no subject"),
        pytest.param({"sub": ""}, id="empty subject"),
        pytest.param({"sub": 7}, id="subject is a number"),
        pytest.param({"sub": ["alice"]}, id="subject is a list"),
        pytest.param({"sub": "a" * 1025}, id="long subject"),
        pytest.param({"sub": "a\x00b"}, id="NUL in the subject"),
        pytest.param({"sub": "a\r\nX-Role: admin"}, id="line break in the subject"),
        pytest.param({"sub": "\ud800"}, id="surrogate in the subject"),
        pytest.param({"groups": {"a": 1}}, id="groups are an object"),
        pytest.param({"groups": ["a", 1]}, id="a group is a number"),
        pytest.param({"groups": ["a\x1b"]}, id="control character in a group"),
        pytest.param({"scope": 1}, id="scope is a number"),
        pytest.param({"iss": None}, id="no issuer"),
        pytest.param({"iss": ISSUER.rstrip("/")}, id="issuer without its slash"),
        pytest.param({"iss": ISSUER.upper()}, id="issuer in capitals"),
        pytest.param({"iss": [ISSUER]}, id="issuer is a list"),
        pytest.param({"aud": None}, id="no audience"),
        pytest.param({"aud": []}, id="empty audience"),
        pytest.param({"aud": "https://api.example.com/"}, id="another audience"),
        pytest.param({"aud": "https://api.example.com.evil.example"}, id="audience with more behind it"),
        pytest.param({"aud": [AUDIENCE, 1]}, id="an audience is a number"),
        pytest.param({"aud": {AUDIENCE: 1}}, id="audience is an object"),
        pytest.param({"exp": None}, id="no expiry"),
        pytest.param({"exp": str(int(NOW) + 600)}, id="expiry is text"),
        pytest.param({"exp": True}, id="expiry is a boolean"),
        pytest.param({"exp": [NOW]}, id="expiry is a list"),
        pytest.param({"exp": LATEST + 1}, id="expiry after the year 9999"),
        pytest.param({"exp": int(NOW) * 1000}, id="expiry in milliseconds"),
        pytest.param({"exp": 10**39}, id="expiry far beyond any time"),
        pytest.param({"exp": -1}, id="negative expiry"),
        pytest.param({"nbf": str(NOW)}, id="not-before is text"),
        pytest.param({"nbf": False}, id="not-before is a boolean"),
        pytest.param({"nbf": NOW + 31}, id="not valid yet"),
        pytest.param({"iat": NOW + 31}, id="issued in the future"),
        pytest.param({"iat": "now"}, id="issued-at is text"),
        pytest.param({"cnf": {"jkt": "x"}}, id="bound to a DPoP key"),
        pytest.param({"cnf": {"x5t#S256": "x"}}, id="bound to a certificate"),
    ],
)
async def test_a_token_with_a_bad_claim_is_refused(change: dict[str, Any], corp: Corp, ed_key: EdKey) -> None:
    await corp.refuses(mint(ed_key, claims(**change)))
    assert (await corp.present(mint(ed_key))).id == "alice"


@pytest.mark.parametrize("name", ["exp", "nbf", "iat", "sub"])
async def test_a_claim_that_is_null_is_no_claim(name: str, corp: Corp, ed_key: EdKey) -> None:
    payload = claims() | {name: None}
    await corp.refuses(mint(ed_key, payload))


async def test_times_have_exactly_their_leeway(corp: Corp, ed_key: EdKey) -> None:
    corp.clock.time = NOW
    await corp.present(mint(ed_key, claims(nbf=NOW + 30, iat=NOW + 30)))
    await corp.present(mint(ed_key, claims(exp=NOW - 29)))
    await corp.refuses(mint(ed_key, claims(exp=NOW - 30)), Reason.CREDENTIAL_EXPIRED)
    await corp.present(mint(ed_key, claims(exp=NOW + 0.5)))


async def test_further_claims_may_be_required(ed_key: EdKey) -> None:
    corp = Corp(ed_key, required_claims=["exp", "jti"])
    assert "no jti" in await corp.refuses(mint(ed_key))
    await corp.present(mint(ed_key, claims(jti="1")))


async def test_a_token_may_live_for_ever_only_where_expiry_is_not_required(ed_key: EdKey) -> None:
    corp = Corp(ed_key, required_claims=[])
    assert (await corp.present(mint(ed_key, claims(exp=None)))).expires is None


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", None])
async def test_accepted_types_are_compared_as_media_types(typ: str | None, corp: Corp, ed_key: EdKey) -> None:
    await corp.present(mint(ed_key, typ=typ))


@pytest.mark.parametrize("typ", ["id+jwt", "dpop+jwt", "", "logout+jwt", "text/JWT", 1, ["JWT"]], ids=repr)
async def test_other_types_are_refused(typ: Any, corp: Corp, ed_key: EdKey) -> None:
    await corp.refuses(mint(ed_key, typ=typ))


async def test_an_absent_type_is_accepted_only_where_jwt_is(ed_key: EdKey) -> None:
    corp = Corp(ed_key, types=["at+jwt"])
    await corp.refuses(mint(ed_key, typ=None))
    await corp.refuses(mint(ed_key))
    await corp.present(mint(ed_key, typ="at+jwt"))


async def test_only_allowed_algorithms_are_accepted(rsa_key: RsaKey, ed_key: EdKey) -> None:
    corp = Corp(rsa_key, ed_key, algorithms=["RS256"])
    await corp.present(mint(rsa_key))
    assert "algorithm" in await corp.refuses(mint(ed_key))


async def test_a_signature_by_another_key_of_the_same_name_is_refused(rsa_key: RsaKey, other_rsa_key: RsaKey) -> None:
    corp = Corp(rsa_key)
    await corp.refuses(mint(other_rsa_key, kid="rsa-1"))
    await corp.refuses(mint(other_rsa_key))


async def test_a_token_without_kid_is_tried_against_a_few_keys(rsa_key: RsaKey, other_rsa_key: RsaKey) -> None:
    assert (await Corp(rsa_key, other_rsa_key).present(mint(other_rsa_key, kid=None))).id == "alice"
    ed_keys = [EdKey(f"ed-{number}") for number in range(5)]
    await Corp(*ed_keys).refuses(mint(ed_keys[4], kid=None))
    await Corp(*ed_keys).present(mint(ed_keys[4]))


async def test_an_issuer_whose_keys_were_never_loaded_is_an_outage_not_a_refusal(ed_key: EdKey) -> None:
    corp = Corp(ed_key)
    corp.fetch.answers[JWKS_URL] = DependencyDown("down")
    with pytest.raises(DependencyDown):
        await corp.present(mint(ed_key))


async def test_audience_and_issuer_may_be_waived(ed_key: EdKey) -> None:
    corp = Corp(ed_key, audience="none")
    await corp.present(mint(ed_key, claims(aud=None)))
    await corp.present(mint(ed_key, claims(aud="anybody")))
    anyone = Corp(ed_key, issuer="none")
    await anyone.present(mint(ed_key, claims(iss="https://whoever")))
    await anyone.present(mint(ed_key, claims(iss=None)))


async def test_a_shared_secret_signs_and_its_replacement_takes_effect_at_once() -> None:
    corp = Corp(jwks=None, secret={"env": "S"}, algorithms=["HS256", "HS512"])
    token = mint(SharedKey(SECRET))
    await corp.present(token)
    await corp.present(mint(SharedKey(SECRET, "HS512")))
    await corp.refuses(mint(SharedKey(SECRET, "HS384")))
    await corp.refuses(mint(SharedKey(b"x" * 32)))
    corp.secret.replace(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ0123")
    await corp.refuses(token)
    corp.secret.replace(None)
    with pytest.raises(DependencyDown):
        await corp.present(token)


async def test_a_token_without_jti_is_audited_by_a_keyed_fingerprint(corp: Corp, ed_key: EdKey) -> None:
    token = mint(ed_key)
    first = (await corp.present(token)).credential_id
    elsewhere = Corp(ed_key)
    second = (await elsewhere.present(token)).credential_id
    assert first is not None
    assert first.startswith("fp:")
    assert first != second
    for odd in (7, "", "j" * 257):
        assert str((await corp.present(mint(ed_key, claims(jti=odd)))).credential_id).startswith("fp:")


async def test_a_verifier_checks_the_issuer_itself_whoever_chose_it(ed_key: EdKey) -> None:
    keys = PublishedKeys("corp", FileSource(Path("unused")), FrozenClock(), Counted())
    keys.accept(jwks(ed_key), 60)
    verifier = Verifier("corp", JwtIssuer.model_validate(issuer_model()), keys, FrozenClock(), b"k" * 32)
    assert (await verifier.verify(Token(mint(ed_key).encode(), 8192))).id == "alice"
    with pytest.raises(Unauthenticated, match="another issuer"):
        await verifier.verify(Token(mint(ed_key, claims(iss="https://other.example/")).encode(), 8192))


async def test_the_size_cap_is_the_issuers_own(ed_key: EdKey) -> None:
    token = mint(ed_key)
    await Corp(ed_key, max_bytes=len(token)).present(token)
    await Corp(ed_key, max_bytes=len(token) - 1).refuses(token)
