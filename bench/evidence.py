"""What evidence costs the event loop, in microseconds a request: audit, metrics, traces. Nothing here gates.

    python -m bench.evidence

Best of many short rounds: on a busy machine the least disturbed round says most about the code.
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import orjson

from gateway.audit import event
from gateway.audit.model import Audit, Mask
from gateway.audit.trail import Trail
from gateway.core.secret import Secret
from gateway.telemetry.metrics import Registry
from gateway.telemetry.model import Telemetry as Settings
from gateway.telemetry.model import Traces
from gateway.telemetry.span import Span
from gateway.telemetry.telemetry import Telemetry
from gateway.telemetry.tracing import Tracer
from tests.exchanges import Ticks, exchange, inbound

ROUNDS = 300
CALLS = 500
HEADERS = [(b"host", b"api.example.com"), *[(b"x-header-%d" % number, b"value") for number in range(9)]]


class Sink:
    """Takes spans and forgets them."""

    def room(self, spans: int) -> bool:
        return True

    def emit(self, span: Span) -> None:
        pass

    async def close(self, timeout: float) -> None:
        pass


def measure(name: str, call: Callable[[], object], rounds: int = ROUNDS, calls: int = CALLS) -> None:
    best = float("inf")
    for _ in range(rounds):
        begun = perf_counter()
        for _ in range(calls):
            call()
        best = min(best, (perf_counter() - begun) / calls)
    print(f"{name:<58}{best * 1e6:8.2f} us")


def main() -> None:
    made, arrived, clock = exchange(), inbound(*HEADERS), Ticks()
    events = event.Events(Mask(), Secret(b"k" * 32))
    hashed = event.Events(Mask(subject="keyed_hash", client="keyed_hash"), Secret(b"k" * 32))
    fields = orjson.loads(events.request(made, 0.05))
    measure("orjson.dumps of a request event's fields", lambda: orjson.dumps(fields))
    measure("audit: a request's line", lambda: events.request(made, 0.05))
    measure("audit: a request's line, subject and client hashed", lambda: hashed.request(made, 0.05))
    with TemporaryDirectory() as folder:
        trail = Trail(Audit(file=Path(folder) / "a", on_full="drop"), clock=clock, metrics=Registry())

        def record() -> None:
            trail.record([(made, 0.01)])
            trail._waiting.clear()
            trail._queued_events = trail._queued_bytes = 0

        measure("audit: Trail.record, without the writer", record)
        measure("audit: Trail.ensure_room", trail.ensure_room)
    registry = Registry()
    measure("metrics: observe_request", lambda: registry.observe_request(made, 0.05))
    measure("metrics: count with two labels", lambda: registry.count("gateway.jwks.fetches", issuer="a", outcome="success"))
    measure("metrics: render, one series", registry.render)
    crowd = Registry()
    for number in range(1000):
        crowd.observe_request(exchange(route=f"route-{number}"), 0.05)
    measure("metrics: render, a thousand series", crowd.render, rounds=3, calls=1)
    off, on = (
        Settings(traces=Traces(otlp="http://127.0.0.1:1", sample=0)),
        Settings(traces=Traces(otlp="http://127.0.0.1:1", sample=1)),
    )
    unsampled, sampled = Tracer(off, out=Sink()), Tracer(on, out=Sink())

    def traced(tracer: Tracer) -> None:
        tracer.begin(made)
        tracer.end(made, 0.05)

    measure("traces: begin and end, not sampled", lambda: traced(unsampled))
    measure("traces: begin and end, sampled, without the SDK", lambda: traced(sampled))
    telemetry = Telemetry(Settings(), clock=clock)
    telemetry.describe(telemetry.metrics.names, lambda _: False)

    def watched() -> None:
        telemetry.begin(made, arrived)
        telemetry.end([(made, 0.01)])

    measure("telemetry: begin and end of an unsampled request", watched)


if __name__ == "__main__":
    main()
