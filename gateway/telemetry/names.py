"""What telemetry must know of the configuration to name things: patterns of routes, origins of upstreams, secret parameters."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

from gateway.telemetry.redact import QUERY_NAMES

PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an upstream is: scheme, host and port, without userinfo, path or query."""

    scheme: str
    host: str
    port: int

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if PORTS.get(self.scheme) == self.port else f":{self.port}")


def origin(url: str) -> Origin:
    """The origin of a URL that the configuration has already judged."""
    parts = urlsplit(url)
    return Origin(parts.scheme, parts.hostname or "", parts.port or PORTS.get(parts.scheme, 0))


@dataclass(frozen=True, slots=True)
class Names:
    """Names of one configuration: `routes` maps a route's name to its path pattern, `hidden` are query parameters.

    `http2` names the upstreams that are spoken to in HTTP/2.
    """

    routes: Mapping[str, str] = field(default_factory=dict)
    upstreams: Mapping[str, Origin] = field(default_factory=dict)
    hidden: frozenset[str] = QUERY_NAMES
    http2: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, routes: Mapping[str, str], upstreams: Mapping[str, str], hidden: Iterable[str] = (), http2: Iterable[str] = ()
    ) -> Self:
        """`upstreams` maps names to URLs; `hidden` names the query parameters that credentials travel in."""
        origins = {name: origin(url) for name, url in upstreams.items()}
        return cls(dict(routes), origins, QUERY_NAMES | {name.lower() for name in hidden}, frozenset(http2))
