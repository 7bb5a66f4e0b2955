"""A Redis (or Valkey) server: where it is, whom it is shown, how a connection to it begins."""

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from gateway.config.regular import same_if_any
from gateway.core.errors import DependencyDown
from gateway.core.ports import SecretSource
from gateway.store.resp import Command, Connection, StoreError, greet

CONNECT_TIMEOUT: Final = 2.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server listens: a path of a unix socket, or host and port."""

    host: str
    port: int
    path: str
    tls: bool
    database: int


def parse(url: str) -> Address:
    """`redis://host:port/db`, `rediss://…` (TLS) or `unix:///path?db=0`. Raises ValueError, which never quotes the URL."""
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise ValueError("a URL holds no user or password: use `username` and `password`")
    if parts.scheme == "unix" and not parts.netloc and parts.path:
        return Address("", 0, parts.path, False, number(parse_qs(parts.query).get("db", ["0"])[0]))
    if parts.scheme not in {"redis", "rediss"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("a Redis URL is written like redis://host:6379/0, rediss://host:6379/0 or unix:///run/redis.sock")
    return Address(parts.hostname, parts.port or 6379, "", parts.scheme == "rediss", number(parts.path.strip("/") or "0"))


def number(text: str) -> int:
    """A database number."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 4):
        raise ValueError("a Redis database is a number")
    return int(text)


def tls_context(ca: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    """Verifies the server against `ca` (else the system's), shows our certificate. Raises ValueError for unusable files."""
    try:
        with same_if_any(ca) as authorities, same_if_any(certificate) as chain, same_if_any(key) as private:
            context = ssl.create_default_context(cafile=authorities)
            if chain is not None:
                context.load_cert_chain(chain, private)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"unusable TLS files for Redis: {error.strerror or type(error).__name__}") from error
    return context


class Server:
    """One server and our name there. The password is read at each connection, so that a replaced secret is picked up."""

    def __init__(
        self,
        url: str,
        *,
        username: str | None = None,
        password: SecretSource | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Raises ValueError for a URL that is none of ours."""
        self._address = parse(url)
        self._tls = tls if tls is not None or not self._address.tls else tls_context(None, None, None)
        self._username = username
        self._password = password

    @property
    def name(self) -> str:
        """For operators."""
        return self._address.path or f"{self._address.host}:{self._address.port}"

    async def connect(self, *commands: Command) -> Connection:
        """Connect, authenticate, choose the database, and send `commands` with it. Raises StoreError."""
        address = self._address
        loop = asyncio.get_running_loop()

        def protocol() -> Connection:
            return Connection(CONNECT_TIMEOUT)

        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                if address.path:
                    _, connection = await loop.create_unix_connection(protocol, address.path)
                else:
                    _, connection = await loop.create_connection(protocol, address.host, address.port, ssl=self._tls)
        except (OSError, TimeoutError) as error:
            raise StoreError(f"cannot connect: {type(error).__name__}") from error
        try:
            await greet(connection, [*self._greeting(), *commands])
        except BaseException:
            connection.fail("refused")
            raise
        return connection

    def _greeting(self) -> list[Command]:
        commands: list[Command] = []
        if self._password is not None:
            try:
                password = self._password.current().reveal()
            except DependencyDown as error:
                raise StoreError("no password") from error
            commands.append(("AUTH", self._username, password) if self._username else ("AUTH", password))
        if self._address.database:
            commands.append(("SELECT", self._address.database))
        return commands
