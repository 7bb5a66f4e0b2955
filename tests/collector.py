"""An OTLP/HTTP receiver on loopback: decodes what arrives with OpenTelemetry's own protobuf definitions."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector:
    """What arrived. `status` is what senders are answered; `hold` lets them wait."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.status = 200
        self.requests = 0
        self.hold = threading.Event()
        self.hold.set()
        self.raw: list[bytes] = []
        self.traces: list[Any] = []
        self.metrics: list[Any] = []

    def take(self, path: str, body: bytes) -> int:
        self.requests += 1
        self.hold.wait(30)
        if self.status != 200:
            return self.status
        self.raw.append(body)
        match path:
            case "/v1/traces":
                self.traces.append(ExportTraceServiceRequest.FromString(body))
            case "/v1/metrics":
                self.metrics.append(ExportMetricsServiceRequest.FromString(body))
            case _:
                return 404
        return 200

    @property
    def spans(self) -> list[Any]:
        return [
            span
            for request in self.traces
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


def attributes(item: Any) -> dict[str, Any]:
    """OTLP key-values as a dict."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in item.attributes}


@contextmanager
def collector() -> Iterator[Collector]:
    """A collector on an ephemeral port."""

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            self.send_response(found.take(self.path, body))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.daemon_threads = True
    found = Collector(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.hold.set()
        server.shutdown()
        server.server_close()
        thread.join(10)
