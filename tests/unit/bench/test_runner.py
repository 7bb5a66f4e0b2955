"""Rounds: everybody once, then everybody again; who fails is out, and the reason is kept."""

import dataclasses
from pathlib import Path

from bench.arena import Arena, Instance
from bench.figures import Sample
from bench.load import Unclean
from bench.machine import cores
from bench.runner import play
from bench.scenarios.scenario import NGINX_BARE, UPSTREAM, Column, Run, Scenario
from bench.site import Site


def a_run() -> Run:
    """One whose contenders need no process: only the upstream itself takes part."""
    site = Site(root=Path(), back=1, back_tls=2, stream=3, redis=4, token="")
    return Run(Arena(site, cores([0, 1])), seconds=2.0, rounds=3)


def no_calls() -> list[tuple[str, float]]:
    return []


def scenario(calls: list[tuple[str, float]], *, fails_at: int = 99) -> Scenario:
    def measure(instance: Instance, run: Run, seconds: float) -> Sample:
        calls.append((instance.entry.label, seconds))
        if len(calls) > fails_at:
            raise Unclean("answered 500")
        return {"rps": float(len(calls)), "p50": 10.0}

    return Scenario("one", "One", "", (UPSTREAM,), (Column("rps", "req/s"),), measure)


def test_a_short_round_warms_up_and_is_not_counted() -> None:
    run, calls = a_run(), no_calls()
    play(run, [scenario(calls)])
    assert calls == [("direct", 1.0)] + [("direct", 2.0)] * 3
    assert [sample["rps"] for sample in run.samples("one", UPSTREAM)] == [2.0, 3.0, 4.0]


def test_who_has_worked_before_is_warm() -> None:
    run, calls = a_run(), no_calls()
    play(run, [scenario(calls), dataclasses.replace(scenario(calls), name="two")])
    assert len(calls) == 4 + 3


def test_who_fails_is_left_out_with_the_reason() -> None:
    run, calls = a_run(), no_calls()
    play(run, [scenario(calls, fails_at=2)])
    assert run.failures["one"] == {UPSTREAM: "answered 500"}
    assert run.found["one"] == {}
    assert len(calls) == 3


def test_who_does_not_start_is_left_out_and_not_tried_again() -> None:
    run, calls = a_run(), no_calls()
    run.arena.failures[NGINX_BARE] = "ended with 1: no"
    play(run, [dataclasses.replace(scenario(calls), entries=(NGINX_BARE, UPSTREAM))])
    assert run.failures["one"] == {NGINX_BARE: "ended with 1: no"}
    assert {label for label, _ in calls} == {"direct"}
