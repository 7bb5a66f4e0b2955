"""Stolen tokens: what is bound to a key (RFC 9449) or a certificate (RFC 8705) is worth nothing without it. Named after the attack."""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

import pytest

from gateway.authn.gate import Gate
from gateway.core.errors import ConfigError, DependencyDown, Unauthenticated
from gateway.core.principal import Principal
from gateway.core.reason import Reason
from gateway.store.once import MemoryOnce
from tests.fakes import CountingMetrics
from tests.holding import Holder, dpop, none_signed
from tests.issuer import (
    JWKS_URL,
    NOW,
    EcKey,
    EdKey,
    FrozenClock,
    RsaKey,
    ScriptedFetch,
    SharedKey,
    answer,
    authentication,
    b64,
    bearer,
    claims,
    grant,
    issuer_model,
    jwks,
    mint,
    mint_raw,
    request,
)
from tests.unit.authn.certificates import client_certificate

ISSUED = EdKey()
CERTIFICATE = client_certificate(dns=["ci.example.org"])
OTHER = client_certificate(dns=["ci.example.org"])
X5T = {"x5t#S256": b64(hashlib.sha256(CERTIFICATE).digest())}


class Door:
    """A gate, the clock it reads, and one holder of tokens for it."""

    def __init__(self, *require: str, accepted: tuple[str, ...] = ("jwt.corp",), most: int = 1000, **settings: Any) -> None:
        self.clock = FrozenClock()
        self.metrics = CountingMetrics()
        self.holder = Holder()
        self.token = mint(ISSUED, claims(cnf=self.holder.cnf))
        model = {"jwt": {"corp": issuer_model()}, "mtls": {}, "dpop": {}} | settings
        resources = authentication(
            {name: value for name, value in model.items() if value is not None},
            fetch=ScriptedFetch({JWKS_URL: answer(jwks(ISSUED))}),
            clock=self.clock,
            once=MemoryOnce(self.clock, self.metrics, most),
        )
        self.gate: Gate = resources.gate(accepted, anonymous=False, grant=grant, require=require)

    async def ask(self, *fields: tuple[bytes, bytes], **more: Any) -> Principal:
        return await self.gate.authenticate(request(*fields, **more))

    async def passes(self, *fields: tuple[bytes, bytes], **more: Any) -> bool:
        return (await self.ask(*fields, **more)).id == "alice"

    async def refused(self, *fields: tuple[bytes, bytes], **more: Any) -> Unauthenticated:
        with pytest.raises(Unauthenticated) as caught:
            await self.ask(*fields, **more)
        return caught.value

    def proof(self, **more: Any) -> bytes:
        return self.holder.proof(self.token, **more)

    async def proof_refused(self, proof: bytes, **more: Any) -> Unauthenticated:
        error = await self.refused(*dpop(self.token, proof), **more)
        assert challenged(error) == [b'DPoP realm="gateway", error="invalid_dpop_proof", algs="ES256 EdDSA"']
        return error


def challenged(error: Unauthenticated) -> list[bytes]:
    return [value for name, value in error.headers if name == b"www-authenticate"]


@pytest.fixture
def door() -> Door:
    return Door()


async def test_the_holder_is_let_in_each_time_with_a_proof_of_its_own(door: Door) -> None:
    for _ in range(3):
        assert (await door.ask(*dpop(door.token, door.proof()))).id == "alice"


@pytest.mark.parametrize("key", [EcKey(None), EdKey(None), RsaKey(None)], ids=["ES256", "EdDSA", "RS256"])
async def test_each_kind_of_key_can_hold_a_token(key: EcKey | EdKey | RsaKey) -> None:
    door = Door(dpop={"algorithms": ["ES256", "EdDSA", "RS256"]})
    door.holder = Holder(key)
    door.token = mint(ISSUED, claims(cnf=door.holder.cnf))
    assert (await door.ask(*dpop(door.token, door.proof()))).id == "alice"


