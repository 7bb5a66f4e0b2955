"""URLs anywhere in the configuration: no userinfo in any, and those of exporters and stores well formed."""

import ipaddress
import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.config.document import Steps
from gateway.core import addresses
from gateway.core.errors import Problem
from gateway.settings.rules.draft import Draft

USERINFO: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#\s]*@")
EXPORTS: Final[tuple[Steps, ...]] = (("telemetry", "traces", "otlp"), ("telemetry", "metrics", "otlp"))
REDIS: Final[Steps] = ("rate_limits", "store", "redis", "url")


def check(draft: Draft) -> Iterator[Problem]:
    for path in _with_userinfo(draft.source.value, ()):
        # Upstreams' own URLs are judged where they are read.
        if path[0] != "upstreams" or path[2] not in {"url", "targets"}:
            yield draft.error(path, "a URL must not carry a user name or password", "use a secret reference")
    for path in EXPORTS:
        yield from _schemed(draft, path, {"http", "https"}, "http://host:4318")
    yield from _schemed(draft, REDIS, {"redis", "rediss", "unix"}, "redis://host:6379/0 or rediss://host:6379/0")


def private_target(url: str) -> str:
    """Why a URL's host needs `allow_private`, "" when it does not, as far as it can be told without asking DNS."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return "localhost is a private target"
    try:
        literal = ipaddress.ip_address(host)
    except ValueError:
        return ""
    return "" if addresses.is_public(str(literal)) else f"{literal} is not a public address"


def _with_userinfo(value: Any, at: Steps) -> Iterator[Steps]:
    if isinstance(value, str):
        if USERINFO.match(value):
            yield at
        return
    steps: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, child in steps:
        yield from _with_userinfo(child, (*at, step))


def _schemed(draft: Draft, path: Steps, schemes: set[str], example: str) -> Iterator[Problem]:
    url = draft.value(*path)
    if isinstance(url, str) and (url.partition("://")[0] not in schemes or not url.partition("://")[2]):
        yield draft.error(path, f"a URL is needed here, like {example}")
