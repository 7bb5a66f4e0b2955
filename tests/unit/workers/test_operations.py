"""What operators are told of several workers at once."""

from typing import Any

from gateway.workers.operations import summed


def route(name: str, unknown: dict[str, int] | None, beyond: int = 0) -> dict[str, Any]:
    listed = None if unknown is None else [{"method": "GET", "path": path, "count": count} for path, count in unknown.items()]
    return {"name": name, "described": None if listed is None else {"mode": "report", "unknown": listed, "unknown_beyond": beyond}}


def test_requests_that_a_description_does_not_know_are_summed_over_the_workers() -> None:
    tables = [
        [route("a", {"/x": 1, "/y": 1}, 1), route("b", None)],
        [route("a", {"/y": 2}, 2), route("b", None)],
        [route("b", None)],
    ]
    assert summed(tables) == [route("a", {"/y": 3, "/x": 1}, 3), route("b", None)]
    assert summed([]) == []
