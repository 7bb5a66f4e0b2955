"""Attacks on requests that are signed by HTTP message signatures (RFC 9421 7): what is let in is what somebody signed, and once."""

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from gateway.core.errors import BadRequest, ConfigError
from gateway.core.message import Field
from gateway.core.reason import Reason
from gateway.store.redis_once import RedisOnce
from gateway.store.server import Server
from tests.fakes import CountingMetrics
from tests.house import house
from tests.issuer import NOW, EcKey, EdKey, FixedSecret, RsaKey, SharedKey
from tests.redis_server import RedisServer
from tests.signatures import BODY, COVERED, Door, Partner, asked, components, content_digest, joined, parameters, signed


@pytest.fixture
def partner() -> Partner:
    return Partner()


async def test_an_honest_request_is_let_in_and_its_body_goes_on(partner: Partner) -> None:
    request = asked(*partner.sign())
    principal = await partner.door.ask(request)
    assert (principal.issuer, principal.id, principal.scheme, principal.credential_id) == (
        "partners",
        "partner",
        "signature",
        "partner-1",
    )
    assert request.body.whole == BODY


async def test_a_signature_made_for_another_host_is_refused_here(partner: Partner) -> None:
    fields = partner.sign(host="other.example.com")
    assert "does not verify" in (await partner.door.refused(asked(*fields))).detail
    assert "does not verify" in (await partner.door.refused(asked(*partner.sign(), host="other.example.com"))).detail


async def test_a_signature_made_for_https_is_refused_on_plain_http(partner: Partner) -> None:
    assert "does not verify" in (await partner.door.refused(asked(*partner.sign(), secure=False))).detail


async def test_a_signature_is_taken_once(partner: Partner) -> None:
    fields = partner.sign()
    await partner.door.ask(asked(*fields))
    again = await partner.door.refused(asked(*fields))
    assert "used before" in again.detail
    assert again.genuine
    await partner.door.ask(asked(*partner.sign(stated={"nonce": "another"})))


async def test_a_replay_at_a_second_replica_is_refused(redis_server: RedisServer) -> None:
    partner = Partner()
    stores = [RedisOnce(Server(redis_server.url), CountingMetrics(), timeout=60) for _ in range(2)]
    here, there = (Door({"partners": partner.entry}, once=store) for store in stores)
    try:
        fields = partner.sign()
        await here.ask(asked(*fields))
        assert "used before" in (await there.refused(asked(*fields))).detail
    finally:
        for store in stores:
            await store.close()


