"""One door a listener: the table of its routes, what the gateway itself answers there, and what it refuses."""

import json
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, Protocol

from gateway.authn.model import WAIVED, issuer_of
from gateway.authn.own.verifier import SCHEME, Own
from gateway.config.document import Steps
from gateway.core.errors import MethodNotAllowed, NoRoute
from gateway.core.exchange import Exchange
from gateway.core.message import Request, Response
from gateway.core.ports import Injector
from gateway.credentials.signed_jwt import SignedJwtInjector
from gateway.edge.cors import Cors
from gateway.edge.finish import Finish
from gateway.edge.intake import Intake
from gateway.edge.model import Listen, WebSocket
from gateway.edge.protected_resource import ProtectedResource
from gateway.edge.redirect import Redirect
from gateway.edge.security_txt import PATH as SECURITY_TXT
from gateway.edge.security_txt import SecurityText
from gateway.edge.websocket import Handshakes
from gateway.portals import Portal
from gateway.ratelimit.limiter import Limiter
from gateway.resources import Resources
from gateway.routing import ConflictError, Entry, Leaf, Table, parse
from gateway.settings import RouteModel, Settings
from gateway.snapshot import Door, Route, Sockets
from gateway.websocket.places import Places
from gateway.websocket.tunnel import Bounds

Answer = Callable[[Request], Response]
Note = Callable[[Steps, str], None]
KeySet = Callable[[], list[dict[str, str]]]
"""Public keys that somebody signs with, as they are now."""
Asked = Callable[[Request, Exchange], Awaitable[Response]]
Tools = Callable[[Sequence[str]], Asked]
"""Makes what answers for the routes of these names."""
Rows = list[tuple[Entry[Route], RouteModel]]
REDIRECT: Final = "redirect_http"
TOOLS: Final = "tools"
EVERY_PATH: Final = "/**"


class Attempt(Protocol):
    """Gives what is made, or None with the complaint noted at a place."""

    def __call__(self, path: Steps, make: Callable[[], Any]) -> Any: ...


class Doors:
    """Makes the doors of one configuration."""

    def __init__(
        self,
        settings: Settings,
        resources: Resources,
        limits: Limiter,
        *,
        finish_of: Callable[[Cors], Finish],
        attempt: Attempt,
        note: Note,
    ) -> None:
        self._settings = settings
        self._resources = resources
        self._limits = limits
        self._finish_of = finish_of
        self._at = attempt
        self._note = note
        self._key_sets: Sequence[KeySet] = ()
        self._tools: Tools | None = None
        self._protected: Sequence[ProtectedResource] = ()
        self._portals: Sequence[Portal] = ()

    def build(
        self,
        rows: Rows,
        key_sets: Sequence[KeySet] = (),
        tools: Tools | None = None,
        protected: Iterable[ProtectedResource] = (),
        portals: Sequence[Portal] = (),
    ) -> Mapping[str, Door]:
        """All doors by name; `rows` are the routes that could be built, `key_sets` what is published on each door, `tools` what
        makes a door's catalogue of its routes, where there is to be one, `protected` the resources whose metadata is told,
        `portals` what else the gateway answers below its prefix."""
        self._key_sets, self._tools, self._protected, self._portals = key_sets, tools, list(protected), portals
        doors: dict[str, Door] = {}
        for name, listen in self._settings.served().items():
            mine = [entry for entry, model in rows if model.match.listeners is None or name in model.match.listeners]
            doors[name] = self._door(name, listen, [*mine, *self._own(), *self._catalogue(mine)])
            if listen.redirect_http is not None:
                doors[f"{name}.{REDIRECT}"] = self._door(f"{name}.{REDIRECT}", listen, [self._redirect(listen)])
        return doors

    def _door(self, name: str, listen: Listen, entries: list[Entry[Route]]) -> Door:
        finish = self._finish_of(Cors(None))
        missing = self._answering(None, missed, finish)
        try:
            table = Table(entries, missing=missing, refuse=self._refused)
        except ConflictError as error:
            self._note(self._place_of(error), str(error))
            table = Table[Route]([], missing=missing, refuse=self._refused)
        exempt = (*listen.trusted_proxies, *self._settings.detection.never_block)
        watch = self._resources.guarding.watch(self._settings.detection, exempt)
        return Door(name, Intake(name, listen), table, finish, watch, watch.blocked, watch.tried, self._resources.ensure_room)

    def _place_of(self, error: ConflictError) -> Steps:
        for index, route in enumerate(self._settings.routes):
            if isinstance(error.route, Route) and route.name == error.route.name:
                return ("routes", index, "match")
        return ("routes",)

    def _answering(self, name: str | None, answer: Answer | None, finish: Finish, asked: Asked | None = None) -> Route:
        """A place where the gateway itself answers: under the default limits, without CORS."""
        return Route(
            name=name,
            pattern="",
            methods=None,
            finish=finish,
            cors=Cors(None),
            address_limits=self._limits.unmatched(),
            answer=answer,
            asked=asked,
        )

    def _refused(self, leaf: Leaf[Route]) -> Route:
        """What answers a known path with a method it does not have: with the CORS fields the path has (CONTRACT 2)."""
        allow = ", ".join(sorted(leaf.methods)).encode("ascii")
        finish = next((route.finish for route in leaf.methods.values() if route.cors.answers), self._finish_of(Cors(None)))

        def refuse(request: Request) -> Response:
            raise MethodNotAllowed(request.method, headers=((b"allow", allow),))

        return self._answering(None, refuse, finish)

    def _own(self) -> Iterator[Entry[Route]]:
        """The gateway's own public paths."""
        model = self._settings.security_txt
        text: SecurityText | None = self._at(("security_txt",), partial(SecurityText, model)) if model is not None else None
        if text is not None:
            clock = self._resources.clock

            def answer(_: Request, text: SecurityText = text) -> Response:
                return text.response(clock.now())

            yield Entry(parse(SECURITY_TXT), ("GET",), None, self._answering("security_txt", answer, self._finish_of(Cors(None))))

        if self._key_sets:
            sets, path = self._key_sets, f"{self._settings.portal.prefix}/jwks.json"

            def keys(_: Request) -> Response:
                return published(sets)

            yield Entry(parse(path), ("GET",), None, self._answering("jwks", keys, self._finish_of(Cors(None))))

        for resource in self._protected:
            yield self._told(resource)

        yield from self._portal()

    def _told(self, resource: ProtectedResource) -> Entry[Route]:
        """A resource's metadata (RFC 9728 3)."""

        def metadata(_: Request) -> Response:
            return resource.metadata()

        return Entry(parse(resource.path), ("GET",), None, self._answering("resource", metadata, self._finish_of(Cors(None))))

    def _portal(self) -> Iterator[Entry[Route]]:
        """What the gateway answers below its prefix."""
        finish = self._finish_of(Cors(None))
        for place in (place for portal in self._portals for place in portal.places()):
            path = place.path if place.path.startswith("/") else f"{self._settings.portal.prefix}/{place.path}"
            route = self._answering(f"portal.{place.path.lstrip('/').partition('/')[0]}", None, finish, place.asked)
            yield Entry(parse(path), (place.method,), None, route)

    def _catalogue(self, mine: Sequence[Entry[Route]]) -> Iterator[Entry[Route]]:
        """What tells principals which of a door's routes they may use."""
        model = self._settings.portal.tools
        if self._tools is None or model is None:
            return
        route = Route(
            name=TOOLS,
            pattern="",
            methods=("GET",),
            finish=self._finish_of(Cors(None)),
            cors=Cors(None),
            address_limits=self._limits.stage(model.rate_limits, route=TOOLS, subject=False),
            asked=self._tools([entry.route.name or "" for entry in mine]),
        )
        yield Entry(parse(f"{self._settings.portal.prefix}/{TOOLS}"), route.methods, None, route)

    def _redirect(self, listen: Listen) -> Entry[Route]:
        """Every request of the plain-HTTP port: to https for reading, refused for the rest (CONTRACT 2)."""
        return Entry(parse(EVERY_PATH), None, None, self._answering(REDIRECT, Redirect(listen), self._finish_of(Cors(None))))


