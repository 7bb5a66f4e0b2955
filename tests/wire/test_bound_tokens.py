"""Bound tokens over real connections: two gateways that share a Redis, a proxy in front, repeated bytes, certificates, HTTP/2."""

import asyncio
import hashlib
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.store import redis_once
from tests.exposition import parse
from tests.holding import Holder
from tests.house import AUDIENCE, ISSUER, House, Reply, house, read_reply, request_bytes
from tests.http2peer import ask, peer
from tests.issuer import b64
from tests.pki import Pki
from tests.redis_server import RedisServer

PROXIED = {"address": "127.0.0.1:0", "trusted_proxies": ["127.0.0.1/32"], "client_address": "x-forwarded-for"}
LISTENERS = {"front": PROXIED, "bare": {"address": "127.0.0.1:0", "http2": True}}
URL = "http://gw.test/things/1"


def settings(jwks: Path, **over: Any) -> dict[str, Any]:
    issuer = {"issuer": ISSUER, "audience": [AUDIENCE], "jwks": {"file": str(jwks)}, "algorithms": ["ES256"]}
    route = {"match": {"path": "/things/{thing}"}, "upstream": "plain", "authenticate": ["jwt.corp"]}
    held = {"name": "held", **route, "match": {"path": "/held"}, "require": "dpop"}
    return {
        "authentication": {"jwt": {"corp": issuer}, "dpop": {}},
        "routes": [{"name": "things", **route}, held],
        "detection": {"rules": []},
        "log": {"level": "warning"},
        **over,
    }


def sent(token: str, *fields: str, path: str = "/things/1") -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: gw.test", f"Authorization: DPoP {token}", *fields]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


@dataclass
class Pair:
    """Two replicas, and a holder of tokens for them."""

    one: House
    other: House
    redis: RedisServer
    holder: Holder

    def token(self, **claims: Any) -> str:
        return self.one.keys.token(cnf=self.holder.cnf, **claims)

    def proof(self, token: str, **more: Any) -> str:
        return self.holder.proof(token, **{"iat": int(time.time()), **more}).decode()

    async def send(self, gateway: House, token: str, *fields: str, listener: str = "bare", path: str = "/things/1") -> Reply:
        return await gateway.raw(sent(token, *fields, path=path), listener=listener)


@pytest.fixture
async def pair(tmp_path: Path, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pair]:
    monkeypatch.setattr(redis_once, "TIMEOUT", 30)  # a machine that stands still is no Redis that does
    over = {"listen": None, "listeners": LISTENERS, "state": {"store": {"redis": {"url": redis_server.url}}}}
    async with AsyncExitStack() as stack:
        houses = []
        for name in ("one", "other"):
            (tmp_path / name).mkdir()
            made = house(tmp_path / name, **settings(tmp_path / "one" / "jwks.json", **over))
            houses.append(await stack.enter_async_context(made))
        yield Pair(houses[0], houses[1], redis_server, Holder(url=URL))


async def failures(gateway: House) -> float:
    reply = await gateway.get("/metrics", listener="admin", host="localhost")
    family = parse(reply.body).get("gateway_state_failures_total")
    return sum(value for _, value in family.samples.items()) if family else 0


async def test_a_proof_used_at_one_replica_is_refused_at_the_other(pair: Pair) -> None:
    token = pair.token()
    for first, second in ((pair.one, pair.other), (pair.other, pair.one)):
        proof = f"DPoP: {pair.proof(token)}"
        found = [(await pair.send(gateway, token, proof)).status for gateway in (first, second, first)]
        assert found == [200, 401, 401]


async def test_of_a_hundred_at_once_at_both_replicas_one_passes(pair: Pair) -> None:
    token = pair.token()
    proof = f"DPoP: {pair.proof(token)}"
    replies = await asyncio.gather(*[pair.send(gateway, token, proof) for _ in range(50) for gateway in (pair.one, pair.other)])
    assert sorted(reply.status for reply in replies) == [200] + [401] * 99


async def test_without_the_redis_bound_tokens_are_refused_and_others_served(pair: Pair) -> None:
    token = pair.token()
    assert (await pair.send(pair.one, token, f"DPoP: {pair.proof(token)}")).status == 200
    pair.redis.kill()
    reply = await pair.send(pair.one, token, f"DPoP: {pair.proof(token)}")
    assert (reply.status, reply.json()["type"]) == (503, "urn:latchgate:problem:dependency-down")
    assert await failures(pair.one) == 1
    assert (await pair.one.get("/things/1", token=pair.one.keys.token(), listener="bare")).status == 200
    assert (await pair.send(pair.one, token, f"DPoP: {pair.proof(token, htm='POST')}")).status == 401
    pair.redis.start()
    async with asyncio.timeout(60):
        while (await pair.send(pair.one, token, f"DPoP: {pair.proof(token)}")).status != 200:
            await asyncio.sleep(0.02)


