"""What two rooms share without knowing each other. `build.py` hands the implementations in."""

from collections.abc import Awaitable, Mapping
from typing import Any, Final, Protocol

from gateway.core.decision import Permit
from gateway.core.exchange import Spent
from gateway.core.message import Inbound, Outbound, Request, Response
from gateway.core.obligations import Obligations, Shaped
from gateway.core.pace import Pace
from gateway.core.principal import Identity, Principal
from gateway.core.secret import Secret


class Clock(Protocol):
    """Time, handed in."""

    def now(self) -> float:
        """Unix time in seconds."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...


class SecretSource(Protocol):
    """One referenced secret, whose value may change while running (a replaced file)."""

    @property
    def name(self) -> str:
        """Where it comes from, for messages: `env:NAME`, `file:PATH`. Never the value."""
        ...

    def current(self) -> Secret:
        """The value now. Raises DependencyDown when there is none."""
        ...


class Fetched:
    """An answer of the control plane's HTTP client. Header names lower case."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class Fetch(Protocol):
    """The control plane's HTTP client: capped, timed, never following redirects."""

    async def get(
        self,
        url: str,
        *,
        limit: int,
        timeout: float,
        allow_plaintext: bool = False,
        allow_private: bool = False,
        ca: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Fetched:
        """GET `url`, at most `limit` bytes in `timeout` seconds, with further header fields, which may hold secrets.

        Raises DependencyDown.
        """
        ...

    async def post(
        self,
        url: str,
        *,
        body: bytes,
        content_type: str,
        headers: Mapping[str, str] | None = None,
        limit: int,
        timeout: float,
        allow_plaintext: bool = False,
        allow_private: bool = False,
        ca: str | None = None,
        identity: tuple[str, str] | None = None,
    ) -> Fetched:
        """POST `body` to `url` in the same way.

        `identity` are the paths of a certificate chain and of its key in PEM, shown to a server that asks. Raises DependencyDown;
        whether the server then did what it was asked to is not known, unless it could not be reached at all.
        """
        ...


class RevokingFetch(Fetch, Protocol):
    """The same, which also deletes."""

    async def delete(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        limit: int,
        timeout: float,
        allow_plaintext: bool = False,
        allow_private: bool = False,
        ca: str | None = None,
        body: bytes | None = None,
    ) -> Fetched:
        """DELETE `url`, with a JSON document where its server wants one. Raises DependencyDown as `post` does."""
        ...


class Grant(Protocol):
    """Turns a verified identity into a principal: bindings give it roles, roles give it permissions."""

    def __call__(self, identity: Identity) -> Principal: ...


class Injector(Protocol):
    """Adds an upstream credential to an outbound request; the last stage before sending."""

    name: str | None
    sets: frozenset[bytes]
    """Header fields it sets, lower case: removed from every request before, in any spelling."""

    def inject(self, outbound: Outbound, permit: Permit) -> Awaitable[str | None] | None:
        """What to wait for until the credential is there, None when it is there already; it gives the name of the one it became.

        Raises DependencyDown when the credential cannot be had, and Ungranted when there is none for this principal or for what
        it asks: never an unauthenticated forward.
        """
        ...


class Renewing(Protocol):
    """An injector's other half, where its credential may end before its time."""

    def __call__(self, outbound: Outbound, permit: Permit) -> Awaitable[bool]:
        """Whether what an upstream refused to `outbound` was replaced: then it is worth sending once more."""
        ...


class Transport(Protocol):
    """Carries an outbound request to its upstream and brings the answer's head back."""

    async def send(self, outbound: Outbound) -> Response: ...
    async def upgrade(self, outbound: Outbound, protocols: tuple[bytes, ...]) -> Response:
        """Ask for a WebSocket, offering subprotocols. What the answer `switched` is to be taken over or abandoned."""
        ...


class Shaping(Protocol):
    """Makes of an upstream's answer what the obligations of a permit let the client see."""

    def prepare(self, outbound: Outbound, obligations: Obligations, *, switches: bool) -> None:
        """Ask for an answer that can be looked into; `switches` says that it asks for another protocol.

        Raises Withheld where none will come, DependencyDown where a key is missing.
        """
        ...

    async def shape(self, response: Response, obligations: Obligations, permit: Permit, told: Shaped) -> Response:
        """The answer as it may be seen. Raises Withheld and what breaks the answer; the upstream's connection is let go then."""
        ...


class Limits(Protocol):
    """All limits of one stage of one route, spent together or not at all."""

    def take(self, request: Request, principal: Principal | None) -> Spent | None:
        """Spend without waiting; None, with nothing spent, where one has to wait, see `spend`. Raises LimitExceeded."""
        ...

    async def spend(self, request: Request, principal: Principal | None) -> Spent:
        """Raises LimitExceeded, or DependencyDown when the store is gone and the mode is `closed`."""
        ...


CLOCKS: Final = 60.0
"""Seconds that clocks of replicas may differ. What was used is remembered so much longer than one clock accepts it."""


class Once(Protocol):
    """Remembers what was used, so that it is used once: proofs, codes, logins."""

    async def first(self, key: str, seconds: float) -> bool:
        """True the first time within `seconds`, False after. `key` begins with what it is of: only a digest of it is kept.

        Raises DependencyDown where that cannot be told: what was to be used is refused then.
        """
        ...

    async def used(self, key: str) -> bool:
        """Whether `first` would say False, without using it. Raises DependencyDown where that cannot be told."""
        ...


class Tally(Protocol):
    """Counts what may be used so many times."""

    async def spend(self, key: str, most: int, seconds: float) -> bool:
        """Count one use: whether it was one of the first `most` within `seconds` of the first.

        Raises DependencyDown where that cannot be told: it is one too many then.
        """
        ...


class Metrics(Protocol):
    """Counters and gauges for what happens beside the straight path. Names as in docs/reference/metrics.md."""

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None: ...
    def gauge(self, name: str, value: float, /, **labels: str) -> None: ...


class Tunnel(Protocol):
    """What a connection carries that was given away, as the listener sees it."""

    def check(self, now: float) -> None:
        """A tick of the clock, in the event loop's seconds."""
        ...

    def leave(self) -> None:
        """The listener takes no more: end soon, in order."""
        ...

    def cut(self) -> None:
        """End now."""
        ...


class Given(Protocol):
    """A client's connection given away after a 101. `transport`, asyncio's, belongs to whoever took it."""

    transport: Any

    def patience(self) -> Pace:
        """How slowly the client may take what waits for it when nothing more will be written."""
        ...

    def carry(self, tunnel: Tunnel) -> None:
        """Tell the tunnel what the listener decides, from now on."""
        ...

    def done(self) -> None:
        """The tunnel is no more."""
        ...


class Writer(Protocol):
    """The client's connection, as the data path sees it. The server implements it; `app.py` is its only user."""

    def interim(self, head: bytes) -> None:
        """Write an interim answer's head, in wire form, where there is still time and the client knows such answers."""
        ...

    async def start(self, response: Response, body: bytes, more: bool) -> None:
        """Write the head and the first piece of the body together; frames the body itself. Returns when it may go on."""
        ...

    def whole(self, response: Response) -> bool:
        """Write an answer that is complete; whether there is room for more. Else `drained`."""
        ...

    async def drained(self) -> None:
        """Wait until the client has read enough of what was written."""
        ...

    async def write(self, chunk: bytes) -> None:
        """Write one more piece; waits while the client reads slowly."""
        ...

    def end(self) -> None:
        """The body is complete."""
        ...

    def switch(self, response: Response) -> Given | None:
        """Write a 101 and give the connection away; None, with nothing written, where the client did not wait for it."""
        ...

    def abort(self) -> None:
        """The answer cannot be completed: end the connection so that the client sees it is cut off."""
        ...


class App(Protocol):
    """The data path as the server sees it: one call a request."""

    async def __call__(self, inbound: Inbound, writer: Writer) -> None: ...
