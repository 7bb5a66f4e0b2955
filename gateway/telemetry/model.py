"""The configuration of logs, traces and metrics (CONTRACT 2, `log:` and `telemetry:`)."""

from typing import Annotated, Final, Literal, get_args

from pydantic import Field

from gateway.config.values import Model, Token

Level = Literal["debug", "info", "warning", "error"]
LEVELS: Final[tuple[str, ...]] = get_args(Level)


class Log(Model):
    """Operator logs, to standard error."""

    level: Level = "info"
    format: Literal["json", "text"] = "json"


class Traces(Model):
    """Spans by OTLP/HTTP; `sample` is the share of requests recorded."""

    otlp: str
    sample: Annotated[float, Field(ge=0, le=1, strict=False)] = 0.05


class MetricsOut(Model):
    """Prometheus on the admin listener, and pushed by OTLP/HTTP."""

    prometheus: bool = True
    otlp: str | None = None


class Telemetry(Model):
    """Everything OpenTelemetry. `service_name` is also this gateway's name in `Via` (RFC 9110 7.6.3): gateways in a row need
    different ones, or the second takes the first's requests for its own coming back."""

    service_name: Token = "gateway"
    traces: Traces | None = None
    metrics: MetricsOut = MetricsOut()
