"""Several targets: who is asked, who is passed over, who comes back. Real sockets, upstreams that lie, hang and vanish."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gateway.core.errors import UpstreamOverloaded, UpstreamTimeout, UpstreamUnreachable
from gateway.core.ports import Transport
from gateway.upstream.model import RouteTimeouts
from gateway.upstream.pool import Upstream
from tests.moody import ENDS, GARBAGE, SILENT, Moody, answering
from tests.scripted import BOUND, OK, Counted, outbound, upstream

SOON = {"base_ejection_time": "200ms", "max_ejection_time": "200ms"}


def both(*targets: Moody, **keys: Any) -> Upstream:
    return upstream(targets=[target.url for target in targets], **keys)


def way_to(service: Upstream) -> Transport:
    return service.transport(RouteTimeouts(), drop_cookies=True)


def states(service: Upstream) -> list[str]:
    return [address["state"] for target in service.status()["targets"] for address in target["addresses"]]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(BOUND):
        while not holds():
            await asyncio.sleep(0.005)


async def ask(way: Transport, times: int, method: str = "GET") -> list[int | str]:
    """Statuses, and the names of errors, of so many requests one after the other."""
    outcomes: list[int | str] = []
    for _ in range(times):
        try:
            outcomes.append((await way.send(outbound(method))).status)
        except (UpstreamUnreachable, UpstreamTimeout, UpstreamOverloaded) as error:
            outcomes.append(type(error).__name__)
    return outcomes


async def test_all_targets_serve_and_each_is_called_by_its_own_name() -> None:
    async with Moody() as one, Moody() as two:
        service = both(one, two)
        assert set(await ask(way_to(service), 60)) == {200}
        assert min(len(one.seen), len(two.seen)) > 10
        for target in (one, two):
            assert {seen.all(b"host")[0] for seen in target.seen} == {b"127.0.0.1:%d" % target.port}
        assert (one.opened, two.opened) == (1, 1)
        await service.close()


async def test_requests_that_begin_together_spread_over_all_targets() -> None:
    async with Moody(SILENT) as one, Moody(SILENT) as two, Moody(SILENT) as three:
        service = both(one, two, three)
        tasks = [asyncio.create_task(way_to(service).send(outbound())) for _ in range(30)]
        await until(lambda: len(one.seen) + len(two.seen) + len(three.seen) == 30)
        assert [len(target.seen) for target in (one, two, three)] == [10, 10, 10]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await service.close()


async def test_a_target_that_hangs_is_given_no_more_than_the_others_have_to_do() -> None:
    async with Moody(SILENT) as hung, Moody() as fast:
        service = both(hung, fast, timeouts={"response": "20s"})
        way = way_to(service)
        tasks: set[asyncio.Task[Any]] = set()
        for _ in range(200):
            tasks.add(asyncio.create_task(way.send(outbound())))
            await asyncio.sleep(0)
            while len([task for task in tasks if not task.done()]) > 6:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                tasks = {task for task in tasks if not task.done()}
        assert len(hung.seen) <= 7
        assert len(fast.seen) >= 180
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await service.close()


@pytest.mark.parametrize("mood", [GARBAGE, ENDS, answering(700)], ids=["garbage", "ends", "no-such-status"])
async def test_a_target_that_answers_nonsense_is_ejected_after_a_few(mood: Any) -> None:
    metrics = Counted()
    async with Moody(mood) as bad, Moody() as good:
        service = both(bad, good, metrics=metrics)
        outcomes = await ask(way_to(service), 60, "POST")
        assert outcomes.count("UpstreamUnreachable") == len(bad.seen) == 5
        assert outcomes.count(200) == 55
        assert states(service) == ["ejected", "serving"]
        assert metrics.counts["gateway.upstream.ejections"] == 1
        await service.close()


async def test_a_target_that_answers_now_and_then_is_not_ejected() -> None:
    async with Moody() as bad, Moody() as good:
        bad.moods = [GARBAGE, GARBAGE, GARBAGE, GARBAGE, OK] * 20
        service = both(bad, good)
        await ask(way_to(service), 80, "POST")
        assert states(service) == ["serving", "serving"]
        await service.close()


async def test_a_target_nobody_listens_at_is_passed_over_at_once_and_no_request_is_lost() -> None:
    async with Moody() as gone:
        pass
    async with Moody() as alive:
        service = both(gone, alive)
        assert await ask(way_to(service), 20, "POST") == [200] * 20
        assert states(service) == ["ejected", "serving"]
        await service.close()


async def test_an_ejected_target_comes_back_and_is_ejected_again_by_one_failure() -> None:
    async with Moody(GARBAGE) as bad, Moody() as good:
        service = both(bad, good, outlier_detection=SOON, slow_start="0s")
        way = way_to(service)
        await ask(way, 30, "POST")
        await until(lambda: states(service) == ["serving", "serving"])
        asked = len(bad.seen)
        outcomes = []
        while len(bad.seen) == asked:
            outcomes += await ask(way, 1, "POST")
        assert outcomes.count("UpstreamUnreachable") == 1
        assert states(service) == ["ejected", "serving"]
        bad.mood = OK
        await until(lambda: states(service) == ["serving", "serving"])
        asked = len(bad.seen)
        assert set(await ask(way, 40, "POST")) == {200}
        assert len(bad.seen) > asked
        await service.close()


async def test_connections_to_an_ejected_target_end_idle_ones_now_busy_ones_with_their_exchange() -> None:
    async with Moody() as bad, Moody() as good:
        service = both(bad, good)
        way = way_to(service)
        await ask(way, 40)
        lane = service._lanes[0]
        bad.mood = SILENT
        busy = asyncio.create_task(way.send(outbound()))
        while not any(not target["idle"] and target["connections"] for target in service.status()["targets"][:1]):
            await asyncio.sleep(0)
            if busy.done():
                busy = asyncio.create_task(way.send(outbound()))
        endpoint = next(iter(lane.endpoints.values()))
        for _ in range(5):
            service._rotation.failed(endpoint, "broke")
        assert lane.open == 1
        assert not busy.done()
        busy.cancel()
        await asyncio.gather(busy, return_exceptions=True)
        await until(lambda: lane.open == endpoint.open == 0)
        await service.close()


async def test_a_slow_request_does_not_eject_an_address_that_answers_others() -> None:
    """Else whoever may ask for something slow could take half of the targets away from everybody."""
    async with Moody() as one, Moody() as two:
        service = both(one, two, timeouts={"response": "6s"})
        way = way_to(service)
        one.at = two.at = {b"/slow": SILENT}
        slow = [asyncio.create_task(way.send(outbound(target=b"/slow"))) for _ in range(20)]
        await until(lambda: len(one.seen) + len(two.seen) >= 20)
        while not all(task.done() for task in slow):
            assert {status for statuses in await asyncio.gather(*(ask(way, 1) for _ in range(12))) for status in statuses} == {200}
            await asyncio.sleep(0.02)
        assert {type(task.exception()) for task in slow} == {UpstreamTimeout}
        assert states(service) == ["serving", "serving"], service.status()
        await service.close()


async def test_answers_to_health_checks_do_not_excuse_a_target_that_answers_no_request() -> None:
    async with Moody(SILENT) as hung, Moody() as good:
        hung.at[b"/healthz"] = OK
        check = {"path": "/healthz", "interval": "100ms"}
        service = both(hung, good, timeouts={"response": "300ms"}, health_check=check)
        service.start()
        way = way_to(service)
        while states(service) == ["serving", "serving"]:
            await asyncio.gather(*(ask(way, 1) for _ in range(4)))
        assert states(service) == ["ejected", "serving"]
        await service.close()


async def test_a_target_that_ends_every_connection_is_excused_by_its_answers_too() -> None:
    closing = answering(200, b"ok", b"connection: close")
    async with Moody(closing) as one, Moody(closing) as two:
        service = both(one, two, timeouts={"response": "6s"})  # longer than a busy machine keeps one from answering at all
        way = way_to(service)
        one.at = two.at = {b"/slow": SILENT}
        slow = [asyncio.create_task(way.send(outbound(target=b"/slow"))) for _ in range(20)]
        await until(lambda: len(one.seen) + len(two.seen) >= 20)
        while not all(task.done() for task in slow):
            await asyncio.gather(*(ask(way, 1) for _ in range(12)))
            await asyncio.sleep(0.02)  # each takes a port for a minute
        assert {type(task.exception()) for task in slow} == {UpstreamTimeout}
        assert states(service) == ["serving", "serving"], service.status()
        await service.close()


async def test_a_target_that_answers_nobody_in_time_is_ejected() -> None:
    async with Moody(SILENT) as hung, Moody() as good:
        service = both(hung, good, timeouts={"response": "50ms"})
        way = way_to(service)
        while states(service) == ["serving", "serving"]:
            await asyncio.gather(*(ask(way, 1) for _ in range(4)))
        assert states(service) == ["ejected", "serving"]
        assert len(hung.seen) < 12
        await service.close()


async def test_statuses_count_as_failures_only_where_that_is_configured() -> None:
    async with Moody(answering(503)) as bad, Moody() as good:
        patient = both(bad, good)
        assert (await ask(way_to(patient), 60)).count(503) > 10
        assert states(patient) == ["serving", "serving"]
        await patient.close()
        strict = both(bad, good, failure_statuses=[502, 503])
        assert (await ask(way_to(strict), 60)).count(503) == 5
        assert states(strict) == ["ejected", "serving"]
        await strict.close()


async def test_a_body_that_breaks_off_counts_too() -> None:
    half = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"
    async with Moody() as bad, Moody() as good:
        service = both(bad, good, timeouts={"idle": "30ms"})
        way = way_to(service)
        bad.mood = half
        while states(service) == ["serving", "serving"]:
            response = await way.send(outbound())
            if response.stream is not None:
                with pytest.raises(UpstreamTimeout):
                    async for _ in response.stream:
                        pass
        assert states(service) == ["ejected", "serving"]
        await service.close()


async def test_when_all_connections_are_taken_an_idle_one_of_another_target_serves() -> None:
    async with Moody() as one, Moody() as two:
        service = both(one, two, connections=1)
        assert set(await ask(way_to(service), 12)) == {200}
        assert one.opened + two.opened == 1
        await service.close()


async def test_counts_are_right_again_whoever_fails_when() -> None:
    async with Moody() as one, Moody() as two, Moody() as three:
        service = both(
            one,
            two,
            three,
            connections=5,
            timeouts={"response": "100ms", "connect": "2s"},
            outlier_detection=SOON,
            slow_start="100ms",
        )
        way = way_to(service)
        moods: list[Any] = [OK, GARBAGE, ENDS, OK, answering(500), OK, SILENT, OK + b"x"]

        async def client(number: int) -> None:
            for turn in range(25):
                target = (one, two, three)[(number + turn) % 3]
                target.moods = [moods[(number * 7 + turn) % len(moods)]]
                task = asyncio.create_task(way.send(outbound("POST" if turn % 3 else "GET")))
                if (number * 5 + turn) % 6 == 0:
                    for _ in range(turn % 5):
                        await asyncio.sleep(0)
                    task.cancel()
                await asyncio.gather(task, return_exceptions=True)

        await asyncio.gather(*(client(number) for number in range(10)))
        assert service.status()["connections"] <= 5
        await service.close()
        await until(lambda: not service._connections)
        assert (service._reserved, service.status()["waiting"]) == (0, 0)
        assert [lane.open for lane in service._lanes] == [0, 0, 0]
        assert [end.open for lane in service._lanes for end in lane.endpoints.values()] == [0, 0, 0]
