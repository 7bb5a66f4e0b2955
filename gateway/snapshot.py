"""The compiled configuration: frozen, whole, read once a request. No logic beyond lookup."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from gateway.authn.gate import Gate
from gateway.authz.policy import RoutePolicy
from gateway.authz.rule import Rule
from gateway.core.exchange import Exchange
from gateway.core.message import Request, Response
from gateway.core.ports import Injector, Limits, Metrics, Renewing, Shaping, Transport
from gateway.detection.blocks import Block
from gateway.detection.ledger import Entry
from gateway.detection.watch import Watch
from gateway.edge.cors import Cors
from gateway.edge.finish import Finish
from gateway.edge.intake import Intake
from gateway.edge.protected_resource import ProtectedResource
from gateway.edge.validation import Validation
from gateway.edge.websocket import Handshakes
from gateway.ratelimit.stated import Stated
from gateway.routing import Parameters, Table
from gateway.scrub.scrubbing import Scrubbing
from gateway.upstream.fields import RequestFields
from gateway.websocket.places import Places
from gateway.websocket.tunnel import Bounds


@dataclass(frozen=True, slots=True)
class Route:
    """Everything a request on one pattern needs. `answer` is set where the gateway itself answers, `asked` where it
    has to know whom."""

    name: str | None
    pattern: str
    methods: tuple[str, ...] | None
    finish: Finish
    cors: Cors
    address_limits: Limits
    answer: Callable[[Request], Response] | None = None
    service: "Service | None" = None
    asked: Callable[[Request, Exchange], Awaitable[Response]] | None = None
    resource: ProtectedResource | None = None
    """What its challenges point to, where clients are told where to get a token."""


@dataclass(frozen=True, slots=True)
class Sockets:
    """What a route that takes WebSockets needs besides: which handshakes, how many tunnels, what goes through one."""

    handshakes: Handshakes
    places: Places
    bounds: Bounds


@dataclass(frozen=True, slots=True)
class Service:
    """The part of a route that leads to an upstream: who may, how often, what, with which credential, where to."""

    upstream: str
    parameters: Parameters
    gate: Gate
    policy: RoutePolicy
    principal_limits: Limits
    validation: Validation
    fields: RequestFields
    injector: Injector
    transport: Transport
    stated: Stated
    inspected: int
    """Bytes up to which a body is read for conditions."""
    metrics: Metrics
    renew: Renewing | None = None
    """None where the credential cannot end before its time."""
    sockets: Sockets | None = None
    shaping: Shaping | None = None
    """None where no rule says what may be seen of answers."""
    scrubbing: Scrubbing | None = None
    """None where no credential is injected."""


@dataclass(frozen=True, slots=True)
class Door:
    """One listener's way in."""

    name: str
    intake: Intake
    table: Table[Route]
    finish: Finish
    watch: Watch
    """Whom is refused for guessing."""
    blocked: dict[str, Block]
    """Those who are refused now: while there is nobody, the watch is not asked."""
    tried: dict[str, Entry]
    """Identities for which somebody failed: while there is none, no success is told."""
    ensure_room: Callable[[], None]
    """Raises Unavailable while the audit trail takes no more events."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One generation of the configuration."""

    generation: str
    doors: Mapping[str, Door]
    routes: list[Route]
    rules: list[Rule] = field(default_factory=list)
    """All that policies say: named once more, to be let go of one by one."""

    def retire(self) -> list[object]:
        """Take apart what is not live any more, and give the pieces. A request that came in with it has its route and needs no
        other; neither the longest of them nor a connection that remembers one may keep all the rest."""
        trees = [tree for door in self.doors.values() for tree in door.table.clear()]
        pieces: list[object] = [*self.rules, *self.routes, *trees]
        self.rules.clear()
        self.routes.clear()
        return pieces


class Current:
    """Where the one live snapshot is held: a reload is one store to `snapshot`."""

    __slots__ = ("snapshot",)

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