async def test_the_other_signature_that_ecdsa_has_for_the_same_is_the_same() -> None:
    """(r, s) and (r, n - s) verify alike: what is remembered must not be the signature's bytes."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    key = EcKey("ec")
    door = Door({"partners": {"keys": {"ec": {"algorithm": "ecdsa-p256-sha256", "jwk": key.jwk(), "subject": "p"}}}})
    said, made = signed(key, components(*COVERED), parameters(created=int(NOW), keyid="ec"))
    await door.ask(asked(said, made))
    raw = base64.b64decode(made[1].split(b":")[1])
    other = raw[:32] + (order - int.from_bytes(raw[32:])).to_bytes(32)
    twin = (b"signature", b"sig1=:" + base64.b64encode(other) + b":")
    assert "used before" in (await door.refused(asked(said, twin))).detail


async def test_a_body_that_was_swapped_is_refused(partner: Partner) -> None:
    fields = partner.sign()
    digest = (b"content-digest", content_digest(BODY).encode())
    assert "the body is not" in (await partner.door.refused(asked(*fields, digest, body=b'{"amount": 5000}'))).detail
    assert "does not verify" in (await partner.door.refused(asked(*fields, body=b'{"amount": 5000}'))).detail
    await partner.door.ask(asked(*fields))  # the failed attempts used nothing up


@pytest.mark.parametrize("declared", [True, False], ids=["with a length", "chunked"])
async def test_a_body_that_no_signed_digest_vouches_for_is_refused_unread(partner: Partner, declared: bool) -> None:
    request = asked(*partner.sign("@method", "@target-uri"), declared=declared)
    assert "does not cover content-digest" in (await partner.door.refused(request)).detail
    assert request.body.whole is None


@pytest.mark.parametrize(
    "digest",
    ["", "md5=:XrY7u+Ae7tCTyyK7j1rNww==:", "sha=:3Q==:", "sha-256=text", "sha-256", "unixsum=:AA==:, md5=:AA==:"],
)
async def test_digests_that_can_be_forged_vouch_for_nothing(partner: Partner, digest: str) -> None:
    fields = partner.sign(content_digest=digest)
    assert "Content-Digest" in (await partner.door.refused(asked(*fields, (b"content-digest", digest.encode())))).detail


async def test_of_two_digests_both_have_to_fit(partner: Partner) -> None:
    digest = f"{content_digest(BODY)}, {content_digest(b'other', 'sha-512')}"
    fields = partner.sign(content_digest=digest)
    assert "the body is not" in (await partner.door.refused(asked(*fields, (b"content-digest", digest.encode())))).detail


async def test_a_second_label_that_covers_nothing_is_not_the_one_that_counts(partner: Partner) -> None:
    """A signature over nothing beside a good one, before and after it, and under the same label."""
    nothing = signed(partner.key, {}, parameters(created=int(NOW), keyid="partner-1"), "sig0")
    for pair in ((nothing, partner.sign()), (partner.sign(), nothing)):
        assert "several" in (await partner.door.refused(asked(*joined(*pair)))).detail
    same = signed(partner.key, {}, parameters(created=int(NOW), keyid="partner-1"))
    assert "twice" in (await partner.door.refused(asked(*joined(partner.sign(), same)))).detail


async def test_with_a_tag_the_tagged_signature_counts_and_others_do_not() -> None:
    partner = Partner(tag="gateway")
    foreign = signed(EdKey("proxy"), {'"@path"': "/x"}, parameters(created=1, keyid="proxy", tag="proxy"), "proxy")
    ours = partner.sign(stated={"tag": "gateway"})
    assert (await partner.door.ask(asked(*joined(foreign, ours)))).id == "partner"
    assert "none that counts" in (await partner.door.refused(asked(*joined(foreign)))).detail
    twice = partner.sign(stated={"tag": "gateway", "nonce": "2"}, label="sig2")
    assert "several" in (await partner.door.refused(asked(*joined(ours, twice)))).detail


@pytest.mark.parametrize(
    ("covered", "missing"),
    [
        (("@target-uri", "content-digest"), "@method"),
        (("@method", "content-digest"), "@target-uri"),
        (("@method", "@path", "@query", "content-digest"), "@target-uri"),
        (("@method", "@authority", "@path", "content-digest"), "@target-uri"),
        (("@method", "@authority", "@query", "content-digest"), "@target-uri"),
        (("@method", "@target-uri"), "content-digest"),
    ],
)
async def test_what_is_not_covered_is_told_and_refused(partner: Partner, covered: tuple[str, ...], missing: str) -> None:
    assert f"does not cover {missing}" in (await partner.door.refused(asked(*partner.sign(*covered)))).detail


@pytest.mark.parametrize("covered", [("@authority", "@path", "@query"), ("@authority", "@request-target"), ("@target-uri",)])
async def test_a_target_in_parts_is_as_good_as_whole(partner: Partner, covered: tuple[str, ...]) -> None:
    await partner.door.ask(asked(*partner.sign("@method", *covered, "content-digest")))


async def test_a_query_that_nobody_signed_is_refused(partner: Partner) -> None:
    fields = partner.sign()
    for target in ("/orders?to=mallory", "/orders?to=alice&to=mallory", "/orders", "/orders?to=alice&"):
        assert "does not verify" in (await partner.door.refused(asked(*fields, target=target))).detail


async def test_one_query_parameter_does_not_stand_for_the_query(partner: Partner) -> None:
    lines = components("@method", "@authority", "@path", "content-digest") | {'"@query-param";name="to"': "alice"}
    fields = signed(partner.key, lines, parameters(created=int(NOW), keyid="partner-1"))
    assert "does not cover @target-uri" in (await partner.door.refused(asked(*fields))).detail


async def test_a_member_of_a_field_does_not_stand_for_the_field(partner: Partner) -> None:
    lines = components("@method", "@target-uri") | {'"content-digest";key="sha-256"': content_digest(BODY).partition("=")[2]}
    fields = signed(partner.key, lines, parameters(created=int(NOW), keyid="partner-1"))
    assert "does not cover content-digest" in (await partner.door.refused(asked(*fields))).detail


async def test_a_required_field_that_is_not_covered_is_refused() -> None:
    partner = Partner(components=["content-type"])
    plain: Field = (b"content-type", b"application/json")
    assert "does not cover content-type" in (await partner.door.refused(asked(*partner.sign(), plain))).detail
    fields = partner.sign(*COVERED, "content-type", content_type="application/json")
    assert "is not there" in (await partner.door.refused(asked(*fields))).detail
    assert "does not verify" in (await partner.door.refused(asked(*fields, (b"content-type", b"text/plain")))).detail
    assert "does not verify" in (await partner.door.refused(asked(*fields, plain, plain))).detail
    await partner.door.ask(asked(*fields, plain))


async def test_a_covered_field_that_connection_would_take_away_is_refused(partner: Partner) -> None:
    """It would be verified and not passed on: the upstream would see another request than was signed (CVE-2024-45410)."""
    fields = partner.sign(*COVERED, "x-tenant", x_tenant="a")
    request = asked(*fields, (b"x-tenant", b"a"), (b"connection", b"close, X-Tenant"))
    assert "Connection" in (await partner.door.refused(request)).detail


async def test_a_public_key_is_no_shared_secret() -> None:
    """Algorithm confusion: a signature by HMAC with what everybody knows of the key."""
    key = RsaKey("rsa")
    pem = key.private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    entry = {"keys": {"rsa": {"algorithm": "rsa-pss-sha512", "pem": pem.decode(), "subject": "p"}}}
    for alg in (None, "hmac-sha256"):
        for secret in (pem, pem.strip(), json.dumps(key.jwk()).encode()):
            fields = signed(SharedKey(secret), components(*COVERED), parameters(created=int(NOW), keyid="rsa", alg=alg))
            error = await Door({"partners": entry}).refused(asked(*fields))
            assert ("does not verify" if alg is None else "`alg`") in error.detail


async def test_a_weaker_algorithm_of_the_same_key_is_refused() -> None:
    """RFC 9421 7.3.6: RSA 1.5 where the key is for PSS."""
    key = RsaKey("rsa")
    entry = {"keys": {"rsa": {"algorithm": "rsa-pss-sha512", "jwk": key.jwk(), "subject": "p"}}}
    for alg, why in ((None, "does not verify"), ("rsa-v1_5-sha256", "`alg`"), ("rsa-pss-sha512", "does not verify")):
        fields = signed(key, components(*COVERED), parameters(created=int(NOW), keyid="rsa", alg=alg))
        assert why in (await Door({"partners": entry}).refused(asked(*fields))).detail
    chosen = {"keys": {"rsa": {"algorithm": "rsa-v1_5-sha256", "jwk": key.jwk(), "subject": "p"}}}
    fields = signed(key, components(*COVERED), parameters(created=int(NOW), keyid="rsa"))
    assert (await Door({"partners": chosen}).ask(asked(*fields))).id == "p"


async def test_the_key_id_of_another_caller_gives_nobody_his_name(partner: Partner) -> None:
    other = EdKey("partner-2")
    keys = partner.entry["keys"] | {"partner-2": {"algorithm": "ed25519", "jwk": other.jwk(), "subject": "other"}}
    door = Door({"partners": {"keys": keys}})
    error = await door.refused(asked(*partner.sign(stated={"keyid": "partner-2"})))
    assert "does not verify" in error.detail
    assert not error.genuine
    assert (await door.ask(asked(*partner.sign()))).id == "partner"


@pytest.mark.parametrize("keyid", ["partner-9", "", None])
async def test_an_unknown_key_is_refused(partner: Partner, keyid: str | None) -> None:
    assert "no key" in (await partner.door.refused(asked(*partner.sign(stated={"keyid": keyid})))).detail


@pytest.mark.parametrize(
    ("stated", "reason"),
    [
        ({"created": None}, Reason.CREDENTIAL_INVALID),
        ({"created": int(NOW) + 31}, Reason.CREDENTIAL_INVALID),
        ({"created": "1800000000"}, Reason.CREDENTIAL_INVALID),
        ({"created": "@1800000000"}, Reason.CREDENTIAL_INVALID),
        ({"created": int(NOW) - 301}, Reason.CREDENTIAL_EXPIRED),
        ({"created": -1}, Reason.CREDENTIAL_EXPIRED),
        ({"expires": int(NOW)}, Reason.CREDENTIAL_EXPIRED),
        ({"expires": "never"}, Reason.CREDENTIAL_INVALID),
    ],
)
async def test_a_signature_counts_in_its_time_only(partner: Partner, stated: dict[str, Any], reason: Reason) -> None:
    error = await partner.door.refused(asked(*partner.sign(stated=stated)))
    assert error.reason is reason


@pytest.mark.parametrize("stated", [{"created": int(NOW) + 30}, {"created": int(NOW) - 300}, {"expires": int(NOW) + 1}])
async def test_clocks_may_differ_a_little(partner: Partner, stated: dict[str, Any]) -> None:
    await partner.door.ask(asked(*partner.sign(stated=stated)))


async def test_the_fields_of_a_signature_that_come_twice_are_ambiguous(partner: Partner) -> None:
    said, made = partner.sign()
    for fields in ((said, said, made), (said, made, made)):
        with pytest.raises(BadRequest) as caught:
            await partner.door.ask(asked(*fields))
        assert caught.value.reason is Reason.CREDENTIAL_AMBIGUOUS


async def test_a_signature_beside_another_credential_is_ambiguous(partner: Partner) -> None:
    with pytest.raises(BadRequest) as caught:
        await partner.door.ask(asked(*partner.sign(), (b"authorization", b"Bearer x.y.z")))
    assert caught.value.reason is Reason.CREDENTIAL_AMBIGUOUS


def said(value: bytes, signature: bytes = b"sig1=:AAAA:") -> tuple[Field, Field]:
    return (b"signature-input", value), (b"signature", signature)


@pytest.mark.parametrize(
    "fields",
    [
        said(b"sig1=(" + b" ".join([b'"a"'] * 3000) + b")"),
        said(b", ".join(b"s%d=()" % number for number in range(9)), b", ".join(b"s%d=:AAAA:" % number for number in range(9))),
        said(b"sig1=(" + b" ".join(b'"a%d"' % number for number in range(65)) + b');created=1800000000;keyid="partner-1"'),
        said(b""),
        said(b"\xff"),
        said(b"sig1=("),
        said(b"sig1"),
        said(b"sig1=:AAAA:"),
        said(b'sig1=("@method" "@target-uri" "content-digest");created=1800000000;keyid="partner-1"', b"sig2=:AAAA:"),
        said(b'sig1=("@method" "@target-uri" "content-digest");created=1800000000;keyid="partner-1"', b"sig1=AAAA"),
        said(
            b'sig1=("@method" "@target-uri" "content-digest");created=1800000000;keyid="partner-1"', b"sig1=:" + b"A" * 9000 + b":"
        ),
        said(b'sig1=("@method" "@target-uri" "content-digest");created=1800000000;keyid="partner-1"', b"sig1=::"),
    ],
)
async def test_oversized_and_broken_signatures_are_refused_unread(partner: Partner, fields: tuple[Field, Field]) -> None:
    request = asked(*fields)
    await partner.door.refused(request)
    assert request.body.whole is None


@pytest.mark.parametrize(
    "identifier",
    [
        '"@method";req',
        '"@method";tr',
        '"@status"',
        '"@unknown"',
        '"@signature-params"',
        '"@query-param"',
        '"@query-param";name="absent"',
        '"x-a";tr',
        '"x-a";req',
        '"x-a";sf',
        '"x-a";unknown',
        '"x-a";bs;key="a"',
        '"X-A"',
        '"x a"',
        '"content-digest";key="absent"',
        '"content-digest";key=sha-256',
        "token",
        "1",
        ":AAAA:",
    ],
)
async def test_components_that_a_request_does_not_have_or_that_are_unknown_are_refused(partner: Partner, identifier: str) -> None:
    lines = components(*COVERED) | {identifier: "x"}
    fields = signed(partner.key, lines, parameters(created=int(NOW), keyid="partner-1"))
    assert identifier in (await partner.door.refused(asked(*fields, (b"x-a", b"x")))).detail


async def test_a_component_covered_twice_is_refused(partner: Partner) -> None:
    lines = [*components(*COVERED).items(), ('"@method"', "POST")]
    fields = signed(partner.key, lines, parameters(created=int(NOW), keyid="partner-1"))
    assert "twice" in (await partner.door.refused(asked(*fields))).detail


async def test_a_value_cannot_pretend_to_be_another_line(partner: Partner) -> None:
    """RFC 9421 7.5.3: bytes that could break a line are not in a signature's base."""
    fields = partner.sign(*COVERED, "x-a", x_a="x")
    for value in (b"\xc3\xa9", b"x\ry", b"x\ny", b"x\x00"):
        assert "bs" in (await partner.door.refused(asked(*fields, (b"x-a", value)))).detail


