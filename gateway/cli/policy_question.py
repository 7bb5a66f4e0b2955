"""The request that somebody asks about on the command line."""

from ipaddress import ip_address
from pathlib import Path
from typing import Any

import typer
from pydantic import ValidationError

from gateway.authz import cases
from gateway.authz.cel.values import NANOSECONDS, Timestamp
from gateway.authz.model import Case
from gateway.config.regular import content
from gateway.core.strict_json import InvalidJson, parse


def question(method: str, path: str, *, host: str, address: str, now: str, headers: list[str], body: Path | None = None) -> Case:
    """The request in question. Raises typer.BadParameter."""
    wanted = {"request": f"{method.upper()} {path}", "host": host, "headers": _fields(headers)}
    stated = (
        ({"now": now} if now else {}) | ({"from": address} if address else {}) | ({} if body is None else {"body": _json(body)})
    )
    moment(now or cases.NOW)
    try:
        ip_address(address or "::")
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--from") from error
    try:
        return Case.model_validate(wanted | stated)
    except ValidationError as error:
        raise typer.BadParameter("a question is a method and a path: GET /repos/acme/tools") from error


def moment(text: str) -> float:
    """The time that `--now` states, as Unix time. Raises typer.BadParameter."""
    try:
        return Timestamp.parse(text).nanoseconds / NANOSECONDS
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--now") from error


def _json(file: Path) -> Any:
    """Read as the gateway reads a body: what it cannot inspect would have no value there."""
    try:
        return parse(content(file))
    except InvalidJson as error:
        raise typer.BadParameter(f"{file}: no JSON that the gateway inspects ({error})", param_hint="--body") from error
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror or 'cannot be read'}", param_hint="--body") from error


def _fields(lines: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise typer.BadParameter("a header field is written 'Name: value'", param_hint="--header")
        found.setdefault(name.strip().lower(), []).append(value.strip())
    return found
