"""The page: tables, bars, who was left out."""

import re
from pathlib import Path

import pytest

from bench.__main__ import without, words
from bench.arena import Arena, Entry
from bench.bars import BARS
from bench.contenders import CONTENDERS
from bench.machine import cores, disturbance, facts, memory, processor
from bench.process import last_words
from bench.report import page, rows
from bench.scenarios import SCENARIOS
from bench.scenarios.scenario import ENVOY_FULL, GATEWAY_FULL, NGINX_BARE, Run
from bench.scenarios.throughput import FULL
from bench.site import Site


def a_run() -> Run:
    site = Site(root=Path(), back=1, back_tls=2, stream=3, redis=4, token="")
    return Run(Arena(site, cores([0, 1])))


def measured() -> Run:
    run = a_run()
    samples = {NGINX_BARE: 100.0, ENVOY_FULL: 30.0, GATEWAY_FULL: 45.0}
    run.found["full"] = {entry: [{"rps": value, "cpu_us": 1.0}] * 3 for entry, value in samples.items()}
    run.failures["full"] = {Entry(CONTENDERS[2]): "it ended with 1"}
    return run


def test_a_table_compares_with_nginx_and_with_envoy() -> None:
    text = page(measured(), [FULL], {"cores": "2"})
    assert "| gateway full | 45 ±0% | 0.45 | 1.50 |" in text
    assert "| cores | 2 |" in text


def test_a_run_says_on_which_day_it_was() -> None:
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", facts()["date"])


def test_who_did_not_start_is_said_to_be_left_out() -> None:
    assert "- left out: haproxy bare: it ended with 1" in page(measured(), [FULL], {})


def test_bars_pass_or_fall_short_or_were_not_measured() -> None:
    verdicts = {bar.text: bar.verdict(measured()) for bar in BARS}
    assert verdicts["full chain, requests a second beside Envoy's full chain"] == ("1.50 ×", "PASS")
    assert verdicts["full chain beside nginx bare"] == ("0.45 ×", "PASS")
    assert verdicts["an idle client"] == ("", "not measured")
    run = measured()
    run.found["full"][GATEWAY_FULL] = [{"rps": 40.0}]
    assert BARS[2].verdict(run) == ("0.40 ×", "short")


def test_a_bar_within_its_bound_passes_where_less_is_better() -> None:
    run = a_run()
    run.found["idle"] = {GATEWAY_FULL: [{"pss_kb": 14.9}]}
    bar = next(bar for bar in BARS if bar.text == "an idle client")
    assert bar.verdict(run)[1] == "PASS"
    run.found["idle"] = {GATEWAY_FULL: [{"pss_kb": 15.1}]}
    assert bar.verdict(run)[1] == "short"


def test_a_pipe_in_a_cell_does_not_end_it() -> None:
    assert rows(["a"], [["x|y"]]).splitlines()[-1] == "| x\\|y |"


def test_names_are_those_of_the_tables() -> None:
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)
    for scenario in SCENARIOS:
        labels = [entry.label for entry in scenario.entries]
        assert len(set(labels)) == len(labels)


def test_contenders_can_be_left_out() -> None:
    assert [entry.contender.name for entry in without(FULL, {"nginx", "caddy"}).entries] == [
        "direct",
        "envoy",
        "gateway",
        "gateway (Python)",
    ]
    assert words(" nginx, gateway ,") == {"nginx", "gateway"}


def test_last_words_name_no_machine(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("first\nerror in /etc/somewhere/file.conf:7: bad\n\n")
    assert last_words(tmp_path / "out") == "error in …:7: bad"


@pytest.mark.parametrize(
    ("found", "load", "workers"), [([3, 5], {5}, {3, 5}), ([0, 1, 2, 3, 4], {2, 3}, {0, 1})], ids=["two cores", "five cores"]
)
def test_the_proxy_and_the_load_never_share_a_core(found: list[int], load: set[int], workers: set[int]) -> None:
    share = cores(found)
    assert [set(share.proxy), set(share.load), set(share.workers)] == [{found[0]}, load, workers]


def test_one_core_is_not_enough() -> None:
    with pytest.raises(SystemExit, match="two cores"):
        cores([0])


def test_the_machine_is_described_without_its_name() -> None:
    assert processor("vendor_id\t: X\nmodel name\t: Fast CPU 9\n") == "Fast CPU 9"
    assert memory("MemTotal:       25267000 kB\nMemFree: 1 kB\n") == "24 GiB"


def test_a_page_made_on_a_busy_machine_says_so() -> None:
    assert disturbance(0.02) == "2%"
    assert disturbance(0.4).startswith("40%: not a quiet machine")