def sockets(chosen: WebSocket | bool, places: Places, attempt: Callable[[Callable[[], Any]], Any]) -> Sockets | None:
    """What a route that takes WebSockets needs besides; None where it takes none, or one of its origins is none."""
    model = WebSocket() if chosen is True else chosen
    if not isinstance(model, WebSocket):
        return None
    handshakes: Handshakes | None = attempt(partial(Handshakes, model))
    bounds = Bounds(
        idle=model.idle_timeout,
        message=model.max_message,
        connections=model.connections,
        per_principal=model.per_principal,
    )
    return None if handshakes is None else Sockets(handshakes, places, bounds)


def key_sets(credentials: Iterable[Injector | None], own: Own | None) -> list[KeySet]:
    """What is to be published: the keys of those credentials that sign tokens, and of our own tokens."""
    signing = [each.published for each in credentials if isinstance(each, SignedJwtInjector)]
    return signing if own is None else [own.keys.published, *signing]


def protected(settings: Settings) -> dict[str, ProtectedResource]:
    """The protected resources by name, each with the issuers whose tokens its routes accept."""
    entries, found = settings.authentication.named(), {}
    for name, model in settings.resources.items():
        accepted = [scheme for route in settings.routes if route.resource == name for scheme in route.authenticate or ()]
        others = dict.fromkeys(issuer_of(scheme) for scheme in accepted if scheme != SCHEME)
        servers = [entries[issuer].issuer for issuer in others if issuer in entries]
        if settings.tokens is not None and SCHEME in accepted:
            servers.append(settings.tokens.issuer)
        found[name] = ProtectedResource(model, [server for server in servers if server != WAIVED])
    return found


def published(sets: Sequence[KeySet]) -> Response:
    """The public keys of all credentials that sign tokens, each once (RFC 7517 5)."""
    keys = {key["kid"]: key for each in sets for key in each()}
    body = json.dumps({"keys": list(keys.values())}).encode()
    return Response(200, [(b"content-type", b"application/jwk-set+json"), (b"cache-control", b"public, max-age=300")], body)


def missed(request: Request) -> Response:
    raise NoRoute(request.path)
