"""Measurements of several processes as one gateway's."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from gateway.telemetry.exposition import render
from gateway.telemetry.instrument import Instrument
from gateway.telemetry.instruments import INSTRUMENTS
from gateway.telemetry.merge import Sums, pack, unpack
from gateway.telemetry.metrics import Registry
from gateway.telemetry.series import Buckets, Family
from tests.exchanges import exchange
from tests.exposition import parse


def told(registry: Registry) -> list[Family]:
    """What a worker tells, after its way through JSON."""
    return unpack(orjson.loads(orjson.dumps(pack(registry.collect()))))


def registry(requests: int, **gauges: float) -> Registry:
    made = Registry()
    for _ in range(requests):
        made.observe_request(exchange(), 0.02)
    for name, value in gauges.items():
        made.gauge(name.replace("_", "."), value)
    return made


def scraped(sums: Sums, own: Registry | None = None) -> dict[str, dict[str, float]]:
    """By Prometheus name: samples by the values of their labels."""
    families = parse(render(sums.join(own.collect() if own is not None else [])))
    return {
        name: {f"{sample}{sorted(labels)}": value for (sample, labels), value in family.samples.items()}
        for name, family in families.items()
    }


def test_what_is_told_survives_the_way() -> None:
    own = registry(3, gateway_audit_queued=2)
    own.count("gateway.connections.refused", listener="listen", reason="address")
    own.count("gateway.unheard.of")
    assert render(told(own)) == render(own.collect())


def test_counters_and_histograms_are_added_up() -> None:
    sums = Sums()
    sums.note(1, "0", told(registry(3)))
    sums.note(2, "1", told(registry(4)))
    found = scraped(sums)
    assert sum(found["gateway_requests_total"].values()) == 7
    counts = [value for name, value in found["gateway_overhead_duration_seconds"].items() if "_count" in name]
    assert counts == [7]
    sums.note(2, "1", told(registry(5)))
    assert sum(scraped(sums)["gateway_requests_total"].values()) == 8


def test_what_each_worker_sees_of_one_database_is_told_once() -> None:
    sums = Sums()
    for worker in (1, 2):
        sums.note(worker, str(worker), told(registry(0, gateway_rotation_orphaned=1, gateway_rotation_overdue=2)))
    found = scraped(sums)
    assert [list(found[f"gateway_rotation_{name}"].values()) for name in ("orphaned", "overdue")] == [[1], [2]]


def test_what_the_dead_counted_stays_in_the_sum_and_what_they_measured_does_not() -> None:
    sums = Sums()
    dying = registry(3, gateway_audit_queued=5)
    dying.active = 2
    sums.note(1, "0", told(dying))
    sums.note(2, "1", told(registry(4)))
    sums.end(1)
    sums.note(3, "0", told(registry(1)))
    sums.end(3)
    sums.end(17)
    found = scraped(sums)
    assert sum(found["gateway_requests_total"].values()) == 8
    assert sum(found["http_server_active_requests"].values()) == 0
    assert sum(found.get("gateway_audit_queued", {}).values()) == 0


def test_a_gauge_is_joined_as_its_instrument_says() -> None:
    expiry = "gateway.tls.certificate.not_after"
    sums = Sums()
    for number, (queued, until) in enumerate([(2, 900.0), (3, 800.0)]):
        made = registry(0, gateway_audit_queued=queued)
        made.gauge(expiry, until, listener="listen")
        made.gauge("gateway.upstream.addresses", 1, upstream="api", state="serving")
        sums.note(number, str(number), told(made))
    own = Registry()
    own.gauge("gateway.config.last_success", 0)
    found = scraped(sums, own)
    assert list(found["gateway_audit_queued"].values()) == [5]
    assert list(found["gateway_tls_certificate_not_after_seconds"].values()) == [800]
    assert list(found["gateway_config_last_success"].values()) == [0]
    assert list(found["target_info"].values()) == [1]
    assert ["worker" in name for name in found["gateway_upstream_addresses"]] == [True, True]


def test_of_two_processes_in_one_place_one_is_shown_and_both_are_counted() -> None:
    sums = Sums()
    for number, shown in ((1, ""), (2, "0")):
        made = registry(2)
        made.gauge("gateway.upstream.addresses", number, upstream="api", state="serving")
        sums.note(number, shown, told(made))
    found = scraped(sums)
    assert list(found["gateway_upstream_addresses"].values()) == [2]
    assert sum(found["gateway_requests_total"].values()) == 4


def test_joining_changes_nothing_of_what_was_told() -> None:
    sums = Sums()
    sums.note(1, "0", told(registry(3)))
    sums.note(2, "1", told(registry(4)))
    assert scraped(sums) == scraped(sums)


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 5), st.booleans()), max_size=12))
def test_a_sum_never_falls_whoever_dies(steps: list[tuple[int, int, bool]]) -> None:
    counter = Instrument("gateway.audit.written", "counter", "{event}", "Audit events written.")
    sums, counted, last = Sums(), dict.fromkeys(range(1, 4), 0), 0.0
    for process, more, dies in steps:
        counted[process] += more
        sums.note(process, str(process), [Family(counter, (((), float(counted[process])),))])
        if dies:
            sums.end(process)
            counted[process] = 0
        now = sum(value for family in sums.join([]) for _, value in family.points if not isinstance(value, Buckets))
        assert now >= last
        last = now


def test_every_instrument_is_packed_by_name() -> None:
    packed = pack(Family(instrument, ()) for instrument in INSTRUMENTS)
    assert [name for name, _ in packed] == [instrument.name for instrument in INSTRUMENTS]
