"""Telemetry as the data path sees it: told when an exchange begins and when its last byte is out."""

from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import Protocol

from gateway.core.exchange import Exchange
from gateway.core.message import Inbound
from gateway.core.ports import Clock
from gateway.telemetry import model
from gateway.telemetry.metrics import Registry
from gateway.telemetry.names import Names
from gateway.telemetry.process import Process
from gateway.telemetry.tracing import Tracer

VERSION = version("latchgate")


class Closing(Protocol):
    """Something that hands over what it holds before it ends."""

    async def close(self, timeout: float) -> None: ...


def new_registry(settings: model.Telemetry, clock: Clock) -> Registry:
    """The registry of a process, with what the operating system knows of it."""
    registry = Registry(service=settings.service_name, version=VERSION)
    registry.watch(Process(clock.now()))
    return registry


class Telemetry:
    """Metrics and traces of one process. Where no collector is configured OpenTelemetry is never imported."""

    def __init__(self, settings: model.Telemetry, *, clock: Clock, push_interval: float = 60.0, pushes: bool = True) -> None:
        """Imports and starts threads: build it early. Without `pushes` another process sends this one's metrics."""
        self.metrics = new_registry(settings, clock)
        push = settings.metrics.otlp if pushes else None
        self._trusts: Callable[[Inbound], bool] | None = None
        self._push: Closing | None = None
        out = None
        if settings.traces is not None or push is not None:
            from gateway.telemetry import otlp

            about = otlp.resource(settings.service_name, VERSION)
            if settings.traces is not None:
                out = otlp.OtlpSpans(settings.traces.otlp, about, self.metrics)
            if push is not None:
                self._push = otlp.OtlpMetrics(push, about, self.metrics, clock, interval=push_interval)
        self._tracer = Tracer(settings, out=out)

    def describe(self, names: Names, trusts: Callable[[Inbound], bool] | None = None) -> None:
        """Take over a new configuration's names, and whose `traceparent` is believed (None: nobody's)."""
        self.metrics.describe(names)
        self._tracer.describe(names)
        self._trusts = trusts

    def begin(self, exchange: Exchange, inbound: Inbound) -> None:
        """A request's head has arrived: give it its trace."""
        self.metrics.active += 1
        self._tracer.begin(exchange)
        if not exchange.sampled and self._trusts is None:
            return
        if exchange.sampled:
            exchange.user_agent = inbound.first(b"user-agent")
        presented = [value for name, value in inbound.headers if name == b"traceparent"]
        if len(presented) == 1:  # several are no traceparent at all
            self._tracer.adopt(exchange, presented[0], self._trusts is not None and self._trusts(inbound))

    def end(self, ended: Iterable[tuple[Exchange, float]]) -> None:
        """Of each the last byte is out, or the client is gone, so many seconds after the request's head arrived."""
        metrics = self.metrics
        observe = metrics.observe_request
        for exchange, duration in ended:
            metrics.active -= 1
            observe(exchange, duration)
            if exchange.sampled:
                self._tracer.end(exchange, duration)

    async def close(self, timeout: float = 5.0) -> None:
        """Hand over what was not sent yet, for at most about `timeout` seconds."""
        await self._tracer.close(timeout)
        if self._push is not None:
            await self._push.close(timeout)