class TestTheft:
    async def test_a_stolen_token_without_its_key(self, door: Door) -> None:
        await door.proof_refused(Holder().proof(door.token))
        thief = Holder()
        await door.proof_refused(thief.proof(door.token, header={"jwk": door.holder.jwk}))
        error = await door.refused(*dpop(door.token))
        assert b"invalid_dpop_proof" in challenged(error)[0]

    async def test_a_bound_token_sent_as_an_ordinary_one(self, door: Door) -> None:
        for fields in ([bearer(door.token)], [bearer(door.token), (b"dpop", door.proof())]):
            error = await door.refused(*fields)
            assert challenged(error)[-1] == b'DPoP realm="gateway", error="invalid_token", algs="ES256 EdDSA"'

    async def test_an_ordinary_token_sent_as_a_bound_one(self, door: Door) -> None:
        token = mint(ISSUED)
        await door.refused(*dpop(token, door.holder.proof(token)))
        assert (await door.ask(bearer(token))).id == "alice"

    async def test_a_bound_token_in_a_cookie(self) -> None:
        door = Door(jwt={"corp": issuer_model(**{"from": ["bearer", {"cookie": "sid"}]})})
        for cnf in (door.holder.cnf, X5T):
            token = mint(ISSUED, claims(cnf=cnf))
            for _ in range(2):
                await door.refused((b"cookie", b"sid=" + token.encode()), (b"dpop", door.proof()), certificate=CERTIFICATE)
        assert (await door.ask((b"cookie", b"sid=" + mint(ISSUED).encode()))).id == "alice"

    async def test_a_proof_for_another_token_of_the_same_key(self, door: Door) -> None:
        other = mint(ISSUED, claims(sub="bob", cnf=door.holder.cnf))
        await door.refused(*dpop(other, door.proof()))
        assert (await door.ask(*dpop(other, door.holder.proof(other)))).id == "bob"

    async def test_a_verified_token_is_remembered_and_its_proof_is_not(self, door: Door) -> None:
        """A head that came before to the byte: an attacker on the same proxy's connection repeats it."""
        memo: dict[object, Any] = {}
        fields = dpop(door.token, door.proof())
        assert await door.passes(*fields, memo=memo)
        again = request(*fields, memo=memo)
        assert door.gate.recalled(again) is None
        assert (await door.refused(*fields, memo=memo)).detail == "dpop: the proof was used before"

    async def test_without_the_section_no_bound_token_counts(self) -> None:
        door = Door(dpop=None)
        await door.refused(*dpop(door.token, door.proof()))
        await door.refused(bearer(door.token))

    @pytest.mark.parametrize(
        "cnf",
        [{}, None, [], "x", {"jwk": {}}, {"kid": "a"}, {"jkt": 7}, {"jkt": "short"}, {"x5t#S256": "x" * 44}, {"x5t": "x" * 43}],
        ids=str,
    )
    async def test_a_binding_that_nobody_here_checks(self, cnf: Any, door: Door) -> None:
        payload = claims() | {"cnf": cnf}
        for more in ({}, door.holder.cnf):
            told = {**more, **cnf} if isinstance(cnf, dict) and cnf else cnf
            token = mint(ISSUED, payload | {"cnf": told})
            for fields in ([bearer(token)], dpop(token, door.holder.proof(token))):
                await door.refused(*fields, certificate=CERTIFICATE)


class TestReplay:
    async def test_a_proof_is_used_once(self, door: Door) -> None:
        proof = door.proof()
        assert await door.passes(*dpop(door.token, proof))
        for seconds in (0, 30, 29):
            door.clock.advance(seconds)
            await door.proof_refused(proof)

    async def test_the_same_jti_in_another_proof_of_the_key(self, door: Door) -> None:
        assert await door.passes(*dpop(door.token, door.proof(jti="one")))
        await door.proof_refused(door.proof(jti="one", iat=NOW - 1))

    async def test_another_holder_cannot_use_up_a_jti(self, door: Door) -> None:
        thief = Holder()
        token = mint(ISSUED, claims(sub="mallory", cnf=thief.cnf))
        assert (await door.ask(*dpop(token, thief.proof(token, jti="guessed")))).id == "mallory"
        assert await door.passes(*dpop(door.token, door.proof(jti="guessed")))

    async def test_a_wrong_proof_uses_nothing_up(self, door: Door) -> None:
        await door.proof_refused(door.proof(jti="mine", htu="https://evil.example/"))
        await door.proof_refused(door.proof(jti="mine", signer=EcKey()))
        assert await door.passes(*dpop(door.token, door.proof(jti="mine")))

    async def test_fresh_names_do_not_push_a_used_one_out(self) -> None:
        door = Door(most=3)
        proof = door.proof()
        assert await door.passes(*dpop(door.token, proof))
        for _ in range(2):
            assert await door.passes(*dpop(door.token, door.proof()))
        with pytest.raises(DependencyDown):
            await door.ask(*dpop(door.token, door.proof()))
        await door.proof_refused(proof)
        assert door.metrics.counted("gateway.state.failures", store="memory") == 1

    async def test_it_is_remembered_for_as_long_as_it_would_count(self, door: Door) -> None:
        """A client ahead of us by all that is let pass: its proof counts longest, and is remembered longer."""
        proof = door.proof(iat=NOW + 5)
        assert await door.passes(*dpop(door.token, proof))
        door.clock.advance(64.9)
        assert (await door.proof_refused(proof)).detail == "dpop: the proof was used before"
        door.clock.advance(0.1)
        assert (await door.proof_refused(proof)).detail == "dpop: too old, or not yet valid"

    async def test_it_is_remembered_for_replicas_whose_clocks_are_behind(self, door: Door) -> None:
        """They share what is remembered, and would take it a minute longer."""
        proof = door.proof()
        assert await door.passes(*dpop(door.token, proof))
        door.clock.ticks += 124
        assert (await door.proof_refused(proof)).detail == "dpop: the proof was used before"


