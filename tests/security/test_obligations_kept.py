"""What rules demand is kept on every way a request can go: other protocols, kept connections, remembered principals, tunnels."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from gateway.authn.api_keys import KeyHolders, KeyStore
from gateway.authn.mtls import Certificates
from gateway.authn.strength import StrongSecret
from gateway.authz.policy import Policies
from gateway.core.principal import Principal
from tests.asking import policies, roles
from tests.fakes import stored_key
from tests.frames import handshake
from tests.house import POLICY, ROLES, Reply, house, read_reply, request_bytes
from tests.http2peer import ask, peer
from tests.issuer import NOW, PEPPER, Counted, FixedSecret, FrozenClock
from tests.redis_server import RedisServer
from tests.security.test_websockets import bearing, before, refused, tunnel
from tests.unit.authn.certificates import client_certificate

START = 'apiVersion: gateway/v1\nkind: Policy\nname: p\nroutes: ["*"]\nrules:\n'
SOON = "2026-05-28T21:00:00Z"
AT = 1_780_002_000.0
JSON = ("content-type", "application/json")


def ruled(*rules: str) -> str:
    return START + "".join(f"  - {rule}\n" for rule in rules)


async def test_requests_that_repeat_to_the_byte_are_each_counted_and_judged(tmp_path: Path) -> None:
    """On one connection, where their head is not read again."""
    async with house(tmp_path, policy=ruled("{name: a, allow: any, then: {rate_limit: 3/day, set_header: {X-A: b}}}")) as served:
        reader, writer = await asyncio.open_connection(*served.address())
        request = request_bytes("/things/1", token=served.keys.token(), headers={"X_A": "c"})
        replies: list[Reply] = []
        for _ in range(5):
            writer.write(request)
            async with asyncio.timeout(60):
                replies.append(await read_reply(reader, "GET"))
        writer.close()
        assert [reply.status for reply in replies] == [200, 200, 200, 429, 429]
        assert [(seen.all("x-a"), seen.all("x_a")) for seen in served.upstream.seen] == [(["b"], [])] * 3


async def test_what_get_demands_head_demands(tmp_path: Path) -> None:
    policy = ruled("{name: a, allow: [GET], then: {step_up: {acr: mfa}, set_header: {X-A: b}}}", "{name: b, allow: any}")
    async with house(tmp_path, policy=policy) as served:
        assert (await served.get("/things/1", method="HEAD", token=served.keys.token())).status == 401
        assert (await served.get("/things/1", method="HEAD", token=served.keys.token(acr="mfa"))).status == 200
        assert served.upstream.seen[0].all("x-a") == ["b"]


async def test_http_2_is_under_the_same_demands(tmp_path: Path) -> None:
    policy = ruled(
        "{name: a, allow: [POST], when: request.body.kind == 'note', then: {set_header: {X-A: b}, rate_limit: 2/day, max_body: 64}}",
    )
    listen = {"address": "127.0.0.1:0", "http2": True}
    async with house(tmp_path, policy=policy, listen=listen) as served, peer(served.address()) as client:
        who = ("authorization", f"Bearer {served.keys.token()}")
        bodies = [b'{"kind": "order"}', b'{"kind":"note"}', b'{"kind":"note","kind":"x"}', b'{"kind":"note"}', b'{"kind":"note"}']
        heard = [await client.ask(2 * n + 1, ask("/things/1", who, JSON, method="POST"), body) for n, body in enumerate(bodies)]
        assert [each.status for each in heard] == [403, 200, 403, 200, 429]
        assert [(seen.body, seen.all("x-a")) for seen in served.upstream.seen] == [(b'{"kind":"note"}', ["b"])] * 2
        large = await client.ask(21, ask("/things/1", who, JSON, method="POST"), b'{"kind":"note"' + b" " * 64 + b"}")
        assert large.status in (413, 429)


async def test_a_handshake_carries_the_fields_of_rules_and_is_refused_where_answers_are_to_be_shaped(tmp_path: Path) -> None:
    fields = POLICY.rstrip() + "\n  - {name: more, allow: any, then: {set_header: {X-A: b}}}\n"
    async with before(tmp_path, policy=fields) as (gateway, upstream):
        client, server = await tunnel(gateway, upstream, bearing(gateway, "alice"))
        assert b"x-a: b\r\n" in server.head.lower()
        client.close()
        server.close()
        shaped = fields.replace("set_header: {X-A: b}", "redact: {response: [$.a]}")
        (tmp_path / "policies" / "policy.yaml").write_text(shaped)
        assert await gateway.process.reload()
        status, _ = await refused(gateway, bearing(gateway, "alice"))
        assert status == 403


async def test_a_tunnel_ends_when_rules_come_to_demand_what_it_cannot_keep(tmp_path: Path) -> None:
    async with before(tmp_path) as (gateway, upstream):
        client, _ = await tunnel(gateway, upstream, bearing(gateway, "alice"))
        more = POLICY.rstrip() + "\n  - {name: more, allow: any, then: {redact: {response: [$.a]}}}\n"
        (tmp_path / "policies" / "policy.yaml").write_text(more)
        assert await gateway.process.reload()
        assert (await client.frame()).code == 1008


async def test_a_tunnel_ends_when_the_login_behind_it_has_grown_too_old(tmp_path: Path) -> None:
    policy = POLICY.rstrip() + "\n  - {name: more, allow: any, then: {step_up: {max_age: 2s}}}\n"
    async with before(tmp_path, policy=policy) as (gateway, upstream):
        client, _ = await tunnel(gateway, upstream, bearing(gateway, "alice", auth_time=int(time.time())))
        assert (await client.frame()).code == 1008
        assert (await refused(gateway, handshake("/public/x"))) == (401, "step-up-required")


async def test_a_stated_rate_is_shared_by_replicas_through_redis(tmp_path: Path, redis_server: RedisServer) -> None:
    redis = {"store": {"redis": {"url": redis_server.url}}}
    policy = ruled("{name: a, allow: any, then: {rate_limit: 3/day}}")
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    async with (
        house(tmp_path / "one", policy=policy, roles=ROLES, rate_limits=redis) as one,
        house(tmp_path / "two", policy=policy, roles=ROLES, rate_limits=redis) as two,
    ):
        statuses = [(await served.get("/things/1", token=served.keys.token("alice"))).status for served in (one, two, one, two)]
        assert statuses == [200, 200, 200, 429]


def ending(folder: Path, clock: FrozenClock, subject: str) -> Policies:
    """Policies that give a subject a role until SOON, by a clock."""
    text = f"roles: {{temporary: ['a:b']}}\nbindings: [{{role: temporary, subjects: ['{subject}'], expires_at: {SOON}}}]"
    return policies(folder, roles(text), now=clock.now)


@pytest.mark.parametrize("kind", ["key", "certificate"])
def test_a_key_or_certificate_that_is_remembered_loses_a_role_when_it_ends(tmp_path: Path, kind: str) -> None:
    clock = FrozenClock()
    clock.time = AT - 1
    ask_for: Callable[[], Principal]
    if kind == "key":
        file = tmp_path / "api-keys.yaml"
        key = stored_key(file, PEPPER, prefix="lgk", name="ci", subject="ci", now=NOW)[0].encode()
        (tmp_path / "p").mkdir()
        grant = ending(tmp_path / "p", clock, "api_keys:ci").grant
        holders = KeyHolders(KeyStore(file, "lgk", StrongSecret(FixedSecret(PEPPER)), clock, Counted()), grant)
        ask_for = partial(holders.authenticate, key)
    else:
        certificate = client_certificate(dns=["ci"], begins=AT - 3600, ends=AT + 3600)
        certificates = Certificates(("san_dns",), ending(tmp_path, clock, "mtls:ci").grant, clock)
        ask_for = partial(certificates.authenticate, certificate)
    before_it, again = ask_for(), ask_for()
    assert before_it is again
    assert before_it.roles == ("temporary",)
    clock.time = AT
    assert ask_for().roles == ()
    assert ask_for() is ask_for()
