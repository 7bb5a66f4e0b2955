"""The side of an engine: a job on standard input, then a round for every further line. Imports nothing but the standard library."""

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

Ask = Callable[[Any], bool]
Made = dict[str, tuple[Ask, list[Any]]]
"""By what is measured: what asks, and the questions as it takes them."""


def play(make: Callable[[dict[str, Any]], Made]) -> None:
    """Build once, then time the questions again for every line read: nanoseconds of each, as many as fit into the job's seconds."""
    job = json.loads(sys.stdin.readline())
    start = time.perf_counter()
    made = make(job)
    say({"build": time.perf_counter() - start})
    for _ in sys.stdin:
        say({name: timed(ask, questions, job["seconds"]) for name, (ask, questions) in made.items()})


def say(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


def timed(ask: Ask, questions: list[Any], seconds: float) -> dict[str, Any]:
    """The answers, the nanoseconds each took, and those of one when all are asked in a row; less what the clock and asking nothing
    cost. In a row nobody looks at the clock between two questions, which costs a short answer more than can be subtracted."""
    clock = time.perf_counter_ns
    empty = int(statistics.median(each(nothing, questions[:1] * 2000, clock() + 10**9)[1]))
    answers, times = each(ask, questions, clock() + int(seconds * 1e9))
    asked = questions[: len(times)]
    mean = (in_a_row(ask, asked) - in_a_row(nothing, asked)) / len(asked)
    return {"answers": answers, "times": [max(0, one - empty) for one in times], "mean": max(0.0, mean)}


def in_a_row(ask: Ask, questions: list[Any]) -> int:
    """The nanoseconds of all of them together."""
    start = time.perf_counter_ns()
    for question in questions:
        ask(question)
    return time.perf_counter_ns() - start


def nothing(_: Any) -> bool:
    return False


def each(ask: Ask, questions: list[Any], until: int) -> tuple[list[bool], list[int]]:
    clock = time.perf_counter_ns
    answers, times = [], []
    for question in questions:
        start = clock()
        answer = ask(question)
        end = clock()
        answers.append(bool(answer))
        times.append(end - start)
        if end > until:
            break
    return answers, times
