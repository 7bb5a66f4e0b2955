"""A stand-in for a service that keeps keys or secrets: real sockets on a thread, as what asks it may block."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl


@dataclass
class Asked:
    """One question, to the byte."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        found = [value for each, value in self.headers if each.lower() == name]
        assert len(found) < 2, f"{name} was sent twice"
        return found[0] if found else None

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, str]:
        pairs = parse_qsl(self.body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)


Reply = tuple[int, Any]
Answer = Callable[[Asked], Reply]


class Service(ThreadingHTTPServer):
    """Answers what `answer` says: a status with JSON, or with bytes as they are. `down` closes every connection unanswered."""

    daemon_threads = True

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.answer = answer
        self.asked: list[Asked] = []
        self.failures: list[BaseException] = []
        self.extra: list[tuple[str, str]] = []
        self.down = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Connection(BaseHTTPRequestHandler):
    server: Service

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        self._serve(self.rfile.read(int(self.headers["Content-Length"])))

    def _serve(self, body: bytes) -> None:
        asked = Asked(self.command, self.path, list(self.headers.items()), body)
        self.server.asked.append(asked)
        if self.server.down:
            return
        try:
            status, answer = self.server.answer(asked)
        except BaseException as error:  # told by the test, which waits for an answer meanwhile
            self.server.failures.append(error)
            status, answer = 599, {"wrong": "question"}
        raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        for name, value in [*self.server.extra, ("Content-Length", str(len(raw)))]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:
        return


@contextmanager
def serving(answer: Answer) -> Iterator[Service]:
    """A running service. Ends with what failed within it."""
    with Service(answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
    for failure in server.failures:
        raise failure
