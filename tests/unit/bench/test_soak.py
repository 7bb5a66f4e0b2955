"""The soak's accounting: what it takes for wrong, what a fault excuses, what counts as growth."""

import json
import time
from pathlib import Path

import pytest

from bench.soak.ledger import Faults, Ledger, differences, read, trail
from bench.soak.upstream import payload
from bench.soak.watch import NAMES, Sample, growth, slope, table, warm
from bench.soak.wire import heads
from bench.soak.world import proxied
from gateway.server.proxied import parse_block, parse_line

OK = frozenset({200})


def line(request: str, status: int = 200) -> bytes:
    return json.dumps({"event": "request", "request_id": request, "status": status}).encode() + b"\n"


def samples(count: int, step: float = 0.0) -> list[Sample]:
    """A look every second, in which memory grows by `step` each time."""
    return [Sample(float(at), 100 + step * at, 50, 5, 2) for at in range(count)]


@pytest.mark.parametrize(
    ("begun", "ended", "excused"), [(0, 9, False), (0, 10, True), (15, 16, True), (21, 30, True), (22.5, 30, False), (0, 99, True)]
)
def test_a_fault_excuses_whatever_overlaps_it_or_its_grace(begun: float, ended: float, excused: bool) -> None:
    faults = Faults(grace=2)
    faults.begin(10)
    faults.end(20)
    assert faults.excuse(begun, ended) is excused


def test_a_fault_that_goes_on_excuses_what_ended_after_it_began() -> None:
    faults = Faults(grace=2)
    faults.begin(10)
    faults.begin(12)
    faults.end(13)
    assert faults.excuse(50, 51)
    assert not faults.excuse(1, 9)


@pytest.mark.parametrize("found", [None, 502, 404, 500])
def test_without_a_fault_every_other_answer_is_wrong(found: int | None) -> None:
    ledger = Ledger(Faults(grace=2))
    assert not ledger.judge("getter", found, OK, time.monotonic())
    assert ledger.wrong == {"getter": 1}


@pytest.mark.parametrize(("found", "wrong"), [(None, 0), (503, 0), (404, 1), (500, 1), (401, 1)])
def test_a_fault_of_an_upstream_excuses_no_other_refusal(found: int | None, wrong: int) -> None:
    ledger = Ledger(Faults(grace=2))
    ledger.faults.begin(time.monotonic())
    assert not ledger.judge("getter", found, OK, time.monotonic())
    assert ledger.wrong.total() == wrong


def test_an_answer_without_an_id_or_with_a_used_one_is_wrong() -> None:
    ledger = Ledger(Faults(grace=2))
    for request in ("a", "a", None):
        ledger.answered("getter", request, 200)
    assert ledger.wrong.total() == 2


def test_an_answer_without_its_audit_line_is_found() -> None:
    audited = read([line("a"), line("b", 502), line("nobody waited for it")])
    assert audited.problems == []
    assert differences({"a": 200, "b": 200, "c": 200}, audited.statuses) == [
        "no audit line for c (200)",
        "b was answered 200 and audited 502",
    ]


@pytest.mark.parametrize(
    "lines", [[line("a"), line("a")], [line("a")[:-1]], [line("a")[:20] + b"\n"], [line("a")[:20] + line("b")], [b"[]\n"]]
)
def test_lines_that_are_torn_mixed_or_double_are_problems(lines: list[bytes]) -> None:
    assert len(read(lines).problems) == 1


def test_rotated_files_are_read_oldest_first(tmp_path: Path) -> None:
    for name, request in (("audit.jsonl", "c"), ("audit.jsonl.1", "b"), ("audit.jsonl.10", "a"), ("audit.jsonl.lock", "x")):
        (tmp_path / name).write_bytes(line(request))
    assert list(read(trail(tmp_path / "audit.jsonl")).statuses) == ["a", "b", "c"]


def test_growth_is_told_and_noise_is_not() -> None:
    assert growth(samples(100)) == []
    assert growth(samples(100, 0.1)) == []
    assert growth(samples(100, 0.5)) == ["resident MiB grew from 106.0 to 143.5"]
    assert growth(samples(7, 50)) == []


def test_figures_are_those_after_warm_up() -> None:
    found = warm(samples(1000, 1))
    assert found[0].at == 200
    assert slope(found, 0) == pytest.approx(3600)
    assert [row.split()[0] for row in table(found)[1:]] == [name.split()[0] for name in NAMES]


def test_the_first_minute_is_warm_up_however_short_the_soak() -> None:
    assert warm(samples(100))[0].at == 60
    assert warm(samples(50)) == []
    assert len(table(warm(samples(50)))) == 1


def test_load_balancers_write_headers_of_both_versions() -> None:
    assert parse_line(proxied(2)) == "192.0.2.3"
    assert parse_block(proxied(6)) == "192.0.2.7"


def test_answers_in_a_stream_are_found_without_the_interim_ones() -> None:
    received = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400 Bad Request\r\nX-Request-Id: r\r\nContent-Length: 2\r\n\r\n{}"
    assert [(answer.status, answer.request) for answer in heads(received)] == [(400, "r")]


def test_payloads_of_two_words_differ_from_their_first_byte_on() -> None:
    assert payload("t1-a", 0) == b""
    assert len(payload("t1-a", 70_001)) == 70_001
    assert payload("t1-a", 100) != payload("t2-a", 100)
