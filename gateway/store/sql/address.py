"""A PostgreSQL URL -> where the server listens. A URL holds no password, and options have keys of their own."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

PORT: Final = 5432


@dataclass(frozen=True, slots=True)
class Address:
    """`host` is a name, an address, or the folder of a unix socket."""

    host: str
    port: int
    database: str

    @property
    def local(self) -> bool:
        """Whether it is a unix socket, which no network sees."""
        return self.host.startswith("/")


def parse(url: str) -> Address:
    """`postgresql://host:port/name`, or `postgresql:///name?host=/run/postgresql`. Raises ValueError, not quoting it."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError("the URL of the database has no sound host or port") from error
    if "@" in parts.netloc:
        raise ValueError("a URL holds no user or password: use `username` and `password`")
    database = unquote(parts.path.removeprefix("/"))
    options = parse_qsl(parts.query, keep_blank_values=True)
    host = options[0][1] if [name for name, _ in options] == ["host"] and not parts.hostname else parts.hostname
    known = not options or (host is not None and host.startswith("/"))
    if parts.scheme != "postgresql" or not host or not known or not database or "/" in database or parts.fragment:
        raise ValueError("a database URL is written like postgresql://host:5432/name or postgresql:///name?host=/run/postgresql")
    return Address(host, port or PORT, database)
