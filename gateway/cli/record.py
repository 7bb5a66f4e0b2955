"""What a command records in the audit trail: whole lines, beside those of the running gateway."""

import os
import pwd
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from gateway.audit.event import Events
from gateway.audit.file import AuditFile
from gateway.audit.model import Audit
from gateway.core.secret import Secret
from gateway.settings import Loaded


class CommandRecord:
    """The configured trail, to be opened before anything is changed: with `on_full: refuse`, what cannot be told is not done.

    A trail on standard output is the gateway's own; what commands tell goes to their standard error then.
    """

    def __init__(self, loaded: Loaded) -> None:
        """Raises typer.Exit where the trail cannot be written."""
        model = loaded.settings.audit if loaded.settings is not None else Audit()
        self._events = Events(model.mask, Secret(os.urandom(32)))
        # Never rotated from here: the running gateway does that.
        self._file = AuditFile(model.file, size=0, keep=1) if isinstance(model.file, Path) else None
        try:
            if self._file is not None:
                self._file.open()
        except OSError as error:
            print(f"{model.file}: the audit trail cannot be written: {error.strerror or 'input error'}", file=sys.stderr)
            if model.on_full == "refuse":
                print("nothing was changed (`audit.on_full: refuse`)", file=sys.stderr)
                raise typer.Exit(1) from error
            self._file = None

    def tell(self, event: str, fields: Mapping[str, Any]) -> None:
        """One event of the catalogue. Raises typer.Exit where it cannot be written any more; what it tells of has happened."""
        line = self._events.named(event, time.time(), {"operator": operator(), **fields})
        if line is None:
            raise LookupError(event)
        try:
            if self._file is None:
                print(line.decode(), end="", file=sys.stderr)
            elif self._file.append(line) < len(line):
                raise OSError
        except OSError as error:
            print(f"the change was made, and its event is not in the trail: {line.decode()}", end="", file=sys.stderr)
            raise typer.Exit(1) from error

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def operator() -> str:
    """The account that runs the command."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
