"""boto3, through the gateway, to services of Amazon's that moto imitates and that check every signature.

Both are others' programs in an environment of their own (requirements/aws.in). The client holds an API key of the gateway and
nothing of Amazon's.
"""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.core.secret import Secret
from gateway.credentials.sources.source import RemoteSource
from gateway.credentials.vault.place import entry
from gateway.settings import load
from tests.external.amazon import Amazon
from tests.external.mock import run
from tests.fakes import stored_key
from tests.granting import KEY
from tests.house import House, house
from tests.pki import Pki

HERE = Path(__file__).parent / "aws"
PEPPER = "k3Jw9vQzP0sLx7TnB2mYc5RdF8hGaE1u"
POLICY = """
apiVersion: gateway/v1
kind: Policy
name: aws
routes: ["*"]
rules:
  - {name: some, allow: any, when: "resource.route != 'sqs'"}
"""
ROLES = """
apiVersion: gateway/v1
kind: Roles
roles: {client: ["aws:use"]}
"""
SERVICES = ("s3", "dynamodb", "sts", "sqs")


def document(server: Amazon, pki: Pki, *, secret: str) -> dict[str, Any]:
    """Plain HTTP and TLS in front of every service; bodies above 1 MiB go to S3 in signed chunks."""
    keys = {"inject": "sigv4", "region": "us-east-1", "access_key_id": server.id, "secret_access_key": {"env": "AWS_SECRET"}}
    target = {"url": f"http://127.0.0.1:{server.port}", "allow_plaintext": True, "allow_private": True}
    tls = {"certificate": str(pki.certificate), "key": {"file": str(pki.key)}}
    return {
        "listen": None,
        "listeners": {"plain": {"address": "127.0.0.1:0"}, "tls": {"address": "127.0.0.1:0", "tls": tls}},
        "authentication": {"api_keys": {"file": "keys.yaml", "pepper": {"env": "PEPPER"}}},
        "credentials": {service: keys | {"service": service} for service in SERVICES},
        "upstreams": {service: target | {"credential": service} for service in SERVICES},
        "routes": [
            {
                "name": service,
                "match": {"path": f"/{service}/**"},
                "rewrite": {"strip_prefix": f"/{service}"},
                "upstream": service,
                "authenticate": ["api_keys"],
            }
            for service in SERVICES
        ],
        "environ": {"AWS_SECRET": secret, "PEPPER": PEPPER},
    }


async def play(gateway: House, python: Path, scheme: str, key: str, ca: Path) -> dict[str, Any]:
    """What the client says that it got."""
    _, port = gateway.address({"http": "plain", "https": "tls"}[scheme])
    said = {"GATEWAY_URL": f"{scheme}://127.0.0.1:{port}", "GATEWAY_KEY": key, "GATEWAY_CA": str(ca), "BUCKET": f"bucket-{scheme}"}
    told: dict[str, Any] = json.loads(await run(str(python), str(HERE / "client.py"), AWS_EC2_METADATA_DISABLED="true", **said))
    return told


async def test_boto3_uses_amazons_services_with_a_key_of_the_gateway(python: Path, amazon: Amazon, tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    pki.key.chmod(0o600)
    ca = tmp_path / "ca.crt"
    pki.ca.cert_pem.write_to_path(str(ca))
    key, _ = stored_key(tmp_path / "keys.yaml", PEPPER.encode(), prefix="lgk", name="boto", now=time.time())
    async with house(tmp_path, policy=POLICY, roles=ROLES, **document(amazon, pki, secret=amazon.secret)) as gateway:
        for told in await asyncio.gather(*(play(gateway, python, scheme, key, ca) for scheme in ("http", "https"))):
            assert told == {
                "s3": {
                    "get": ["ell", {"colour": "two  blanks"}, "text/plain"],
                    "large": True,
                    "stream": True,
                    "parts": True,
                    "list": ["a b/ü+$&=.txt", "large", "parts", "stream"],
                    "prefix": 1,
                    "left": 2,
                    "missing": "NoSuchKey",
                },
                "dynamodb": 100_000,
                "sts": "arn:aws:iam::123456789012:user/gateway",
                "denied": 403,
            }
        assert amazon.secret not in str(await gateway.events())


def asked_by(server: Amazon, **over: Any) -> dict[str, Any]:
    """What says who we are to a service, and where it is."""
    dial = {"allow_plaintext": True, "allow_private": True}
    keys = {"access_key_id": server.id, "secret_access_key": {"env": "AWS_SECRET"}}
    return {"region": "us-east-1", "url": f"http://127.0.0.1:{server.port}", "dial": dial, **keys, **over}


def by_role(server: Amazon) -> dict[str, Any]:
    dial = {"allow_plaintext": True, "allow_private": True}
    return {"arn": server.role, "sts_url": f"http://127.0.0.1:{server.port}", "dial": dial}


@pytest.mark.parametrize("role", [False, True], ids=["by keys", "by a role"])
def test_kms_wraps_a_data_key_and_secrets_manager_gives_a_secret(amazon: Amazon, tmp_path: Path, role: bool) -> None:
    us = asked_by(amazon, **({"assume_role": by_role(amazon)} if role else {}))
    document: dict[str, Any] = {
        "version": 1,
        "vault": {"keys": [{"id": "aws", "aws_kms": {**us, "key": amazon.kms}}]},
        "secret_sources": {"here": {**us, "kind": "aws"}},
        "credentials": {"bot": {"inject": "bearer", "secret": {"aws_secret": "prod/bot", "field": "token"}}},
    }
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps(document))
    loaded = load([config], environ={"AWS_SECRET": amazon.secret})
    assert loaded.errors == []
    assert [source.current().reveal() for source in loaded.secrets.of(RemoteSource)] == [b"canary-value"]
    ring = loaded.vault.ring
    assert ring is not None
    sealed = ring.seal(entry("bot"), Secret(b"a value"))
    assert ring.open(entry("bot"), sealed).secret.reveal() == b"a value"