class TestProofs:
    async def test_two_dpop_headers(self, door: Door) -> None:
        good = door.proof()
        for fields in ((good, door.proof()), (good, good), (b"x", good)):
            assert (await door.refused(*dpop(door.token, *fields))).status == 401
        await door.proof_refused(good + b"," + door.proof())
        assert await door.passes(*dpop(door.token, good))

    @pytest.mark.parametrize("name", [b"d-pop", b"dpop_", b"x-dpop", b"proxy-dpop"])
    async def test_a_differently_spelled_header_is_no_proof(self, name: bytes, door: Door) -> None:
        await door.refused((b"authorization", b"DPoP " + door.token.encode()), (name, door.proof()))

    @pytest.mark.parametrize(
        "more",
        [
            {"htm": "POST"},
            {"htm": "get"},
            {"htm": None},
            {"htu": None},
            {"htu": 7},
            {"jti": None},
            {"jti": ""},
            {"jti": "j" * 257},
            {"jti": 7},
            {"iat": None},
            {"iat": NOW - 60},
            {"iat": NOW + 6},
            {"iat": str(NOW)},
            {"iat": True},
            {"iat": NOW * 1000},
            {"ath": None},
            {"ath": ""},
            {"ath": "é"},
            {"ath": 7},
            {"header": {"typ": "JWT"}},
            {"header": {"typ": "at+jwt"}},
            {"header": {"typ": None}},
            {"header": {"alg": "none"}},
            {"header": {"alg": None}},
            {"header": {"alg": "RS256"}},
            {"header": {"alg": "ES384"}},
            {"header": {"crit": ["exp"]}},
            {"header": {"crit": []}},
            {"header": {"b64": False}},
            {"header": {"jwk": None}},
            {"header": {"jwk": []}},
            {"header": {"jwk": "x"}},
        ],
        ids=str,
    )
    async def test_a_proof_that_says_something_else(self, more: dict[str, Any], door: Door) -> None:
        await door.proof_refused(door.proof(**more))

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ('"htm": "GET"', '"htm": "POST", "htm": "GET"'),
            ('"htm": "GET"', '"htm": "GET", "ht\\u006d": "GET"'),
            ('"htm": "GET"', '"HTM": "GET"'),
            ('"htm": "GET"', '"htm": "GET", "x\\u0000": 1'),
            ('"alg": "ES256"', '"alg": "none", "alg": "ES256"'),
            ('"alg": "ES256"', '"ALG": "ES256"'),
            ('"kty": "EC"', '"kty": "oct", "kty": "EC"'),
        ],
    )
    async def test_cve_2026_27896_members_that_can_be_read_in_two_ways(self, before: str, after: str, door: Door) -> None:
        parts = [base64.urlsafe_b64decode(part + b"===").decode() for part in door.proof().split(b".")[:2]]
        assert await door.passes(*dpop(door.token, mint_raw(door.holder.key, *(part.encode() for part in parts)).encode()))
        odd = [part.replace(before, after).replace("jti-", "another-").encode() for part in parts]
        await door.proof_refused(mint_raw(door.holder.key, *odd).encode())

    async def test_a_signature_of_another_key(self, door: Door) -> None:
        for signer in (EcKey(), EdKey(), RsaKey()):
            await door.proof_refused(door.proof(signer=signer))

    async def test_no_signature_at_all(self, door: Door) -> None:
        await door.proof_refused(none_signed(door.proof()))
        await door.proof_refused(door.proof().rpartition(b".")[0] + b".")

    async def test_the_public_key_as_hmac_secret(self) -> None:
        """Rows 68 and 69, for proofs: an HMAC algorithm cannot be configured, and none is accepted."""
        door = Door()
        for secret in (door.holder.jwk["x"].encode(), str(door.holder.jwk).encode()):
            await door.proof_refused(door.proof(header={"alg": "HS256"}, signer=SharedKey(secret)))
        with pytest.raises(ValueError, match="algorithms"):
            Door(dpop={"algorithms": ["HS256"]})

    async def test_a_symmetric_key_as_the_proofs_key(self, door: Door) -> None:
        secret = b"s" * 32
        await door.proof_refused(
            door.proof(header={"alg": "HS256", "jwk": {"kty": "oct", "k": b64(secret)}}, signer=SharedKey(secret))
        )

    @pytest.mark.parametrize("part", ["d", "p", "q", "dp", "dq", "qi", "oth", "k"])
    async def test_a_private_key_is_given_away(self, part: str, door: Door) -> None:
        await door.proof_refused(door.proof(header={"jwk": door.holder.jwk | {part: "AQAB"}}))

    @pytest.mark.parametrize(
        "says", [{"use": "enc"}, {"use": "sig", "key_ops": ["encrypt"]}, {"key_ops": []}, {"use": "enc", "key_ops": ["verify"]}]
    )
    async def test_a_key_that_is_for_something_else(self, says: dict[str, Any], door: Door) -> None:
        for meant in ({"use": "sig"}, {"key_ops": ["verify"]}):
            assert await door.passes(*dpop(door.token, door.proof(header={"jwk": door.holder.jwk | meant})))
        await door.proof_refused(door.proof(header={"jwk": door.holder.jwk | says}))

    async def test_the_algorithm_of_another_key(self, door: Door) -> None:
        await door.proof_refused(door.proof(header={"jwk": door.holder.jwk | {"alg": "ES384"}}))
        await door.proof_refused(door.proof(header={"alg": "EdDSA"}))
        assert await door.passes(*dpop(door.token, door.proof(header={"jwk": door.holder.jwk | {"alg": "ES256", "kid": "any"}})))

    async def test_a_weak_rsa_key(self) -> None:
        door = Door(dpop={"algorithms": ["RS256"]})
        door.holder = Holder(RsaKey(None, 1024))
        door.token = mint(ISSUED, claims(cnf=door.holder.cnf))
        error = await door.refused(*dpop(door.token, door.proof()))
        assert "2048" in error.detail

    async def test_a_point_that_is_not_on_its_curve(self, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
        point = {"kty": "EC", "crv": "P-256", "x": b64(b"\1" * 32), "y": b64(b"\1" * 32)}
        monkeypatch.setattr(door.holder.key, "jwk", lambda: point)
        door.token = mint(ISSUED, claims(cnf=door.holder.cnf))
        assert "not a valid public key" in (await door.proof_refused(door.proof())).detail

    async def test_an_oversized_proof_is_not_read(self, door: Door) -> None:
        await door.proof_refused(door.proof(header={"jwk": door.holder.jwk | {"x5c": ["A" * 8192]}}))
        await door.proof_refused(b"." * 9000)


class TestUrl:
    @pytest.mark.parametrize(
        "htu",
        [
            "https://api.example.com/things/1",
            "HTTPS://API.Example.com:443/things/1",
            "https://api.example.com./things/1?x=1#y",
            "https://api.example.com/%74hings/1",
            "https://api.example.com:0443/things/1?",
        ],
    )
    async def test_another_spelling_of_the_url_is_the_same(self, htu: str, door: Door) -> None:
        assert await door.passes(*dpop(door.token, door.proof(htu=htu)), path="/things/1")

    @pytest.mark.parametrize(
        "htu",
        [
            "http://api.example.com/things/1",
            "https://api.example.com:8443/things/1",
            "https://api.example.com/things/2",
            "https://api.example.com/Things/1",
            "https://api.example.com/things/1/",
            "https://api.example.com/x/../things/1",
            "https://api.example.com//things/1",
            "https://api.example.com/things%2F1",
            "https://api.example.com.evil.example/things/1",
            "https://user@api.example.com/things/1",
            "https://evil.example\\@api.example.com/things/1",
            "https://api.example.com\n/things/1",
            "//api.example.com/things/1",
            "/things/1",
            "",
        ],
    )
    async def test_another_url_is_not(self, htu: str, door: Door) -> None:
        await door.proof_refused(door.proof(htu=htu), path="/things/1")

    async def test_what_a_stranger_says_of_forwarding_is_no_part_of_it(self, door: Door) -> None:
        said = [
            (b"x-forwarded-host", b"other.example"),
            (b"x-forwarded-proto", b"http"),
            (b"forwarded", b"host=other.example;proto=http"),
            (b"x-original-url", b"/admin"),
        ]
        assert await door.passes(*dpop(door.token, door.proof()), *said)
        await door.proof_refused(door.proof(htu="http://other.example/"))
        await door.proof_refused(door.proof(htu="https://api.example.com/admin"))


class TestNonces:
    @pytest.fixture
    def door(self) -> Door:
        return Door(dpop={"nonce": {"lifetime": "60s"}})

    async def given(self, door: Door, proof: bytes) -> str:
        """The nonce that is asked for."""
        error = await door.refused(*dpop(door.token, proof))
        assert challenged(error) == [b'DPoP realm="gateway", error="use_dpop_nonce", algs="ES256 EdDSA"']
        assert error.reason is Reason.CREDENTIAL_MISSING  # asking for one is no guess that counts towards a block
        return dict(error.headers)[b"dpop-nonce"].decode()

    async def test_one_is_asked_for_and_then_counts(self, door: Door) -> None:
        nonce = await self.given(door, door.proof())
        assert await door.passes(*dpop(door.token, door.proof(nonce=nonce)))
        assert await door.passes(*dpop(door.token, door.proof(nonce=nonce)))

    async def test_proofs_made_in_advance_are_of_no_use(self, door: Door) -> None:
        nonce = await self.given(door, door.proof())
        ahead = [door.proof(nonce=nonce, iat=NOW + minutes * 60) for minutes in (2, 3)]
        for proof in ahead:
            door.clock.advance(120)
            assert await self.given(door, proof) != nonce

    async def test_a_nonce_of_somebody_else(self, door: Door) -> None:
        other = Door(dpop={"nonce": {"lifetime": "60s"}})
        nonce = await self.given(other, other.proof())
        for wrong in (nonce, nonce[:-1], nonce + "A", "A" * 28, "", 7, None, "é" * 28, {"a": 1}, "=" * 28):
            assert await self.given(door, door.proof(nonce=wrong))

    async def test_replicas_with_one_key_know_each_others(self) -> None:
        one, other = (Door(dpop={"nonce": {"key": {"env": "NONCE_KEY"}}}) for _ in range(2))
        nonce = await self.given(one, one.proof())
        assert await other.passes(*dpop(other.token, other.proof(nonce=nonce)))

    async def test_where_none_is_asked_for_any_is_passed_over(self) -> None:
        door = Door()
        assert await door.passes(*dpop(door.token, door.proof(nonce="whatever")))


class TestCertificates:
    @pytest.fixture
    def token(self) -> str:
        return mint(ISSUED, claims(cnf=X5T))

    async def test_the_holder_of_the_certificate_is_let_in(self, token: str, door: Door) -> None:
        assert (await door.ask(bearer(token), certificate=CERTIFICATE)).id == "alice"

    @pytest.mark.parametrize("certificate", [None, OTHER, b""], ids=["none", "another of the same name", "empty"])
    async def test_a_stolen_token_on_another_connection(self, certificate: bytes | None, token: str, door: Door) -> None:
        memo: dict[object, Any] = {}
        assert await door.passes(bearer(token), certificate=CERTIFICATE, memo=memo)
        for _ in range(2):
            error = await door.refused(bearer(token), certificate=certificate, memo=memo)
            assert challenged(error)[0] == b'Bearer realm="gateway", error="invalid_token"'
        assert door.gate.recalled(request(bearer(token), memo=memo, certificate=certificate)) is None

    async def test_bound_to_both_needs_both(self, door: Door) -> None:
        token = mint(ISSUED, claims(cnf=X5T | door.holder.cnf))
        await door.refused(bearer(token), certificate=CERTIFICATE)
        await door.refused(*dpop(token, door.holder.proof(token)))
        await door.refused(*dpop(token), certificate=CERTIFICATE)
        assert await door.passes(*dpop(token, door.holder.proof(token)), certificate=CERTIFICATE)


class TestRequired:
    async def test_a_route_that_demands_proofs_takes_nothing_else(self) -> None:
        door = Door("dpop")
        plain, held = mint(ISSUED), mint(ISSUED, claims(cnf=X5T))
        memo: dict[object, Any] = {}
        for token in (plain, held):
            for _ in range(2):
                error = await door.refused(bearer(token), certificate=CERTIFICATE, memo=memo)
                assert challenged(error) == [b'DPoP realm="gateway", error="invalid_token", algs="ES256 EdDSA"']
                assert door.gate.recalled(request(bearer(token), memo=memo)) is None
        assert challenged(await door.refused()) == [b'DPoP realm="gateway", algs="ES256 EdDSA"']
        assert await door.passes(*dpop(door.token, door.proof()))

    async def test_a_route_that_demands_certificates(self) -> None:
        door = Door("mtls", accepted=("jwt.corp", "mtls"))
        held = mint(ISSUED, claims(cnf=X5T))
        for fields in ([bearer(mint(ISSUED))], dpop(door.token, door.proof())):
            await door.refused(*fields, certificate=CERTIFICATE)
        assert challenged(await door.refused()) == [b'Bearer realm="gateway"']
        assert (await door.ask(bearer(held), certificate=CERTIFICATE)).id == "alice"
        assert (await door.ask(certificate=CERTIFICATE)).issuer == "mtls"

    async def test_either_is_enough_where_both_are_named(self) -> None:
        door = Door("dpop", "mtls")
        assert await door.passes(*dpop(door.token, door.proof()))
        assert await door.passes(bearer(mint(ISSUED, claims(cnf=X5T))), certificate=CERTIFICATE)
        await door.refused(bearer(mint(ISSUED)))

    async def test_a_cookie_is_no_way_around(self) -> None:
        model = issuer_model(**{"from": ["bearer", {"cookie": "sid"}]})
        await Door("dpop", jwt={"corp": model}).refused((b"cookie", b"sid=" + mint(ISSUED).encode()))

    async def test_the_same_token_is_decided_for_each_route_separately(self) -> None:
        """Row 80, for bindings: two gates over the same issuers share nothing that was remembered."""
        fetch = ScriptedFetch({JWKS_URL: answer(jwks(ISSUED))})
        resources = authentication({"jwt": {"corp": issuer_model()}, "dpop": {}}, fetch=fetch)
        open_, shut = (resources.gate(("jwt.corp",), anonymous=False, grant=grant, require=need) for need in ((), ("dpop",)))
        token, memo = mint(ISSUED), dict[object, Any]()
        for _ in range(2):
            assert (await open_.authenticate(request(bearer(token), memo=memo))).id == "alice"
        assert shut.recalled(request(bearer(token), memo=memo)) is None
        with pytest.raises(Unauthenticated):
            await shut.authenticate(request(bearer(token), memo=memo))

    @pytest.mark.parametrize(
        ("accepted", "require", "settings", "says"),
        [
            (("api_keys",), ("dpop",), {}, "`api_keys` is not bound by dpop"),
            (("jwt.corp", "api_keys"), ("dpop", "mtls"), {}, "`api_keys` is not bound"),
            (("mtls",), ("dpop",), {}, "`mtls` is not bound by dpop"),
            (("jwt.corp",), ("dpop",), {"dpop": None}, "add `authentication: {dpop: {}}`"),
        ],
    )
    def test_what_can_never_be_bound_is_refused_at_load(
        self, accepted: tuple[str, ...], require: tuple[str, ...], settings: Mapping[str, Any], says: str, tmp_path: Any
    ) -> None:
        keys = tmp_path / "keys.yaml"
        keys.write_text("[]")
        keys.chmod(0o600)
        with pytest.raises(ConfigError, match=says.replace("{", "[{]").replace("(", "[(]")):
            Door(*require, accepted=accepted, api_keys={"file": keys, "pepper": {"env": "P"}}, **settings)

    def test_nobody_is_asked_and_yet_a_binding_is_demanded(self) -> None:
        with pytest.raises(ConfigError):
            authentication({"dpop": {}}).gate((), anonymous=True, grant=grant, require=("dpop",))