async def test_behind_a_trusted_proxy_the_url_is_the_one_its_client_wrote(pair: Pair) -> None:
    token = pair.token()
    said = "X-Forwarded-For: 203.0.113.7", "X-Forwarded-Proto: https"
    for listener, url, status in (
        ("front", "https://gw.test/things/1", 200),
        ("front", URL, 401),
        ("bare", "https://gw.test/things/1", 401),
        ("bare", URL, 200),
    ):
        proof = f"DPoP: {pair.proof(token, htu=url)}"
        assert (await pair.send(pair.one, token, proof, *said, listener=listener)).status == status, (listener, url)
    told = "X-Forwarded-Host: evil.example", "Forwarded: host=evil.example"
    for listener in ("front", "bare"):
        proof = f"DPoP: {pair.proof(token, htu='http://evil.example/things/1')}"
        assert (await pair.send(pair.one, token, proof, *told, listener=listener)).status == 401


async def test_no_spelling_of_a_proof_reaches_an_upstream(pair: Pair) -> None:
    token = pair.token()
    odd = "D_PoP: canary-proof", "D-POP: canary-proof", "dPoP.: canary-proof"
    for gateway, fields in ((pair.one, odd), (pair.other, odd[:2])):
        reply = await pair.send(gateway, token, f"DPoP: {pair.proof(token)}", *fields)
        assert reply.status in (200, 400)
        for seen in gateway.upstream.seen:
            assert not {name for name in seen.names if name.replace("_", "").replace("-", "").replace(".", "") == "dpop"}
            assert not seen.all("authorization")
    assert len(pair.other.upstream.seen) == 1
    plain = await pair.one.get("/things/1", token=pair.one.keys.token(), headers={"DPoP": "canary-proof"}, listener="bare")
    assert plain.status == 200
    assert "dpop" not in pair.one.upstream.seen[-1].names


async def test_two_dpop_headers_on_the_wire(pair: Pair) -> None:
    token = pair.token()
    good = f"DPoP: {pair.proof(token)}"
    for fields in ((good, f"DPoP: {pair.proof(token)}"), (good, good), ("dpop: x", good), ("DPoP:", good)):
        reply = await pair.send(pair.one, token, *fields)
        assert (reply.status, reply["WWW-Authenticate"]) == (
            401,
            'DPoP realm="gateway", error="invalid_dpop_proof", algs="ES256 EdDSA"',
        )
    assert (await pair.send(pair.one, token, good)).status == 200


async def test_a_request_repeated_to_the_byte_on_one_connection_is_a_replay(pair: Pair) -> None:
    """What is remembered of a head must not stand for its proof, nor one token's head for another's."""
    token = pair.token()
    data = sent(token, f"DPoP: {pair.proof(token)}")
    reader, writer = await asyncio.open_connection(*pair.one.address("bare"))
    found = []
    for each in (data, data, data, sent(token, f"DPoP: {pair.proof(token)}"), data):
        writer.write(each)
        found.append((await read_reply(reader, "GET")).status)
    writer.close()
    assert found == [200, 401, 401, 200, 401]
    [sign] = [event for event in await pair.one.events() if event["event"] == "auth.token.replayed"]
    assert (sign["issuer"], sign["subject"], sign["detail"]) == ("corp", "alice", "dpop: the proof was used before")


async def test_over_http_2_as_over_http_1(pair: Pair) -> None:
    token = pair.token()
    async with peer(pair.one.address("bare")) as client:
        found = []
        proof = pair.proof(token)
        for stream, proofs in (
            (1, [proof]),
            (3, [proof]),
            (5, []),
            (7, [pair.proof(token), pair.proof(token)]),
            (9, [pair.proof(token)]),
        ):
            fields = [("authorization", f"DPoP {token}"), *(("dpop", each) for each in proofs)]
            found.append((await client.ask(stream, ask("/things/1", *fields))).status)
    assert found == [200, 401, 401, 401, 200]


async def test_a_route_that_demands_proofs_says_so(pair: Pair) -> None:
    plain = pair.one.keys.token()
    for presented in (None, plain, plain):
        reply = await pair.one.get("/held", listener="bare", token=presented)
        assert reply.status == 401
        assert reply["WWW-Authenticate"].startswith("DPoP realm=")
        assert len(reply.all("WWW-Authenticate")) == 1
    token = pair.token()
    proof = pair.proof(token, htu="http://gw.test/held")
    assert (await pair.send(pair.one, token, f"DPoP: {proof}", path="/held")).status == 200


def x5t(leaf: Any) -> dict[str, str]:
    certificate = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes())
    return {"x5t#S256": b64(hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest())}


async def test_a_token_of_one_certificate_on_the_connection_of_another(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    mine, thiefs = pki.client("mine.example"), pki.client("thief.example")
    tls = {"certificate": str(pki.certificate), "key": {"file": str(pki.key)}}
    tls |= {"client_ca": str(pki.client_ca_file), "client_auth": "optional"}
    over = {"listen": {"address": "127.0.0.1:0", "tls": tls}}
    async with house(tmp_path, **settings(tmp_path / "jwks.json", **over)) as gateway:
        data = request_bytes("/things/1", token=gateway.keys.token(cnf=x5t(mine)), host="localhost")
        found = []
        for leaf in (mine, thiefs, None, mine):
            context = ssl.create_default_context(cadata=pki.ca.cert_pem.bytes().decode())
            if leaf is not None:
                leaf.configure_cert(context)
            streams = await asyncio.open_connection(*gateway.address(), ssl=context, server_hostname="localhost")
            for _ in range(3):
                streams[1].write(data)
                found.append((await read_reply(streams[0], "GET")).status)
            streams[1].close()
    assert found == [200] * 3 + [401] * 6 + [200] * 3
