"""Operator logs: structured lines on standard error, written by a thread so that a blocked reader never stops the loop.

Lines say what is wrong with the gateway; what requests did stands in the audit trail. The level may change while running.
"""

import logging
import os
import threading
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from logging.handlers import QueueHandler
from typing import Any, Final

import orjson

from gateway.core.exchange import Exchange
from gateway.telemetry.model import LEVELS, Log
from gateway.telemetry.redact import is_sensitive, scrub, sealed, visible

BACKLOG: Final = 4096
"""Lines kept while standard error takes none; further ones are dropped and counted."""
TEXT_LIMIT: Final = 2048
TRACE_LIMIT: Final = 16_384
DEPTH: Final = 4
ITEMS: Final = 64

STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What every record has; the rest came by `extra`."""


def facts(record: logging.LogRecord) -> dict[str, Any]:
    """A record's fields in the order they are printed. Values of sensitive names are left out, text is bounded."""
    moment = datetime.fromtimestamp(record.created, UTC)
    found: dict[str, Any] = {
        "timestamp": f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z",
        "severity": record.levelname,
        "message": _bounded(scrub(_message(record)), TEXT_LIMIT),
        "logger": record.name,
        "request_id": None,
        "trace_id": None,
        "span_id": None,
    }
    for name, value in vars(record).items():
        if name not in STANDARD and not is_sensitive(name):
            found.update(_extra(name, value))
    if record.exc_info:
        found["exception"] = _bounded(scrub(logging.Formatter().formatException(record.exc_info)), TRACE_LIMIT)
    elif record.exc_text:
        found["exception"] = _bounded(scrub(record.exc_text), TRACE_LIMIT)
    return {name: value for name, value in found.items() if value is not None}


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):  # a library's wrong placeholder must not cost the line
        return str(record.msg)


def _extra(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, Exchange):
        return {"request_id": value.id, "trace_id": value.trace_id or None, "span_id": value.span_id or None, "route": value.route}
    return {name: _plain(value, DEPTH)}


def _plain(value: Any, depth: int) -> Any:
    """`value` as JSON knows it. Bytes are shown by their length only: on this road they are bodies and headers."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if abs(value) < 1 << 53 else str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if isinstance(value, dict) and depth:
        shown = list(value.items())[:ITEMS]
        return {_bounded(str(key), 128): _plain(item, depth - 1) for key, item in shown if not is_sensitive(str(key))}
    if isinstance(value, list | tuple | set | frozenset) and depth:
        return [_plain(item, depth - 1) for item in list(value)[:ITEMS]]
    return _bounded(scrub(str(value)), TEXT_LIMIT)


def _bounded(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


class JsonLines(logging.Formatter):
    """A record as one JSON object. `mark` is what every line tells besides."""

    def __init__(self, mark: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self._mark = mark or {}

    def format(self, record: logging.LogRecord) -> str:
        found = {**facts(record), **self._mark}
        try:
            line = orjson.dumps(found)
        except (TypeError, ValueError):  # a lone surrogate is no UTF-8
            line = orjson.dumps({name: _escaped(value) for name, value in found.items()})
        return sealed(line).decode("utf-8")


class TextLines(logging.Formatter):
    """A record as one line to read: time, severity, logger, message, name=value."""

    def __init__(self, mark: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self._mark = mark or {}

    def format(self, record: logging.LogRecord) -> str:
        found = {**facts(record), **self._mark}
        head = " ".join(visible(str(found.pop(name))) for name in ("timestamp", "severity", "logger", "message"))
        trace = found.pop("exception", "")
        tail = "".join(f" {visible(name)}={_shown(value)}" for name, value in found.items())
        return f"{head}{tail}" + "".join(f"\n    {visible(line)}" for line in str(trace).splitlines())


def _shown(value: Any) -> str:
    text = visible(str(value))
    return text if text and not set(text) & set(" \"'=") else '"' + text.replace('"', '\\"') + '"'


def _escaped(value: Any) -> Any:
    return visible(str(value)) if isinstance(value, str) else visible(repr(value))


class Backlog:
    """Lines waiting for standard error: the queue that `logging`'s QueueHandler writes to, and the thread that empties it."""

    def __init__(self, descriptor: int) -> None:
        self.dropped = 0
        self._descriptor = descriptor
        self._lines: deque[str] = deque()
        self._ready = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def put_nowait(self, record: logging.LogRecord, /) -> None:
        """Take a formatted record, or count it as dropped. Never waits for standard error."""
        with self._ready:
            if len(self._lines) >= BACKLOG or self._closing:
                self.dropped += 1
                return
            self._lines.append(str(record.msg))
            self._ready.notify()

    def accept(self, lines: list[bytes]) -> None:
        """Take lines that another process made, newlines included, as far as there is room. Never waits."""
        with self._ready:
            room = 0 if self._closing else max(0, BACKLOG - len(self._lines))
            self.dropped += max(0, len(lines) - room)
            self._lines.extend(line.decode("utf-8", "backslashreplace").removesuffix("\n") for line in lines[:room])
            self._ready.notify()

    def put(self, record: logging.LogRecord, /) -> None:
        self.put_nowait(record)

    def get(self) -> Any:
        raise NotImplementedError("the backlog's own thread empties it")

    def close(self, timeout: float) -> None:
        """Write what is there, wait at most `timeout` seconds for it."""
        with self._ready:
            self._closing = True
            self._ready.notify()
        self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            with self._ready:
                while not self._lines and not self._closing:
                    self._ready.wait()
                if not self._lines:
                    return
                batch = "".join(f"{line}\n" for line in self._lines).encode("utf-8", "backslashreplace")
                self._lines.clear()
            self._write(batch)

    def _write(self, batch: bytes) -> None:
        rest = memoryview(batch)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                threading.Event().wait(0.05)
            except OSError:  # nobody is left to be told
                self.dropped += 1
                return


