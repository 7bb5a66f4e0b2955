"""Guessing credentials is noticed and stopped, and stops nobody else. Sent to a whole gateway."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import stored_key
from tests.house import House, Reply, converse, house, request_bytes
from tests.http2peer import ask as http2_ask
from tests.http2peer import peer

PEPPER = "3fK9vQ2LxW8pZrT5mYc7BnHd1JsG6aEuR0oXiVtC4lM"
WRONG = "lgk_" + "A" * 12 + "_" + "B" * 43 + "000000"
THRESHOLD = 5
STRANGER = "203.0.113.7"
VICTIM = "198.51.100.9"
ROLES = """
apiVersion: gateway/v1
kind: Roles
roles: {member: ["things:use"]}
"""
BEHIND_A_PROXY = {
    "address": "127.0.0.1:0",
    "allow_from": ["127.0.0.0/8"],
    "trusted_proxies": ["127.0.0.1"],
    "client_address": "x-forwarded-for",
}


class Guessed:
    """A gateway behind a proxy, which is the test: it says who the client is."""

    def __init__(self, gateway: House, keys: dict[str, str]) -> None:
        self.house = gateway
        self.keys = keys

    async def ask(
        self, client: str | None, key: str | None, *, source: str = "127.0.0.1", target: str = "/keyed", **headers: str
    ) -> Reply:
        """One request on a connection of its own, from `client` as the proxy tells."""
        said = headers | ({"X-Forwarded-For": client} if client else {}) | ({"X-Api-Key": key} if key else {})
        host, port = self.house.address()
        streams = await asyncio.open_connection(host, port, local_addr=(source, 0))
        return await converse(*streams, request_bytes(target, headers=said))

    async def statuses(self, *asked: tuple[str | None, str | None]) -> list[int]:
        return [(await self.ask(client, key)).status for client, key in asked]

    async def guess(self, client: str | None, times: int = THRESHOLD, key: str = WRONG) -> list[int]:
        return await self.statuses(*[(client, key)] * times)

    async def told(self, event: str) -> list[dict[str, Any]]:
        return [each for each in await self.house.events() if each["event"] == event]

    def wrong(self, name: str) -> str:
        """A well-formed key of a known id with another secret."""
        from gateway.authn import key_format

        head = self.keys[name][: len("lgk_") + 12 + 1] + "C" * 43
        return head + key_format.check(head)


@asynccontextmanager
async def guessed(folder: Path, *, listen: dict[str, Any] | None = None, **over: Any) -> AsyncIterator[Guessed]:
    keys = {}
    for name in ("mine", "yours"):
        keys[name], _ = stored_key(
            folder / "api-keys.yaml", PEPPER.encode(), now=time.time(), name=name, subject=name, permissions=["things:use"]
        )
    authentication = {"api_keys": {"file": "api-keys.yaml", "pepper": {"env": "PEPPER"}}}
    routes = [
        {"name": "keyed", "match": {"path": "/keyed"}, "upstream": "api", "authenticate": ["api_keys"]},
        {"name": "open.public", "match": {"path": "/public/**"}, "upstream": "plain", "anonymous": True},
    ]
    environ = {"PEPPER": PEPPER}
    document = {"authentication": authentication, "routes": routes, "listen": listen or BEHIND_A_PROXY, **over}
    async with house(folder, environ=environ, roles=ROLES, **document) as running:
        yield Guessed(running, keys)


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Guessed]:
    async with guessed(tmp_path) as running:
        yield running


async def test_cve_2024_21500_a_hundred_bad_keys_are_five(gateway: Guessed) -> None:
    statuses = await gateway.guess(STRANGER, 100)
    assert statuses == [401] * THRESHOLD + [403] * 95
    [event] = await gateway.told("address.blocked")
    assert (event["network"], event["count"]) == (STRANGER, THRESHOLD)
    assert [each["reason"] for each in await gateway.told("request")].count("address-blocked") == 95


async def test_a_client_that_fails_four_times_notices_nothing(gateway: Guessed) -> None:
    assert await gateway.guess(STRANGER, 4) == [401] * 4
    assert (await gateway.ask(STRANGER, gateway.keys["mine"])).status == 200


async def test_a_blocked_address_is_refused_before_routing_and_with_a_good_key(gateway: Guessed) -> None:
    await gateway.guess(STRANGER)
    for target in ("/keyed", "/public/x", "/nowhere"):
        refused = await gateway.ask(STRANGER, gateway.keys["mine"], target=target)
        assert (refused.status, refused.json()["type"]) == (403, "urn:latchgate:problem:address-blocked")
    seen = [each for each in await gateway.told("request") if each["reason"] == "address-blocked"]
    assert {(each["client"], each["route"], each["subject"]) for each in seen} == {(STRANGER, None, None)}


async def test_what_is_missing_denied_or_expired_is_no_guess(tmp_path: Path) -> None:
    authentication = {
        "jwt": {
            "corp": {
                "issuer": "https://idp.example.com/",
                "audience": ["https://api.example.com"],
                "jwks": {"file": "jwks.json"},
                "algorithms": ["ES256"],
            }
        }
    }
    async with house(tmp_path, authentication=authentication) as gateway:
        expired = gateway.keys.token(exp=int(time.time()) - 600)
        nobody = gateway.keys.token(roles=[])
        for token, status in ((None, 401), (expired, 401), (nobody, 403)):
            for _ in range(THRESHOLD + 1):
                assert (await gateway.get("/admin/x", token=token)).status == status
        for _ in range(THRESHOLD):
            assert (await gateway.get("/admin/x", token="a.b.c")).status == 401
        assert (await gateway.get("/admin/x", token=gateway.keys.token())).status == 403


async def test_an_address_rotated_within_one_64_is_one_address(gateway: Guessed) -> None:
    asked = [(f"2001:db8:1:2::{host:x}", WRONG) for host in range(1, 9)]
    assert await gateway.statuses(*asked) == [401] * THRESHOLD + [403] * 3
    assert (await gateway.ask("2001:db8:1:3::1", gateway.keys["mine"])).status == 200
    [event] = await gateway.told("address.blocked")
    assert event["network"] == "2001:db8:1:2::/64"


async def test_an_ipv4_mapped_address_is_the_ipv4_address(gateway: Guessed) -> None:
    asked = [(f"::ffff:{STRANGER}" if number % 2 else STRANGER, WRONG) for number in range(THRESHOLD + 1)]
    assert await gateway.statuses(*asked) == [401] * THRESHOLD + [403]


async def test_alternating_two_addresses_blocks_both(gateway: Guessed) -> None:
    asked = [((STRANGER, "203.0.113.8")[number % 2], WRONG) for number in range(2 * THRESHOLD)]
    assert await gateway.statuses(*asked) == [401] * 2 * THRESHOLD
    assert await gateway.statuses((STRANGER, WRONG), ("203.0.113.8", WRONG)) == [403, 403]


async def test_many_identities_from_one_address_are_one_guesser(gateway: Guessed) -> None:
    from gateway.authn import key_format

    heads = [f"lgk_{number:012d}_{'D' * 43}" for number in range(THRESHOLD + 1)]
    asked = [(STRANGER, head + key_format.check(head)) for head in heads]
    assert await gateway.statuses(*asked) == [401] * THRESHOLD + [403]


async def test_one_identity_from_many_addresses_the_victim_still_gets_in(tmp_path: Path) -> None:
    """Lockout must not be a weapon: whoever has the key gets in, from where he was and from where he never was."""
    rule = {"type": "brute_force", "per_identity": 10}
    async with guessed(tmp_path, detection={"rules": [rule]}) as gateway:
        wrong = gateway.wrong("mine")
        assert (await gateway.ask(VICTIM, gateway.keys["mine"])).status == 200
        crowd = [(f"203.0.113.{number}", wrong) for number in range(9)]
        assert await gateway.statuses(*crowd) == [401] * 9
        assert (await gateway.ask(VICTIM, gateway.keys["mine"])).status == 200
        # From the tenth failure on one is enough, from an address that never succeeded.
        assert await gateway.statuses(("203.0.113.10", wrong), ("203.0.113.10", wrong)) == [401, 403]
        assert await gateway.statuses(("203.0.113.11", wrong), ("203.0.113.11", wrong)) == [401, 403]
        # The victim may err, may move, and other identities are judged as before.
        assert await gateway.statuses((VICTIM, wrong), (VICTIM, gateway.keys["mine"])) == [401, 200]
        assert (await gateway.ask("198.51.100.77", gateway.keys["mine"])).status == 200
        assert await gateway.statuses(("203.0.113.12", WRONG), ("203.0.113.12", WRONG)) == [401, 401]
        [event] = await gateway.told("identity.attacked")
        assert event["credential_id"] == "api_key:" + gateway.keys["mine"].split("_")[1].lower()


async def test_a_stranger_cannot_shift_his_failures_to_another_address(tmp_path: Path) -> None:
    """X-Forwarded-For counts from trusted proxies only."""
    async with guessed(tmp_path) as gateway:
        for number in range(THRESHOLD):
            assert (await gateway.ask(f"198.51.100.{number}", WRONG, source="127.0.0.2")).status == 401
        assert (await gateway.ask("198.51.100.99", WRONG, source="127.0.0.2")).status == 403
        assert await gateway.statuses(*[(f"198.51.100.{number}", gateway.keys["mine"]) for number in range(3)]) == [200] * 3


async def test_a_trusted_proxy_is_never_blocked(gateway: Guessed) -> None:
    """Its own requests, which name nobody: else one guesser behind it would block everybody."""
    assert await gateway.guess(None, 3 * THRESHOLD) == [401] * 3 * THRESHOLD
    assert (await gateway.ask(None, gateway.keys["mine"])).status == 200


async def test_what_is_exempt_is_never_blocked_also_where_its_64_is(tmp_path: Path) -> None:
    detection = {"never_block": ["192.0.2.0/24", "2001:db8::5/128"]}
    async with guessed(tmp_path, detection=detection) as gateway:
        assert await gateway.guess("192.0.2.9", 2 * THRESHOLD) == [401] * 2 * THRESHOLD
        await gateway.guess("2001:db8::6")
        assert await gateway.statuses(("2001:db8::6", WRONG), ("2001:db8::5", gateway.keys["mine"])) == [403, 200]


async def test_a_valid_key_of_ones_own_resets_nothing_but_its_own_failures(gateway: Guessed) -> None:
    """The attacker's own key between two guesses at somebody else's."""
    statuses = []
    for _ in range(THRESHOLD):
        statuses += await gateway.statuses((STRANGER, gateway.wrong("yours")), (STRANGER, gateway.keys["mine"]))
    assert statuses == [401, 200] * (THRESHOLD - 1) + [401, 403]


async def test_a_success_forgives_the_failures_of_that_identity(gateway: Guessed) -> None:
    for _ in range(3):
        assert await gateway.guess(STRANGER, 4, gateway.wrong("mine")) == [401] * 4
        assert (await gateway.ask(STRANGER, gateway.keys["mine"])).status == 200
    assert await gateway.told("address.blocked") == []


async def test_a_blocked_address_stays_so_on_a_connection_that_goes_on(tmp_path: Path) -> None:
    listen = {"address": "127.0.0.1:0"}
    async with guessed(tmp_path, listen=listen) as gateway:
        reader, writer = await asyncio.open_connection(*gateway.house.address())
        good = request_bytes("/keyed", headers={"X-Api-Key": gateway.keys["mine"]})
        upgrade = request_bytes(
            "/public/x",
            headers={
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            },
        )
        preflight = request_bytes(
            "/keyed", method="OPTIONS", headers={"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
        )
        from tests.house import read_reply

        async def asked(data: bytes) -> int:
            writer.write(data)
            return (await read_reply(reader, "GET")).status

        assert await asked(good) == 200
        assert await asked(good) == 200
        assert await gateway.guess(None) == [401] * THRESHOLD
        # The very bytes that were answered before, an upgrade and a preflight: nothing remembered lets them through.
        assert [await asked(data) for data in (good, preflight, good, upgrade)] == [403] * 4
        writer.close()


async def test_a_block_ends_what_an_http2_connection_may_ask_too(tmp_path: Path) -> None:
    """Guesses as streams of one connection, and streams after the block."""
    async with (
        guessed(tmp_path, listen={"address": "127.0.0.1:0", "http2": True}) as gateway,
        peer(gateway.house.address()) as client,
    ):
        for number in range(THRESHOLD):
            heard = await client.ask(2 * number + 1, http2_ask("/keyed", ("x-api-key", WRONG)))
            assert heard.status == 401
        assert (await client.ask(21, http2_ask("/keyed", ("x-api-key", gateway.keys["mine"])))).status == 403
        assert (await client.ask(23, http2_ask("/public/x"))).status == 403
        assert (await gateway.ask(None, gateway.keys["mine"])).status == 403


async def test_a_unix_sockets_peer_has_no_address_to_block(tmp_path: Path) -> None:
    async with guessed(tmp_path, listen={"address": f"unix:{tmp_path / 'gw.sock'}"}) as gateway:
        for _ in range(2 * THRESHOLD):
            streams = await asyncio.open_unix_connection(str(tmp_path / "gw.sock"))
            assert (await converse(*streams, request_bytes("/keyed", headers={"X-Api-Key": WRONG}))).status == 401
        assert gateway.house.process.resources.guarding.guard.listing()["addresses"] == []


async def test_a_delay_asks_to_come_back_and_holds_nobody(tmp_path: Path) -> None:
    rule = {"type": "brute_force", "threshold": 3, "action": "delay"}
    async with guessed(tmp_path, detection={"rules": [rule]}) as gateway:
        assert await gateway.guess(STRANGER, 3) == [401] * 3
        refused = await gateway.ask(STRANGER, gateway.keys["mine"])
        for _ in range(5):  # a machine may stand still for longer than a short delay lasts, not than the next ones
            if refused.status == 429:
                break
            await gateway.guess(STRANGER, 1)
            refused = await gateway.ask(STRANGER, gateway.keys["mine"])
        assert refused.status == 429
        assert 1 <= int(refused["Retry-After"]) <= 32
        assert (await gateway.ask(VICTIM, gateway.keys["mine"])).status == 200


async def test_an_alarm_is_told_once_and_refuses_nobody(tmp_path: Path) -> None:
    rule = {"type": "brute_force", "action": "alarm"}
    async with guessed(tmp_path, detection={"rules": [rule]}) as gateway:
        assert await gateway.guess(STRANGER, 20) == [401] * 20
        [event] = await gateway.told("auth.token.invalid")
        assert (event["client"], event["count"]) == (STRANGER, THRESHOLD)


async def test_without_rules_nobody_is_refused(tmp_path: Path) -> None:
    async with guessed(tmp_path, detection={"rules": []}) as gateway:
        assert await gateway.guess(STRANGER, 20) == [401] * 20


async def test_a_reload_keeps_who_is_blocked_and_switching_off_releases(gateway: Guessed) -> None:
    await gateway.guess(STRANGER)
    document = (gateway.house.folder / "config.yaml").read_text()
    (gateway.house.folder / "config.yaml").write_text(document + "security_txt: {contact: 'mailto:s@example.com', expires: 90d}\n")
    await gateway.house.process.reload()
    assert (await gateway.ask(STRANGER, None, target="/public/x")).status == 403
    (gateway.house.folder / "config.yaml").write_text(document + "detection: {rules: []}\n")
    await gateway.house.process.reload()
    assert (await gateway.ask(STRANGER, None, target="/public/x")).status == 200


async def test_unknown_malformed_and_wrong_keys_get_the_same_answer(tmp_path: Path) -> None:
    """CVE-2026-32595. How long they take is measured by bench/guessing.py."""
    async with guessed(tmp_path, detection={"rules": []}) as gateway:
        from gateway.authn import key_format

        head = f"lgk_{'0' * 12}_{'D' * 43}"
        answers = []
        for key in (head + key_format.check(head), WRONG, "nonsense", gateway.wrong("mine")):
            reply = await gateway.ask(STRANGER, key)
            body = {name: value for name, value in reply.json().items() if name not in ("instance", "timestamp", "request_id")}
            names = [(name, value) for name, value in reply.headers if name.lower() not in ("x-request-id", "date")]
            answers.append((reply.status, body, names, len(reply.body)))
        assert answers.count(answers[0]) == len(answers)
