"""Operator logs: what a line says, and what a blocked standard error costs."""

import io
import json
import logging
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from gateway.core.secret import Secret
from gateway.store.sql.engine import Database
from gateway.store.sql.model import Sqlite
from gateway.telemetry.logs import BACKLOG, JsonLines, Logs, TextLines, configure
from gateway.telemetry.model import Log
from tests.exchanges import ID, exchange

log = logging.getLogger("gateway.test")


class Pipe:
    """Standard error as a pipe that the test reads."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()

    def read_all(self) -> list[str]:
        os.close(self.writing)
        with os.fdopen(self.reading, encoding="utf-8", newline="\n") as stream:
            return stream.read().split("\n")[:-1]


@pytest.fixture
def pipe() -> Pipe:
    return Pipe()


@pytest.fixture
def logs(pipe: Pipe) -> Iterator[Logs]:
    configured = configure(Log(), descriptor=pipe.writing)
    yield configured
    configured.close()


def record(message: str, *args: Any, **extra: Any) -> logging.LogRecord:
    return log.makeRecord("gateway.test", logging.WARNING, "f", 1, message, args, None, extra=extra)


def told(message: str, *args: Any, **extra: Any) -> dict[str, Any]:
    line = JsonLines().format(record(message, *args, **extra))
    assert "\n" not in line
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_line_has_the_fields_operators_search_by(logs: Logs, pipe: Pipe) -> None:
    log.warning("issuer unreachable", extra={"request_id": ID, "trace_id": "t" * 32, "span_id": "s" * 16, "issuer": "corp"})
    logs.close()
    (line,) = pipe.read_all()
    found = json.loads(line)
    assert list(found) == ["timestamp", "severity", "message", "logger", "request_id", "trace_id", "span_id", "issuer"]
    assert (found["severity"], found["message"], found["logger"], found["issuer"]) == (
        "WARNING",
        "issuer unreachable",
        "gateway.test",
        "corp",
    )
    assert found["timestamp"].endswith("Z")
    assert len(found["timestamp"]) == len("2026-11-21T10:58:00.123Z")


def test_an_exchange_in_the_extra_gives_its_ids() -> None:
    found = told("bug", exchange=exchange())
    assert (found["request_id"], found["trace_id"], found["span_id"]) == (
        ID,
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "00f067aa0ba902b7",
    )


def test_the_level_changes_while_running(logs: Logs, pipe: Pipe) -> None:
    log.debug("unseen")
    logs.set_level("debug")
    assert logs.level == "debug"
    log.debug("seen")
    logs.set_level("error")
    log.warning("unseen")
    with pytest.raises(ValueError, match="a level is"):
        logs.set_level("loud")
    logs.close()
    assert [json.loads(line)["message"] for line in pipe.read_all()] == ["seen"]


async def test_sql_and_its_parameters_are_not_told_at_debug(logs: Logs, pipe: Pipe, tmp_path: Path) -> None:
    database = Database(Sqlite(file=tmp_path / "grants.db"))
    database.claim()
    logs.set_level("debug")
    await database.write(text("create table t (a text)"))
    await database.write(text("insert into t values (:a)").bindparams(a="sealed-canary"))
    await database.close()
    logs.close()
    assert not any("sealed-canary" in line or "insert" in line for line in pipe.read_all())


def test_the_format_changes_with_the_configuration(logs: Logs, pipe: Pipe) -> None:
    logs.adopt(Log(format="text", level="debug"))
    log.debug("plain", extra={"route": "a b", "n": 3})
    logs.close()
    (line,) = pipe.read_all()
    assert line.endswith(' DEBUG gateway.test plain route="a b" n=3')


def test_logging_is_given_back_as_it_was_found(pipe: Pipe) -> None:
    before = logging.getLogger().handlers[:], logging.getLogger().level
    configure(Log(level="debug"), descriptor=pipe.writing).close()
    assert (logging.getLogger().handlers, logging.getLogger().level) == before


@pytest.mark.parametrize("name", ["authorization", "cookie", "set_cookie", "token", "client_secret", "api_key", "password"])
def test_extras_of_sensitive_names_are_left_out(name: str) -> None:
    found = told("x", **{name: "canary", "nested": {name: "canary", "fine": 1}})
    assert "canary" not in str(found)
    assert found["nested"] == {"fine": 1}


def test_secrets_bytes_and_tokens_are_never_shown() -> None:
    found = told(
        "sent Bearer canary-canary to %s",
        "https://user:canary@host/",
        value=Secret(b"canary"),
        body=b"canary",
        many=[b"canary", Secret(b"canary"), "eyJhbGciOiJub25lIn0.canary"],
    )
    assert "canary" not in str(found)
    assert found["value"] == "Secret(***)"
    assert found["body"] == "<6 bytes>"


def test_a_traceback_is_one_field_and_masked(logs: Logs, pipe: Pipe) -> None:
    try:
        raise ValueError("Bearer canary-canary-canary\nsecond line")
    except ValueError:
        log.exception("bug")
    logs.close()
    (line,) = pipe.read_all()
    assert "canary" not in line
    assert "ValueError: Bearer REDACTED\nsecond line" in json.loads(line)["exception"]


FORGED = 'x\r\n{"severity":"INFO","message":"all is well"}\x1b[2K\x9b\u2028\u202e\x7f'


@pytest.mark.parametrize("formatter", [JsonLines(), TextLines()], ids=["json", "text"])
def test_a_forged_line_stays_inside_its_field(formatter: logging.Formatter) -> None:
    line = formatter.format(record(FORGED, path=FORGED, **{"na\nme": 1}))
    assert len(line.splitlines()) == 1
    assert not set(line) & set("\r\n\x1b\x9b\u2028\u202e\x7f")


def test_a_traceback_as_text_is_indented_and_cannot_begin_a_line() -> None:
    try:
        raise ValueError("x\n2026-01-01T00:00:00.000Z INFO forged")
    except ValueError:
        made = log.makeRecord("gateway.test", logging.ERROR, "f", 1, "bug", (), sys.exc_info())
    lines = TextLines().format(made).split("\n")
    assert len(lines) > 3
    assert all(line.startswith("    ") for line in lines[1:])


@pytest.mark.parametrize("formatter", [JsonLines(), TextLines()], ids=["json", "text"])
@given(message=st.text(st.characters(codec=None)), value=st.recursive(st.none() | st.floats() | st.integers() | st.text(st.characters(codec=None)) | st.binary(), lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec=None)), inner), max_leaves=8))  # fmt: skip
def test_whatever_is_logged_is_one_line(formatter: logging.Formatter, message: str, value: object) -> None:
    line = formatter.format(record(message.replace("%", ""), value=value))
    assert len(line.splitlines()) == 1
    line.encode("utf-8")


def test_values_are_bounded() -> None:
    found = told("m" * 100_000, text="x" * 100_000, many=list(range(1000)), deep=[[[[[[1]]]]]])
    assert len(json.dumps(found)) < 10_000
    assert found["text"].endswith("…")


def test_a_message_with_wrong_placeholders_is_still_a_line() -> None:
    assert told("one %s two %s", 1)["message"] == "one %s two %s"


def test_a_standard_error_nobody_reads_blocks_nobody_and_what_is_lost_is_counted(pipe: Pipe) -> None:
    configured = configure(Log(), descriptor=pipe.writing)
    try:
        for _ in range(3 * BACKLOG):
            log.error("x" * 500)
        assert configured.dropped > 0
        reader = threading.Thread(target=lambda: io.FileIO(pipe.reading, closefd=False).read(1 << 20))
        reader.start()
        reader.join(30)
        assert not reader.is_alive()
    finally:
        os.close(pipe.reading)
        configured.close()
        os.close(pipe.writing)


def test_a_closed_standard_error_is_survived(pipe: Pipe) -> None:
    configured = configure(Log(), descriptor=pipe.writing)
    os.close(pipe.reading)
    log.error("nobody hears this")
    configured.close()
    assert configured.dropped == 1
    os.close(pipe.writing)
