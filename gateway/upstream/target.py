"""Where an upstream is: its configured URLs, judged at load, and the addresses behind them, judged before each dial.

The address that was judged is the one that is dialled; nothing resolves a second time (CVE-2026-53708).
"""

import asyncio
import contextlib
import ipaddress
import logging
import re
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from gateway.core import addresses
from gateway.core.errors import UpstreamUnreachable
from gateway.upstream.model import Upstream

URL: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?P<rest>.*)", re.DOTALL)
AUTHORITY: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::(?P<port>[0-9]{1,5}))?")
HOST: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*")
BASE: Final = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,=:@-]+)*")
NUMERIC: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
PORTS: Final = {"http": 80, "https": 443}

FRESH: Final = 30.0
"""Seconds a DNS answer is used before it is asked for again, in the background."""
STALE: Final = 600.0
"""Seconds the last good answer is used while the resolver fails."""
MOST_ADDRESSES: Final = 8

Resolve = Callable[[str, int], Awaitable[list[str]]]
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Target:
    """One configured URL. `base` is its path without a final slash, `authority` as it stands in Host."""

    scheme: str
    host: str
    port: int
    base: str

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.authority}"

    @property
    def secure(self) -> bool:
        return self.scheme == "https"


def parse_targets(upstream: Upstream) -> tuple[Target, ...]:
    """The targets of an upstream, judged. Raises ValueError that names the fix."""
    if (upstream.url is None) == (upstream.targets is None):
        raise ValueError("give exactly one of url and targets")
    urls = [upstream.url] if upstream.url is not None else upstream.targets or []
    targets = tuple(parse_target(url) for url in urls)
    for target in targets:
        judge(target, upstream)
    if len({(target.scheme, target.base) for target in targets}) > 1:
        raise ValueError("all targets of an upstream need the same scheme and the same path")
    if len(set(targets)) < len(targets):
        raise ValueError("a target is named twice")
    return targets


def parse_target(url: str) -> Target:
    """`https://host[:port][/base]` -> Target. Raises ValueError; the URL itself is never repeated, it may hold a secret."""
    found = URL.fullmatch(url)
    if found is None or found["scheme"].lower() not in PORTS:
        raise ValueError("an upstream's URL is written like https://api.example.com or http://10.0.0.5:8080/base")
    if found["rest"]:
        raise ValueError("an upstream's URL has no query and no fragment: remove them")
    if "@" in found["authority"]:
        raise ValueError("an upstream's URL carries no user name or password: use a credential")
    scheme = found["scheme"].lower()
    parts = AUTHORITY.fullmatch(found["authority"])
    if parts is None:
        raise ValueError("an upstream's URL needs a host, and a port only as digits")
    port = int(parts["port"]) if parts["port"] else PORTS[scheme]
    if not 0 < port < 65536:
        raise ValueError("the port of an upstream's URL is not between 1 and 65535")
    base = found["path"].rstrip("/")
    if not BASE.fullmatch(base) or {".", ".."} & set(base.split("/")):
        raise ValueError("the path of an upstream's URL is plain segments: no escapes, no empty or dot segments")
    return Target(scheme, parse_host(parts["host"].lower()), port, base)


def parse_host(text: str) -> str:
    """A host name or an address in its one spelling. Raises ValueError, also for `127.1`, `2130706433` and `0x7f.1`."""
    bare = text[1:-1] if text.startswith("[") else text
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(bare))
    if NUMERIC.fullmatch(bare.rpartition(".")[2]):
        # Resolvers read such names as addresses (CVE-2026-44430).
        raise ValueError("an address is written as four decimal numbers, like 127.0.0.1")
    if len(bare) > 253 or not HOST.fullmatch(bare):
        raise ValueError("the host of an upstream's URL is a name of ASCII letters, digits, hyphens and dots (IDNs in punycode)")
    return bare


