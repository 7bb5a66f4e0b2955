"""Requests that come round again, and gateways in a row."""

from pathlib import Path

from tests.house import house


async def test_a_request_that_has_been_here_before_is_a_loop(tmp_path: Path) -> None:
    async with house(tmp_path) as gateway:
        reply = await gateway.get("/public/x", headers={"Via": "1.1 edge, 1.1 gateway"})
        assert (reply.status, reply.json()["type"]) == (508, "urn:latchgate:problem:loop-detected")
        assert gateway.upstream.seen == []


async def test_a_gateway_of_another_name_is_no_loop(tmp_path: Path) -> None:
    async with house(tmp_path, telemetry={"service_name": "sidecar"}) as gateway:
        assert (await gateway.get("/public/x", headers={"Via": "1.1 gateway"})).status == 200
        assert gateway.upstream.seen[0].all("Via") == ["1.1 gateway, 1.1 sidecar"]
