"""The record of one request: the pipeline writes it, observers read it when the last byte is out."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.core.decision import Decision
from gateway.core.echoes import Echoed
from gateway.core.obligations import Shaped
from gateway.core.principal import Principal
from gateway.core.reason import Reason

Allowance = tuple[int, int]
"""What is left of one limit: remaining units, and microseconds until one more."""
Spent = tuple[tuple[str, ...], tuple[Allowance, ...]]
"""The limits a request counted against, by name, and what is left of each."""


class Exchange:
    """Everything an audit event, a span or a metric may want to know of one request.

    `started` is monotonic seconds, `time` Unix seconds. `status` is None when the client left before an answer.
    `trace` are the rules that were looked at, where that is to be told.
    `trace_id` is 32 hex digits or "", `span_id` 16: the span an upstream sees as its parent; `sampled` whether spans are
    recorded; `span` is telemetry's own. `policies` are the limits it counted against, by name, `allowances` what is left of them.
    `upstream_started` is when sending began (monotonic), `upstream_seconds` counts from then to the upstream's headers,
    `upstream_target` is what was asked for, before a credential was added. `detail` explains a refusal to the audit trail.
    `source` tells who made the status: "gateway" or "upstream". `error` is set when the exchange broke after the answer began.
    `shaped` tells what became of an answer that a rule's obligations applied to.
    `echoed` tells what an answer held of the injected credential, where it held any.
    `interim` takes an interim answer's head, in wire form, to the client.
    `memo`, where this very request came before by this way in, is what observers concluded from it then, each under itself.
    """

    __slots__ = (
        "allowances",
        "bytes_in",
        "bytes_out",
        "client",
        "credential",
        "decision",
        "detail",
        "echoed",
        "error",
        "generation",
        "host",
        "id",
        "interim",
        "listener",
        "memo",
        "method",
        "params",
        "path",
        "peer",
        "policies",
        "principal",
        "query",
        "reason",
        "retries",
        "route",
        "sampled",
        "secure",
        "shaped",
        "source",
        "span",
        "span_id",
        "started",
        "status",
        "time",
        "trace",
        "trace_id",
        "trusted",
        "upstream",
        "upstream_address",
        "upstream_seconds",
        "upstream_started",
        "upstream_status",
        "upstream_target",
        "user_agent",
        "version",
    )

    def __init__(self, id: str, started: float, time: float, generation: str, listener: str, method: str, peer: str) -> None:
        self.id = id
        self.started = started
        self.time = time
        self.generation = generation
        self.listener = listener
        self.method = method
        self.peer = peer
        self.client = peer
        self.host = self.path = ""
        self.query: bytes | None = None
        self.version = "1.1"
        self.secure = self.trusted = self.sampled = False
        self.user_agent: bytes | None = None
        self.route: str | None = None
        self.params: dict[str, str] | None = None
        self.principal: Principal | None = None
        self.decision: Decision | None = None
        self.reason: Reason | None = None
        self.detail = ""
        self.status: int | None = None
        self.source = "gateway"
        self.error: str | None = None
        self.policies: tuple[str, ...] = ()
        self.allowances: tuple[Allowance, ...] = ()
        self.upstream: str | None = None
        self.upstream_address: str | None = None
        self.upstream_started: float | None = None
        self.upstream_seconds: float | None = None
        self.upstream_target: bytes | None = None
        self.upstream_status: int | None = None
        self.credential: str | None = None
        self.shaped: Shaped | None = None
        self.echoed: Echoed | None = None
        self.retries = self.bytes_in = self.bytes_out = 0
        self.trace: Sequence[Mapping[str, Any]] | None = None
        self.trace_id = self.span_id = ""
        self.span: object | None = None
        self.interim: Callable[[bytes], None] | None = None
        self.memo: dict[object, Any] | None = None
