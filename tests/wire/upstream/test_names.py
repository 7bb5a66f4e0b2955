"""A name and its addresses while the gateway runs: several serve, changes are followed, what is gone is left."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.core.errors import UpstreamUnreachable
from gateway.upstream.model import RouteTimeouts
from gateway.upstream.pool import Upstream
from gateway.upstream.target import resolve_by_system
from tests.moody import GARBAGE, SILENT, Moody
from tests.scripted import BOUND, Counted, outbound
from tests.scripted import upstream as plain


class Zone:
    """A name server of one name."""

    def __init__(self, *ips: str) -> None:
        self.ips = list(ips)
        self.asked = 0

    def asked_again(self) -> Callable[[], bool]:
        """Whether it was asked since now."""
        before = self.asked
        return lambda: self.asked > before

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked += 1
        if not self.ips:
            raise OSError("no such name")
        return list(self.ips)


def named(port: int, zone: Zone, **keys: Any) -> Upstream:
    """An upstream by a name whose answers are used for fifty milliseconds."""
    from gateway.upstream.model import Upstream as Model

    model = {"url": f"http://tools.example:{port}", "internal": True, "allow_plaintext": True, **keys}
    return Upstream("tested", Model.model_validate(model), metrics=Counted(), resolve=zone, fresh=0.05)


@asynccontextmanager
async def replicas(*hosts: str) -> AsyncIterator[list[Moody]]:
    """The same port on several loopback addresses, as replicas behind one name have it."""
    first = Moody(host=hosts[0])
    async with first:
        others = [Moody(host=host) for host in hosts[1:]]
        for other in others:
            other.port = first.port
            other._server = await asyncio.start_server(other._serve, other._host, first.port)
        try:
            yield [first, *others]
        finally:
            for other in others:
                await other.__aexit__()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(BOUND):
        while not holds():
            await asyncio.sleep(0.005)


def way_to(service: Upstream) -> Any:
    return service.transport(RouteTimeouts(), drop_cookies=True)


@asynccontextmanager
async def kept(port: int, zone: Zone) -> AsyncIterator[tuple[Upstream, Any]]:
    """Such an upstream, looked after, and a way to it."""
    service = named(port, zone)
    service.start()
    try:
        yield service, way_to(service)
    finally:
        await service.close()


async def test_connections_spread_over_all_addresses_of_a_name() -> None:
    async with replicas("127.0.0.1", "127.0.0.2", "127.0.0.3") as servers:
        service = named(servers[0].port, Zone("127.0.0.1", "127.0.0.2", "127.0.0.3"))
        for server in servers:
            server.mood = SILENT
        tasks = [asyncio.create_task(way_to(service).send(outbound())) for _ in range(12)]
        await until(lambda: sum(len(server.seen) for server in servers) == 12)
        assert [server.opened for server in servers] == [4, 4, 4]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await service.close()


async def test_one_address_of_a_name_that_answers_nonsense_is_left_alone() -> None:
    async with replicas("127.0.0.1", "127.0.0.2") as (bad, _):
        bad.mood = GARBAGE
        service = named(bad.port, Zone("127.0.0.1", "127.0.0.2"))
        failed = 0
        for _ in range(40):
            try:
                await asyncio.gather(*(way_to(service).send(outbound("POST")) for _ in range(2)))
            except UpstreamUnreachable:
                failed += 1
        assert failed <= 5
        addresses = service.status()["targets"][0]["addresses"]
        assert {address["address"]: address["state"] for address in addresses} == {"127.0.0.1": "ejected", "127.0.0.2": "serving"}
        await service.close()


async def test_a_changed_answer_moves_traffic_though_no_connection_was_ever_missing() -> None:
    """Requests on kept connections ask for no address: a busy upstream would otherwise never be moved."""
    zone = Zone("127.0.0.1")
    async with replicas("127.0.0.1", "127.0.0.2") as (old, new), kept(old.port, zone) as (service, way):
        assert (await way.send(outbound())).status == 200
        zone.ips = ["127.0.0.2"]
        async with asyncio.timeout(BOUND):
            while not new.seen:
                assert (await way.send(outbound())).status == 200
                await asyncio.sleep(0.005)
        await old.until_closed(old.opened)
        asked = len(old.seen)
        for _ in range(10):
            assert (await way.send(outbound())).status == 200
        assert len(old.seen) == asked
        assert [address["address"] for address in service.status()["targets"][0]["addresses"]] == ["127.0.0.2"]


async def test_a_request_under_way_to_an_address_that_is_gone_is_let_finish() -> None:
    zone, gate = Zone("127.0.0.1"), asyncio.Event()

    class Slow(Moody):
        async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            if self.seen:
                await gate.wait()
            return await super()._answer(reader, writer)

    async with Slow() as old, kept(old.port, zone) as (service, way):
        await way.send(outbound())
        busy = asyncio.create_task(way.send(outbound()))
        await asyncio.sleep(0)
        zone.ips = ["127.0.0.2"]
        await until(lambda: service.status()["targets"][0]["addresses"][0]["address"] == "127.0.0.2")
        assert not busy.done()
        gate.set()
        assert (await busy).status == 200
        await old.until_closed(1)
        await until(lambda: service.status()["connections"] == 0)


async def test_while_the_resolver_fails_the_addresses_known_serve_on() -> None:
    zone = Zone("127.0.0.1")
    async with Moody() as server, kept(server.port, zone) as (_, way):
        await way.send(outbound())
        zone.ips = []
        asked = zone.asked
        await until(lambda: zone.asked > asked + 2)
        assert (await way.send(outbound())).status == 200
        assert server.opened == 1


async def test_a_name_nobody_uses_is_not_asked_for() -> None:
    zone = Zone("127.0.0.1")
    async with Moody() as server:
        service = named(server.port, zone)
        service.start()
        for _ in range(30):
            await asyncio.sleep(0.01)
        assert zone.asked == 0
        await service.close()


async def test_an_answer_in_another_order_moves_nothing() -> None:
    zone = Zone("127.0.0.1", "127.0.0.2")
    async with replicas("127.0.0.1", "127.0.0.2") as servers, kept(servers[0].port, zone) as (service, way):
        await asyncio.gather(*(way.send(outbound()) for _ in range(4)))
        before = dict(service._lanes[0].endpoints)
        for _ in range(4):
            zone.ips.reverse()
            await until(zone.asked_again())
        assert list(service._lanes[0].endpoints.items()) == list(before.items())
        assert [server.opened for server in servers] == [2, 2]


async def test_of_many_addresses_those_in_use_stay_in_use() -> None:
    """A name with more addresses than are used, answered in part and in any order, must not move with each answer."""
    many = [f"127.0.1.{number}" for number in range(1, 21)]
    zone = Zone(*many)
    async with Moody() as server:
        service = named(server.port, zone)
        addresses = service._lanes[0].addresses
        first = await addresses.current()
        assert len(first) == 8
        zone.ips = [*reversed(many)]
        await addresses._refreshed()
        assert addresses.known == first
        zone.ips = [*many[10:], first[3]]
        await addresses._refreshed()
        assert addresses.known == (first[3], *many[10:17])
        await service.close()


async def test_an_answer_that_names_a_refused_address_does_not_move_traffic_there() -> None:
    """DNS rebinding: the new answer is vetted as the first one was."""
    zone = Zone("127.0.0.1")
    async with Moody() as server, kept(server.port, zone) as (service, way):
        await way.send(outbound())
        zone.ips = ["169.254.169.254"]
        asked = zone.asked
        await until(lambda: zone.asked > asked + 1)
        assert [address["address"] for address in service.status()["targets"][0]["addresses"]] == ["127.0.0.1"]
        assert (await way.send(outbound())).status == 200


async def test_a_literal_address_is_never_asked_for() -> None:
    async with Moody() as server:
        service = plain(server.port, resolve=resolve_by_system)
        service.start()
        assert service._tasks == []
        await service.close()


@pytest.mark.parametrize("dead", [1, 3])
async def test_addresses_that_do_not_answer_leave_time_for_one_that_does(dead: int) -> None:
    """With many addresses an equal share of the time would be too short for a handshake on any of them."""
    ips = [f"127.0.0.{number}" for number in range(2, 2 + dead)]
    async with Moody() as server:
        service = named(server.port, Zone(*ips, "127.0.0.1"))
        outcomes = []
        for _ in range(3):
            try:
                outcomes.append((await way_to(service).send(outbound("POST"))).status)
            except UpstreamUnreachable:
                outcomes.append(502)
        assert 200 in outcomes
        assert outcomes[-1] == 200
        await service.close()
