"""Stages of routes: which rules join, all spent or none, what a refusal tells, what a reload keeps."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from gateway.core.errors import DependencyDown, LimitExceeded
from gateway.core.ports import Limits
from gateway.ratelimit.limiter import NO_LIMITS, STORE_FAILURES, Limiter
from gateway.ratelimit.model import RateLimits
from gateway.store.redis import RedisCounters
from tests.fakes import CountingMetrics, SteppedClock, a_principal, a_request
from tests.redis_server import RedisServer

CONFIG: dict[str, Any] = {
    "default": ["per-address"],
    "rules": {
        "per-address": {"key": "client.address", "limit": "5/minute"},
        "per-principal": {"key": "subject", "limit": "3/minute"},
        "writes": {"key": ["subject", "route"], "limit": "2/hour", "methods": ["POST", "PUT"]},
        "reads": {"key": "client.address", "limit": "2/minute", "methods": ["GET"]},
        "burst": {"key": "client.address", "limit": "10/10s", "burst": 3, "algorithm": "bucket"},
        "paced": {"key": "client.address", "limit": "10/10s", "burst": 3},
        "per-route": {"key": "route", "limit": "2/minute", "algorithm": "fixed"},
    },
}


def limiter(clock: SteppedClock | None = None, **changes: Any) -> Limiter:
    return Limiter(RateLimits.model_validate({**CONFIG, **changes}), clock=clock or SteppedClock(), metrics=CountingMetrics())


async def admitted(limits: Limits, times: int, **request: Any) -> int:
    count = 0
    for _ in range(times):
        try:
            await limits.spend(a_request(**request), a_principal())
            count += 1
        except LimitExceeded:
            continue
    return count


async def test_default_rules_join_every_route_and_what_has_no_route() -> None:
    limits = limiter()
    policies, ((remaining, _),) = await limits.stage([], route="r", subject=False).spend(a_request(), None)
    assert (policies, remaining) == (("per-address",), 4)
    _, ((remaining, _),) = await limits.unmatched().spend(a_request(), None)
    assert remaining == 3  # one address, one counter, whatever the route


async def test_rule_named_by_route_and_default_is_spent_once() -> None:
    stage = limiter().stage(["per-address", "per-address"], route="r", subject=False)
    assert (await stage.spend(a_request(), None))[0] == ("per-address",)


async def test_rules_keyed_by_subject_wait_for_the_principal() -> None:
    limits = limiter()
    before = limits.stage(["per-principal", "writes"], route="r", subject=False)
    after = limits.stage(["per-principal", "writes"], route="r", subject=True)
    assert (await before.spend(a_request("POST"), None))[0] == ("per-address",)
    assert (await after.spend(a_request("POST"), a_principal()))[0] == ("per-principal", "writes")


def test_stage_without_rules_costs_nothing() -> None:
    assert limiter(default=[]).stage(["per-address"], route="r", subject=True) is NO_LIMITS
    assert limiter(default=[]).unmatched() is NO_LIMITS


async def test_no_limits_spends_nothing() -> None:
    assert await NO_LIMITS.spend(a_request(), None) == ((), ())


def test_unknown_rule_is_refused_at_build() -> None:
    with pytest.raises(ValueError, match="no such rate limit: absent"):
        limiter().stage(["absent"], route="r", subject=False)
    with pytest.raises(ValueError, match="no such rate limit: absent"):
        limiter(default=["absent"])


async def test_methods_of_a_rule_choose_its_requests() -> None:
    stage = limiter(default=[]).stage(["writes"], route="r", subject=True)
    assert await admitted(stage, 9, method="GET") == 9
    assert await admitted(stage, 9, method="POST") == 2


async def test_limit_on_get_counts_head_too() -> None:
    stage = limiter(default=[]).stage(["reads"], route="r", subject=False)
    assert await admitted(stage, 1, method="GET") == 1
    assert await admitted(stage, 9, method="HEAD") == 1


async def test_route_in_the_key_counts_each_route_apart() -> None:
    limits = limiter(default=[])
    for route in ("one", "other"):
        assert await admitted(limits.stage(["per-route"], route=route, subject=False), 9) == 2


async def test_refusal_spends_none_of_the_stages_limits() -> None:
    limits = limiter(default=[])
    both = limits.stage(["per-address", "reads"], route="r", subject=False)
    assert await admitted(both, 50) == 2
    alone = limits.stage(["per-address"], route="r", subject=False)
    assert await admitted(alone, 50) == 3


async def test_refusal_by_another_limit_gives_back_both_window_and_pace() -> None:
    limits = limiter(default=[])
    assert await admitted(limits.stage(["paced", "per-route"], route="r", subject=False), 50) == 2
    _, ((remaining, _),) = await limits.stage(["paced"], route="r", subject=False).spend(a_request(), None)
    assert remaining == 0  # of a burst of three, two went through and this is the third


async def test_refusal_tells_when_to_come_back_and_which_limits_stand_in_the_way() -> None:
    clock = SteppedClock(monotonic=6_000.0)
    stage = limiter(clock).stage(["reads"], route="r", subject=False)
    await admitted(stage, 2)
    clock.step(10.5)
    with pytest.raises(LimitExceeded) as refused:
        await stage.spend(a_request(), None)
    assert refused.value.members == {"violated-policies": ["reads"]}
    assert refused.value.headers == [
        (b"retry-after", b"50"),
        (b"ratelimit-policy", b'"per-address";q=5;w=60, "reads";q=2;w=60'),
        (b"ratelimit", b'"per-address";r=3;t=50, "reads";r=0;t=50'),
    ]
    clock.step(49.4)
    assert await admitted(stage, 1) == 0
    clock.step(0.2)
    assert await admitted(stage, 1) == 1


async def test_refusal_names_every_violated_limit_and_waits_for_the_slowest() -> None:
    rules = {
        "fast": {"key": "route", "limit": "1/10s", "algorithm": "fixed"},
        "slow": {"key": "route", "limit": "1/hour", "algorithm": "fixed"},
    }
    stage = limiter(default=[], rules=rules).stage(["fast", "slow"], route="r", subject=False)
    await stage.spend(a_request(), None)
    with pytest.raises(LimitExceeded) as refused:
        await stage.spend(a_request(), None)
    assert refused.value.members == {"violated-policies": ["fast", "slow"]}
    assert dict(refused.value.headers)[b"retry-after"] == b"3600"


async def test_refusal_without_limit_fields_still_says_retry_after() -> None:
    stage = limiter(headers="none").stage([], route="r", subject=False)
    await admitted(stage, 5)
    with pytest.raises(LimitExceeded) as refused:
        await stage.spend(a_request(), None)
    assert [name for name, _ in refused.value.headers] == [b"retry-after"]


@pytest.mark.parametrize("rule", ["burst", "paced"])
async def test_burst_is_how_many_may_come_at_once(rule: str) -> None:
    clock = SteppedClock()
    stage = limiter(clock, default=[]).stage([rule], route="r", subject=False)
    assert await admitted(stage, 20) == 3
    clock.step(1.0)
    assert await admitted(stage, 20) == 1


async def test_window_with_a_burst_still_bounds_the_window() -> None:
    clock = SteppedClock(monotonic=6_000.0)
    stage = limiter(clock, default=[]).stage(["paced"], route="r", subject=False)
    total = await admitted(stage, 20)
    for _ in range(9):
        clock.step(1.0)
        total += await admitted(stage, 20)
    assert total == 10


async def test_bucket_is_announced_with_its_capacity_and_the_time_to_fill_it() -> None:
    limits = limiter(default=[])
    spent = await limits.stage(["burst"], route="r", subject=False).spend(a_request(), None)
    told = dict(limits.fields.fields(*spent))
    assert (told[b"ratelimit-policy"], told[b"ratelimit"]) == (b'"burst";q=3;w=3', b'"burst";r=2;t=1')


async def test_reload_keeps_the_counters_of_rules_that_did_not_change() -> None:
    clock = SteppedClock()
    before = limiter(clock)
    await admitted(before.stage([], route="r", subject=False), 5)
    rules = {**CONFIG["rules"], "reads": {"key": "client.address", "limit": "9/minute"}}
    config = RateLimits.model_validate({**CONFIG, "rules": rules, "headers": "legacy"})
    after = Limiter(config, clock=clock, metrics=CountingMetrics(), previous=before)
    assert await admitted(after.stage([], route="r", subject=False), 5) == 0


async def test_reload_starts_anew_for_a_rule_that_changed() -> None:
    clock = SteppedClock()
    before = limiter(clock)
    await admitted(before.stage([], route="r", subject=False), 5)
    rules = {**CONFIG["rules"], "per-address": {"key": "client.address", "limit": "6/minute"}}
    after = Limiter(RateLimits.model_validate({**CONFIG, "rules": rules}), clock=clock, metrics=CountingMetrics(), previous=before)
    assert await admitted(after.stage([], route="r", subject=False), 9) == 6


async def test_concurrent_requests_share_one_count() -> None:
    stage = limiter().stage([], route="r", subject=False)
    answers = await asyncio.gather(*[stage.spend(a_request(), None) for _ in range(200)], return_exceptions=True)
    assert sum(not isinstance(answer, LimitExceeded) for answer in answers) == 5


async def test_replicas_share_one_count_in_redis_and_refuse_alike(redis_server: RedisServer) -> None:
    config = RateLimits.model_validate({**CONFIG, "store": {"redis": {"url": redis_server.url}}})
    stores = [RedisCounters(redis_server.url, timeout=30) for _ in range(2)]
    stages = [
        Limiter(config, clock=SteppedClock(), metrics=CountingMetrics(), store=store).stage(
            ["reads", "paced"], route="r", subject=False
        )
        for store in stores
    ]
    try:
        answers = await asyncio.gather(
            *[stage.spend(a_request(), None) for _ in range(100) for stage in stages], return_exceptions=True
        )
        refused = [answer for answer in answers if isinstance(answer, LimitExceeded)]
        assert len(answers) - len(refused) == 2
        assert refused[0].members == {"violated-policies": ["reads"]}
        assert {name for name, _ in refused[0].headers} == {b"retry-after", b"ratelimit", b"ratelimit-policy"}
    finally:
        for store in stores:
            await store.close()


class AbsentStore:
    async def spend(self, quotas: Any, keys: Any) -> list[tuple[int, int]]:
        raise DependencyDown("redis: gone")


@pytest.mark.parametrize(
    ("mode", "outcome"),
    [("local", {"passed": 5, "refused": 4}), ("open", {"passed": 9}), ("closed", {"closed": 9})],
    ids=["local", "open", "closed"],
)
async def test_failures_of_the_store_are_counted_by_mode(mode: str, outcome: dict[str, int]) -> None:
    metrics = CountingMetrics()
    config = RateLimits.model_validate({**CONFIG, "on_store_failure": mode})
    stage = Limiter(config, clock=SteppedClock(), metrics=metrics, store=AbsentStore()).stage([], route="r", subject=False)
    outcomes: Counter[str] = Counter()
    for _ in range(9):
        try:
            await stage.spend(a_request(), None)
            outcomes["passed"] += 1
        except LimitExceeded:
            outcomes["refused"] += 1
        except DependencyDown:
            outcomes["closed"] += 1
    assert outcomes == outcome
    assert metrics.counted(STORE_FAILURES, mode=mode) == 9
