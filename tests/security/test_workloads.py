"""Workloads: SPIFFE IDs in certificates and tokens, and service accounts of Kubernetes, with what stands in for them refused."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import ValidationError

from gateway.authn.model import JwtIssuer
from gateway.authn.mtls import Certificates
from gateway.authn.workload_model import IN_CLUSTER, Mtls
from gateway.core.errors import GatewayError, Unauthenticated
from tests.issuer import (
    AUDIENCE,
    NOW,
    EcKey,
    FixedSecret,
    FrozenClock,
    ScriptedFetch,
    answer,
    authentication,
    bearer,
    claims,
    grant,
    jwks,
    mint,
    request,
)

ID = "spiffe://example.org/ns/prod/sa/ci"
BUNDLE = "https://spire.example.org/bundle"
CLUSTER = "https://kubernetes.default.svc.cluster.local"
ACCOUNT = "system:serviceaccount:prod:reports"
TOLD = {"namespace": "prod", "serviceaccount": {"name": "reports", "uid": "u-1"}, "pod": {"name": "reports-7", "uid": "u-2"}}
KEY, OTHER = EcKey("svid-1"), EcKey("web-1")


def svid_model(domain: str = "example.org", **more: Any) -> dict[str, Any]:
    model = {"issuer": "none", "audience": [AUDIENCE], "jwks": {"url": BUNDLE}, "algorithms": ["ES256"]}
    return {**model, "spiffe": {"trust_domain": domain}, **more}


def cluster_model(**more: Any) -> dict[str, Any]:
    return {"issuer": CLUSTER, "audience": [AUDIENCE], "kubernetes": True, "algorithms": ["ES256"], **more}


async def who(token: str, fetch: ScriptedFetch, accepted: tuple[str, ...], **models: dict[str, Any]) -> str:
    """The principal of a token, or the reason why there is none."""
    gate = authentication({"jwt": models}, fetch=fetch).gate(accepted, anonymous=False, grant=grant)
    try:
        principal = await gate.authenticate(request(bearer(token)))
    except GatewayError as error:
        return str(error.reason)
    return f"{principal.issuer}:{principal.id}"


def bundle(*keys: dict[str, Any]) -> ScriptedFetch:
    return ScriptedFetch({BUNDLE: answer(jwks(*keys))})


def svid(**more: Any) -> dict[str, Any]:
    return claims(**{"iss": None, "sub": ID, **more})


async def test_a_jwt_svid_is_its_workload() -> None:
    fetch = bundle({**OTHER.jwk(), "use": "x509-svid"}, KEY.jwk(use="jwt-svid"))
    for typ in ("JWT", "JOSE", None):
        assert await who(mint(KEY, svid(), typ=typ), fetch, ("jwt.mesh",), mesh=svid_model()) == f"mesh:{ID}"
    assert await who(mint(KEY, svid(iss="https://spire")), fetch, ("jwt.mesh",), mesh=svid_model()) == f"mesh:{ID}"


@pytest.mark.parametrize(
    ("payload", "header"),
    [
        (svid(sub="spiffe://example.com/ns/prod/sa/ci"), {}),
        (svid(sub="spiffe://example.org"), {}),
        (svid(sub="spiffe://example.org/"), {}),
        (svid(sub="spiffe://example.org/a/../b"), {}),
        (svid(sub="spiffe://Example.org/ci"), {}),
        (svid(sub="SPIFFE://example.org/ci"), {}),
        (svid(sub="spiffe://example.org.evil.test/ci"), {}),
        (svid(sub="spiffe://example.org@evil.test/ci"), {}),
        (svid(sub="alice"), {}),
        (svid(sub=[ID]), {}),
        (svid(sub=None), {}),
        (svid(aud=None), {}),
        (svid(aud="https://elsewhere.example"), {}),
        (svid(exp=None), {}),
        (svid(), {"kid": None}),
        (svid(), {"kid": "web-1"}),
        (svid(), {"typ": "at+jwt"}),
        (svid(), {"typ": ""}),
    ],
    ids=repr,
)
async def test_what_is_no_svid_of_the_trust_domain_is_refused(payload: dict[str, Any], header: dict[str, Any]) -> None:
    fetch = bundle(KEY.jwk(use="jwt-svid"))
    assert await who(mint(KEY, payload, **header), fetch, ("jwt.mesh",), mesh=svid_model()) == "credential-invalid"


@pytest.mark.parametrize("use", ["x509-svid", "sig", None])
async def test_only_keys_of_the_use_jwt_svid_verify(use: str | None) -> None:
    jwk = OTHER.jwk(use=use) if use else OTHER.jwk()
    fetch = bundle(KEY.jwk(use="jwt-svid"), jwk)
    assert await who(mint(OTHER, svid()), fetch, ("jwt.mesh",), mesh=svid_model()) == "credential-invalid"


async def test_a_trust_domain_signs_for_itself_alone() -> None:
    second = svid_model("other.example", jwks={"url": BUNDLE + "2"})
    fetch = bundle(KEY.jwk(use="jwt-svid"))
    fetch.answers[BUNDLE + "2"] = answer(jwks(OTHER.jwk(use="jwt-svid")))
    models, both = {"mesh": svid_model(), "far": second}, ("jwt.mesh", "jwt.far")
    theirs = "spiffe://other.example/x"
    assert await who(mint(KEY, svid()), fetch, both, **models) == f"mesh:{ID}"
    assert await who(mint(OTHER, svid(sub=theirs)), fetch, both, **models) == f"far:{theirs}"
    assert await who(mint(OTHER, svid()), fetch, both, **models) == "credential-invalid"
    assert await who(mint(KEY, svid(sub=theirs)), fetch, both, **models) == "credential-invalid"
    assert await who(mint(OTHER, svid(sub=theirs)), fetch, ("jwt.mesh",), **models) == "credential-invalid"


@pytest.mark.parametrize(
    "wrong",
    [
        svid_model(audience="none"), svid_model(types=["JWT"]), svid_model(required_claims=[]), svid_model(subject="email"),
        svid_model("Example.org"), svid_model(profile="rfc9068", issuer="https://x.example"), svid_model(kubernetes=True),
        cluster_model(audience="none"), cluster_model(required_claims=["sub"]),
    ],
    ids=repr,
)  # fmt: skip
def test_what_makes_a_workloads_token_cannot_be_waived(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        JwtIssuer.model_validate(wrong)


def account(**more: Any) -> dict[str, Any]:
    return claims(**{"iss": CLUSTER, "sub": ACCOUNT, "kubernetes.io": TOLD, **more})


def api_server() -> ScriptedFetch:
    return ScriptedFetch({IN_CLUSTER["url"]: answer(jwks(KEY))})


async def test_a_service_account_is_known_by_the_keys_of_its_cluster() -> None:
    fetch = api_server()
    auth = authentication(
        {"jwt": {"cluster": cluster_model()}}, fetch=fetch, secrets=lambda _: FixedSecret(b"token-of-the-gateway")
    )
    gate = auth.gate(("jwt.cluster",), anonymous=False, grant=grant)
    principal = await gate.authenticate(request(bearer(mint(KEY, account()))))
    assert (principal.id, principal.claims["kubernetes.io"]["pod"]["name"]) == (ACCOUNT, "reports-7")
    assert fetch.shown == ["Bearer token-of-the-gateway"]
    assert (fetch.options[0]["ca"], fetch.options[0]["private"]) == (IN_CLUSTER["ca"], True)


@pytest.mark.parametrize(
    "payload",
    [
        account(aud=None), account(aud="https://kubernetes.default.svc"), account(exp=None), account(sub="system:node:a"),
        account(sub="system:serviceaccount:kube-system:reports"), account(sub="system:serviceaccount:prod:admin"),
        account(sub="system:serviceaccount:prod:reports:x"), account(**{"kubernetes.io": None}),
        account(**{"kubernetes.io": "prod"}), account(**{"kubernetes.io": {"namespace": "prod"}}),
        account(iss="https://kubernetes.default.svc"),
    ],
    ids=lambda value: json.dumps(value)[:60],
)  # fmt: skip
async def test_another_clusters_or_an_unbound_token_is_refused(payload: dict[str, Any]) -> None:
    assert await who(mint(KEY, payload), api_server(), ("jwt.cluster",), cluster=cluster_model()) == "credential-invalid"


async def test_the_gateways_own_token_is_shown_to_nobody_else() -> None:
    elsewhere = "https://elsewhere.example/keys"
    metadata = json.dumps({"issuer": CLUSTER, "jwks_uri": elsewhere}).encode()
    fetch = ScriptedFetch({f"{CLUSTER}/.well-known/openid-configuration": answer(metadata), elsewhere: answer(jwks(KEY))})
    model = cluster_model(jwks={"discovery": True, "bearer": {"file": "/token"}})
    assert await who(mint(KEY, account()), fetch, ("jwt.cluster",), cluster=model) == f"cluster:{ACCOUNT}"
    assert fetch.asked[1] == elsewhere
    assert fetch.shown[0] is not None
    assert fetch.shown[1] is None


def certificate(uri: str, *, ca: bool = False, signs: bool | None = None) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "w")]), datetime.fromtimestamp(NOW, UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False)
    if ca:
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    if signs is not None:
        usage = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False)
        usage |= {"encipher_only": False, "decipher_only": False, "crl_sign": False, "digital_signature": True}
        made = made.add_extension(x509.KeyUsage(key_cert_sign=signs, **usage), critical=True)
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def known(der: bytes, *domains: str) -> str | None:
    try:
        return Certificates(["spiffe", "san_uri"], grant, FrozenClock(), domains or None).authenticate(der).id
    except Unauthenticated:
        return None


def test_a_certificate_of_another_trust_domain_is_nobody() -> None:
    der = certificate(ID)
    assert known(der) == known(der, "example.org", "other.example") == ID
    assert known(der, "other.example") is None
    assert known(certificate("spiffe://example.org.evil.test/ci"), "example.org") is None
    assert known(certificate("spiffe://example.org"), "example.org") is None


def test_an_authority_is_no_workload() -> None:
    assert known(certificate(ID, ca=True)) is None
    assert known(certificate(ID, signs=True)) is None
    assert known(certificate(ID, signs=False)) == ID


def test_trust_domains_without_spiffe_ids_are_refused() -> None:
    with pytest.raises(ValidationError):
        Mtls.model_validate({"identity": ["san_dns"], "trust_domains": ["example.org"]})