async def test_requests_are_signed_with_the_keys_of_a_role(amazon: Amazon, tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    pki.key.chmod(0o600)
    key, _ = stored_key(tmp_path / "keys.yaml", PEPPER.encode(), prefix="lgk", name="boto", now=time.time())
    written = document(amazon, pki, secret=amazon.secret)
    written["credentials"]["sts"]["assume_role"] = by_role(amazon)
    async with house(tmp_path, policy=POLICY, roles=ROLES, **written) as gateway:
        reply = await gateway.get("/sts/?Action=GetCallerIdentity&Version=2011-06-15", token=key, listener="plain")
        assert reply.status == 200
        assert b"assumed-role/reports/latchgate" in reply.body


async def test_the_stand_in_refuses_a_signature_of_another_key(amazon: Amazon, tmp_path: Path) -> None:
    """Without this the test above would show nothing."""
    pki = Pki(tmp_path)
    pki.key.chmod(0o600)
    key, _ = stored_key(tmp_path / "keys.yaml", PEPPER.encode(), prefix="lgk", name="boto", now=time.time())
    async with house(tmp_path, policy=POLICY, roles=ROLES, **document(amazon, pki, secret="another" * 4)) as gateway:
        for target in ("/s3/bucket/key", "/sts/?Action=GetCallerIdentity&Version=2011-06-15"):
            reply = await gateway.get(target, token=key, listener="plain")
            assert reply.status == 403
            assert b"SignatureDoesNotMatch" in reply.body


CAPTURED = ("AssumeRole", "GetSessionToken", "AssumeRoleWithWebIdentity")


def capturing(server: Amazon, pki: Pki) -> dict[str, Any]:
    """A route that captures what STS mints, and routes where it is spent. Clients show certificates."""
    written = document(server, pki, secret=server.secret)
    tls = {**written["listeners"]["tls"]["tls"], "client_ca": str(pki.client_ca_file), "client_auth": "require"}
    route = {"authenticate": ["mtls"], "credential": "session"}
    routes = [{**each, **route} for each in written["routes"] if each["name"] != "sts"]
    sts = next(each for each in written["routes"] if each["name"] == "sts")
    pointers = [f"/{action}Response/{action}Result/Credentials" for action in CAPTURED]
    capture = {"spend_with": "session", "format": "xml", "aws_keys": pointers}
    session = {"inject": "captured_keys", "regions": ["us-east-1"], "services": ["s3", "dynamodb", "sts"]}
    return written | {
        "listeners": {"tls": {"address": "127.0.0.1:0", "tls": tls}},
        "authentication": {"mtls": {}},
        "vault": {"keys": [{"id": "k1", "env": "VAULT_KEY"}]},
        "credentials": written["credentials"] | {"session": session},
        "routes": [
            *routes,
            {**sts, "authenticate": ["mtls"], "capture": capture},
            {**sts, **route, "name": "who", "match": {"path": "/who/**"}, "rewrite": {"strip_prefix": "/who"}},
        ],
        "environ": written["environ"] | {"VAULT_KEY": KEY},
    }


async def test_boto3_signs_with_placeholders_for_keys_that_sts_minted_and_nobody_else_can(
    python: Path, amazon: Amazon, tmp_path: Path
) -> None:
    pki = Pki(tmp_path)
    pki.key.chmod(0o600)
    ca, said = tmp_path / "ca.crt", {"ROLE": amazon.role}
    pki.ca.cert_pem.write_to_path(str(ca))
    for name in ("client", "stranger"):
        said[name.upper()] = str(tmp_path / f"{name}.pem")
        pki.client(f"{name}.example").private_key_and_cert_chain_pem.write_to_path(said[name.upper()])
    policy = POLICY.replace("'sqs'", "'none'")
    async with house(tmp_path, policy=policy, roles=ROLES, **capturing(amazon, pki)) as gateway:
        _, port = gateway.address("tls")
        said |= {"GATEWAY_URL": f"https://127.0.0.1:{port}", "GATEWAY_CA": str(ca), "AWS_EC2_METADATA_DISABLED": "true"}
        told = json.loads(await run(str(python), str(HERE / "captured.py"), **said))
        words = told.pop("words")
        assert told == {
            "who": ["arn:aws:sts::123456789012:assumed-role/reports/reports"] * 2,
            "user": "InvalidClientTokenId",  # moto's own answer: of temporary keys it knows only those of roles
            "s3": [[True] * 3] * 2,
            "dynamodb": 100_000,
            **dict.fromkeys(("stranger", "mixed", "other", "region"), "403"),
            "withheld": "no XML",
        }
        for id, secret, token in words:
            assert (id[:4], len(id), len(secret), token[:5]) == ("LGPK", 20, 40, "lgp1_")
        events = await gateway.events()
        faults = [event["fault"] for event in events if event["event"] == "placeholder.refused"]
        assert faults == ["altered", "signature", "altered", "scope"]
        assert [event.get("reason") for event in events].count("response-withheld") == 1
        assert not any(word in str(events) for three in words for word in three)