def test_two_entries_that_a_request_does_not_choose_between_are_refused_at_load() -> None:
    entries = {"one": Partner().entry, "other": Partner().entry}
    with pytest.raises(ConfigError, match="tag"):
        Door(entries)
    Door({"one": entries["one"], "other": entries["other"] | {"tag": "other"}})


ROUTES = [
    {"name": "admin", "match": {"path": "/admin/**"}, "upstream": "plain", "authenticate": ["signatures.partners"]},
    {"name": "open", "match": {"path": "/public/**"}, "upstream": "plain", "anonymous": True},
]
ROLES = """
apiVersion: gateway/v1
kind: Roles
roles: {member: ["things:use"]}
"""
SHARED = "k3Jw9vQzP0sLx7TnB2mYc5RdF8hGaE1u-4f7"
POLICY = """
apiVersion: gateway/v1
kind: Policy
name: partners
routes: [admin, open]
rules:
  - {name: anybody, allow: any, when: "resource.route == 'open'"}
  - {name: partner, allow: any, when: "subject.scheme == 'signature' && subject.id == 'partner'"}
"""


async def test_what_arrives_is_what_was_signed_and_the_signature_stays_here(tmp_path: Path) -> None:
    key = SharedKey(SHARED.encode())
    entry = {"keys": {"p1": {"algorithm": "hmac-sha256", "secret": {"env": "PARTNER"}, "subject": "partner"}}}
    async with house(
        tmp_path,
        authentication={"signatures": {"partners": entry}},
        routes=ROUTES,
        policy=POLICY,
        roles=ROLES,
        environ={"PARTNER": SHARED},
    ) as gateway:

        async def send(
            target: str, nonce: str, *, as_signed: str = "", method: str = "PUT", body: bytes = BODY, **more: str
        ) -> int:
            lines = components(*COVERED, method="PUT", target=as_signed or target, host="gw.test", scheme="http")
            said, made = signed(key, lines, parameters(created=int(time.time()), keyid="p1", nonce=nonce))
            headers = {"Signature-Input": said[1].decode(), "Signature": made[1].decode(), "Content-Digest": content_digest(BODY)}
            return (await gateway.get(target, method=method, headers=headers | more, body=body)).status

        target = "/admin/orders?to=al%C3%AFce&n=1"
        assert await send(target, "1") == 200
        [seen] = gateway.upstream.seen
        assert (seen.method, seen.target, seen.body) == ("PUT", target, BODY)
        assert seen.all("content-digest") == [content_digest(BODY)]
        assert seen.all("signature") == seen.all("signature-input") == []
        assert await send("/admin/orders?to=mallory", "2", as_signed=target) == 401
        assert await send(target, "3", method="POST") == 401
        assert await send(target, "4", body=b'{"amount": 9}') == 401
        assert await send("/public/x", "5") == 200  # where nobody is asked it stays here as well
        assert gateway.upstream.seen[-1].all("signature") == gateway.upstream.seen[-1].all("signature-input") == []
        assert len(gateway.upstream.seen) == 2


async def test_secrets_too_short_to_sign_with_are_refused_at_load() -> None:
    entry = {"keys": {"p1": {"algorithm": "hmac-sha256", "secret": {"env": "S"}, "encoding": "base64", "subject": "p"}}}
    for secret, why in (
        (b"short", "32 are needed"),
        (b"!" + b"k3Jw9vQzP0sLx7TnB2mYc5RdF8hGaE1u", "base64"),
        (b"k3Jw9vQzP0sLx7TnB2mYc5RdF8hGaE1u", "decoded"),
    ):
        with pytest.raises(ConfigError, match=why):
            Door({"p": entry}, secrets=lambda reference, secret=secret: FixedSecret(secret))