TALKATIVE: Final = ("httpx", "httpcore", "asyncio", "watchfiles", "aiosqlite", "sqlalchemy", "alembic")
"""Libraries that tell every call, some with header fields or parameters of SQL: only their warnings are for operators."""


class Logs:
    """The configured logging of this process."""

    def __init__(self, model: Log, *, descriptor: int = 2, mark: Mapping[str, Any] | None = None) -> None:
        self._backlog = Backlog(descriptor)
        self._mark = mark or {}
        self.accept = self._backlog.accept
        self._handler = QueueHandler(self._backlog)
        self._root = logging.getLogger()
        self._before = (self._root.handlers[:], self._root.level)
        self._root.handlers = [self._handler]
        self._configured = ""
        self.adopt(model)

    @property
    def dropped(self) -> int:
        """Lines lost because standard error took none."""
        return self._backlog.dropped

    @property
    def level(self) -> str:
        return logging.getLevelName(self._root.level).lower()

    def adopt(self, model: Log) -> None:
        """Take over a new configuration's format and level. A level set while running outlives one that did not change."""
        self._handler.setFormatter(JsonLines(self._mark) if model.format == "json" else TextLines(self._mark))
        if model.level != self._configured:
            self.set_level(model.level)
        self._configured = model.level

    def set_level(self, level: str) -> None:
        """Change the level while running: debug, info, warning or error. Raises ValueError."""
        if level not in LEVELS:
            raise ValueError(f"a level is one of {', '.join(LEVELS)}")
        self._root.setLevel(level.upper())
        for name in TALKATIVE:
            logging.getLogger(name).setLevel(max(logging.WARNING, self._root.level))

    def close(self, timeout: float = 2.0) -> None:
        """Write what is waiting and give logging back as it was found."""
        self._root.handlers, level = self._before
        self._root.setLevel(level)
        self._backlog.close(timeout)


def configure(model: Log, *, descriptor: int = 2, mark: Mapping[str, Any] | None = None) -> Logs:
    """Send this process's logging to standard error as `model` says, each line with what `mark` says."""
    return Logs(model, descriptor=descriptor, mark=mark)
