"""The audit trail as commands read it."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

from gateway.audit.reading import Reading
from gateway.settings import Loaded


def configured(loaded: Loaded, option: str) -> Path:
    """The configured trail. Raises typer.BadParameter, naming the option that names one, where it is no file."""
    found = loaded.settings.audit.file if loaded.settings is not None else "-"
    if isinstance(found, Path):
        return found
    raise typer.BadParameter("the configured trail is no file: name one", param_hint=option)


def events(trails: Iterable[Path], reading: Reading) -> Iterator[Mapping[str, Any]]:
    """The request events of trails. Raises typer.BadParameter for a file that cannot be read."""
    for trail in trails:
        try:
            yield from reading.requests(trail)
        except OSError as error:
            raise typer.BadParameter(f"{trail}: {error.strerror or 'cannot be read'}") from error