def judge(target: Target, upstream: Upstream) -> None:
    """Raises ValueError for what needs `allow_plaintext` or `allow_private` and has not got it."""
    if not target.secure and not upstream.allow_plaintext:
        raise ValueError("http:// carries credentials readable by all: use https:// or set allow_plaintext: true")
    private = upstream.internal or upstream.allow_private
    if not private and (target.host == "localhost" or target.host.endswith(".localhost")):
        raise ValueError("localhost is a private target: set internal: true or allow_private: true")
    if not is_literal(target.host):
        return
    try:
        addresses.vet(target.host, private=private, literal=upstream.allow_private)
    except ValueError as error:
        raise ValueError(f"{error}: set internal: true or allow_private: true if it is meant") from error


def is_literal(host: str) -> bool:
    """Whether a target's host is an address rather than a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def resolve_by_system(host: str, port: int) -> list[str]:
    """All addresses of a name, in the system resolver's order. Raises OSError."""
    answers = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


class Addresses:
    """The vetted addresses of one target: asked for once, refreshed in the background, kept while the resolver fails."""

    def __init__(
        self, target: Target, *, private: bool, literal: bool, resolve: Resolve, time: Callable[[], float], fresh: float = FRESH
    ) -> None:
        self._target = target
        self._private = private
        self._resolve = resolve
        self._time = time
        self._fresh = fresh
        self._asked = 0.0
        self._answered = 0.0
        self._asking: asyncio.Task[tuple[str, ...]] | None = None
        self.known: tuple[str, ...] = ()
        self.moved: Callable[[], None] = _nobody
        """Called when `known` has become another."""
        if is_literal(target.host):
            addresses.vet(target.host, private=private, literal=literal)
            self.known = (addresses.normalise(target.host),)
            self._asked = self._answered = float("inf")

    async def current(self) -> tuple[str, ...]:
        """At least one address that may be dialled. Raises UpstreamUnreachable."""
        now = self._time()
        if self.known and now - self._answered < STALE:
            if now - self._asked >= self._fresh and self._asking is None:
                self._asking = self._ask(now)
            return self.known
        # Shielded: one request's cancellation must not take the answer from the others that wait for it.
        self._asking = self._asking or self._ask(now)
        return await asyncio.shield(self._asking)

    def _ask(self, now: float) -> "asyncio.Task[tuple[str, ...]]":
        self._asked = now
        task = asyncio.get_running_loop().create_task(self._refreshed())
        task.add_done_callback(self._answered_by)
        return task

    def _answered_by(self, task: "asyncio.Task[tuple[str, ...]]") -> None:
        self._asking = None
        if task.cancelled() or (error := task.exception()) is None:
            return
        log.warning("upstream name not resolved", extra={"host": self._target.host, "error": str(error)})

    async def _refreshed(self) -> tuple[str, ...]:
        try:
            found = await self._resolve(self._target.host, self._target.port)
        except (OSError, UnicodeError) as error:
            raise UpstreamUnreachable(f"{self._target.host} does not resolve") from error
        answer = list(dict.fromkeys(addresses.normalise(address) for address in found if self._may_be_dialled(address)))
        # Those in use first: name servers answer in another order each time, and with a part of many.
        vetted = tuple(sorted(answer, key=self._place))[:MOST_ADDRESSES]
        if not vetted:
            raise UpstreamUnreachable(f"{self._target.host} resolves to no address that may be dialled")
        self._answered = self._time()
        if vetted != self.known:
            self.known = vetted
            self.moved()
        return vetted

    def _place(self, address: str) -> int:
        """Where an address stood in the answer before, behind it if nowhere."""
        return self.known.index(address) if address in self.known else len(self.known)

    def _may_be_dialled(self, address: str) -> bool:
        try:
            addresses.vet(address, private=self._private, literal=False)
        except ValueError as error:
            log.warning("upstream address refused", extra={"host": self._target.host, "error": str(error)})
            return False
        return True


def _nobody() -> None:
    """Told when nobody asked to be."""
