"""The audit trail as commands read it."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

from gateway.audit.reading import Reading
from gateway.cli.terminal import one_line
from gateway.settings import Loaded


def configured(loaded: Loaded, option: str) -> Path:
    """The configured trail. Raises typer.BadParameter, naming the option that names one, where it is no file."""
    found = loaded.settings.audit.file if loaded.settings is not None else "-"
    if isinstance(found, Path):
        return found
    raise typer.BadParameter(f"the configuration writes its trail to standard output; name a file with {option}", param_hint=option)


def omitted(reading: Reading) -> str:
    """What was left out of a trail, in words; "" for nothing."""
    if not reading.skipped:
        return ""
    number, first = reading.skipped, one_line(reading.first)
    return (
        f"1 line left out: {first}" if number == 1 else f"{number} lines left out: torn, too long, or no events; the first {first}"
    )


def events(trails: Iterable[Path], reading: Reading) -> Iterator[Mapping[str, Any]]:
    """The request events of trails. Raises typer.BadParameter for a file that cannot be read."""
    for trail in trails:
        try:
            yield from reading.requests(trail)
        except OSError as error:
            raise typer.BadParameter(f"{trail}: {error.strerror or 'cannot be read'}") from error
