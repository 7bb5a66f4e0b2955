"""A whole gateway before upstreams that fail: what clients and operators see, and what a reload leaves as it was."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.exposition import parse
from tests.house import House, config, house
from tests.moody import GARBAGE, Moody, answering
from tests.scripted import BOUND, OK

CHECK = {"path": "/healthz", "interval": "100ms", "timeout": "2s", "unhealthy_threshold": 1, "healthy_threshold": 1}


def document(*targets: Moody, **keys: Any) -> dict[str, Any]:
    """A configuration whose open route leads to these targets, and whose protected ones to the first of them."""
    made = config(targets[0].port)
    made["upstreams"]["plain"] = {
        "targets": [target.url for target in targets],
        "allow_plaintext": True,
        "allow_private": True,
        **keys,
    }
    return made


@asynccontextmanager
async def before(folder: Path, made: dict[str, Any]) -> AsyncIterator[House]:
    async with house(folder, upstreams=made["upstreams"]) as gateway:
        yield gateway


async def status(gateway: House) -> dict[str, Any]:
    reply = await gateway.get("/readyz?verbose", listener="admin", host="localhost")
    assert reply.status == 200
    found: dict[str, Any] = reply.json()["upstreams"]["plain"]
    return found


async def states(gateway: House) -> list[str]:
    return [address["state"] for target in (await status(gateway))["targets"] for address in target["addresses"]]


async def until(gateway: House, *expected: str) -> None:
    async with asyncio.timeout(BOUND):
        while await states(gateway) != [*expected]:
            await asyncio.sleep(0.02)


async def until_true(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(BOUND):
        while not holds():
            await asyncio.sleep(0.02)


async def ejected(gateway: House) -> None:
    """Ask until the first target is ejected."""
    async with asyncio.timeout(BOUND):
        while (await states(gateway))[0] != "ejected":
            await gateway.get("/public/x", method="POST", body=b"x")


async def test_an_open_circuit_is_a_503_that_says_when_to_come_again(tmp_path: Path) -> None:
    async with Moody(GARBAGE) as server:
        async with before(tmp_path, document(server, circuit_breaker={"consecutive_failures": 3})) as gateway:
            answers = [await gateway.get("/public/x") for _ in range(5)]
            assert [answer.status for answer in answers] == [502, 502, 502, 503, 503]
            assert answers[4].json()["type"] == "urn:latchgate:problem:upstream-overloaded"
            assert 1 <= int(answers[4]["Retry-After"]) <= 5
            assert len(server.seen) == 3
            assert (await status(gateway))["circuit"]["state"] == "open"
            last = (await gateway.requests())[-1]
            assert (last["reason"], last["upstream"], last["detail"]) == ("upstream-overloaded", "plain", "the circuit is open")


async def test_operators_see_every_address_and_scrape_the_same(tmp_path: Path) -> None:
    async with Moody(GARBAGE) as bad, Moody() as good:
        async with before(tmp_path, document(bad, good, circuit_breaker={})) as gateway:
            await ejected(gateway)
            assert (await gateway.get("/public/x")).status == 200  # until then the other may not have been asked
            found = await status(gateway)
            assert [target["url"] for target in found["targets"]] == [bad.url, good.url]
            first = found["targets"][0]["addresses"][0]
            assert (first["address"], first["ejections"]) == ("127.0.0.1", 1)
            assert first["problem"].startswith("the answer is not HTTP/1.1")
            families = parse((await gateway.get("/metrics", listener="admin", host="localhost")).body)

            def gauge(name: str, **labels: str) -> float:
                wanted = {"upstream": "plain", **labels}
                return next(value for (_, found), value in families[name].samples.items() if dict(found) == wanted)

            assert gauge("gateway_upstream_addresses", state="ejected") == 1
            assert gauge("gateway_upstream_addresses", state="serving") == 1
            assert gauge("gateway_upstream_connections", state="idle") == 1
            assert gauge("gateway_upstream_waiting") == gauge("gateway_upstream_circuit_open") == 0
            assert gauge("gateway_upstream_ejections_total") == 1


async def test_health_checks_run_from_the_start_and_carry_no_credential(tmp_path: Path) -> None:
    async with Moody() as bad, Moody() as good:
        bad.at[b"/healthz"] = answering(503)
        made = document(bad, good, health_check=CHECK, credential="bot")
        async with before(tmp_path, made) as gateway:
            await until(gateway, "unhealthy", "serving")
            for _ in range(10):
                assert (await gateway.get("/public/x")).status == 200
            asked = [seen for seen in good.seen if seen.line.startswith(b"GET /healthz ")]
            assert asked
            assert all(b"authorization" not in seen.head.lower() and b"canary" not in seen.head for seen in asked)
            carried = [seen for seen in good.seen if not seen.line.startswith(b"GET /healthz ")]
            assert all(seen.all(b"authorization") for seen in carried)
            bad.at.clear()
            await until(gateway, "serving", "serving")


async def test_a_reload_in_the_middle_of_an_ejection_leaves_it_in_force(tmp_path: Path) -> None:
    async with Moody(GARBAGE) as bad, Moody() as good:
        made = document(bad, good, outlier_detection={"base_ejection_time": "60s"})
        async with before(tmp_path, made) as gateway:
            await ejected(gateway)
            asked = len(bad.seen)
            made["routes"].append({"name": "open.new", "match": {"path": "/new"}, "upstream": "plain", "anonymous": True})
            gateway.write(made)
            assert await gateway.process.reload()
            assert await states(gateway) == ["ejected", "serving"]
            for _ in range(10):
                assert (await gateway.get("/new")).status == 200
            assert len(bad.seen) == asked


async def test_an_upstream_that_is_configured_anew_begins_anew(tmp_path: Path) -> None:
    async with Moody(GARBAGE) as bad, Moody() as good:
        made = document(bad, good, outlier_detection={"base_ejection_time": "60s"})
        async with before(tmp_path, made) as gateway:
            await ejected(gateway)
            bad.mood = OK
            made["upstreams"]["plain"]["connections"] = 7
            gateway.write(made)
            assert await gateway.process.reload()
            assert await states(gateway) == ["serving", "serving"]
            assert (await status(gateway))["limit"] == 7
            assert {(await gateway.get("/public/x")).status for _ in range(10)} == {200}


async def test_a_reload_ends_the_checks_of_what_nobody_names_any_more(tmp_path: Path) -> None:
    async with Moody() as old, Moody() as new:
        made = document(old, health_check=CHECK)
        async with before(tmp_path, made) as gateway:
            await until_true(lambda: bool(old.seen))
            made["upstreams"]["plain"]["targets"] = [new.url]
            gateway.write(made)
            assert await gateway.process.reload()
            await until_true(lambda: bool(new.seen))
            await old.until_closed(old.opened)
            asked = len(old.seen)
            before_ = len(new.seen)
            await until_true(lambda: len(new.seen) > before_ + 2)
            assert len(old.seen) == asked


async def test_a_refused_reload_starts_no_checks_and_ends_none(tmp_path: Path) -> None:
    async with Moody() as old, Moody() as new:
        made = document(old, health_check=CHECK)
        async with before(tmp_path, made) as gateway:
            made["upstreams"]["plain"]["targets"] = [new.url]
            made["routes"][0]["params"] = {"nothing": "x"}
            gateway.write(made)
            assert not await gateway.process.reload()
            asked = len(old.seen)
            await until_true(lambda: len(old.seen) > asked + 2)
            assert (new.opened, new.seen) == (0, [])


async def test_no_client_notices_an_upstream_that_restarts(tmp_path: Path) -> None:
    """Idle connections go stale all at once; POST and GET alike are answered."""
    async with Moody() as server:
        async with before(tmp_path, document(server)) as gateway:
            for _ in range(3):
                await asyncio.gather(*(gateway.get("/public/x") for _ in range(6)))
                for task in list(server._tasks):
                    task.cancel()
                answers = await asyncio.gather(
                    *(gateway.get("/public/x", method="POST", body=b"order") for _ in range(4)),
                    *(gateway.get("/public/x") for _ in range(4)),
                )
                assert {answer.status for answer in answers} == {200}
