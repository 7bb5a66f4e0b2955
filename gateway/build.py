"""Settings and resources -> a snapshot: everything a request would otherwise look up is made here, once.

All problems are collected and raised together, each with its place; `check` runs the same code and starts nothing.
"""

from functools import partial
from typing import Any, Final

from gateway.authn.authentication import Authentication
from gateway.authn.gate import Gate
from gateway.authn.issuers import strong_secret
from gateway.authn.strength import SHORTEST, StrongSecret
from gateway.authz.compile import compile_parts
from gateway.authz.document import PolicyDocuments, from_documents
from gateway.authz.parts import Compiled, assemble, terms
from gateway.authz.policy import Policies, RouteFact
from gateway.config.document import Steps
from gateway.connections import Connections
from gateway.core.errors import ConfigError
from gateway.core.ports import Injector
from gateway.core.principal import OWN_ISSUERS
from gateway.credentials import injectors
from gateway.doors import TOOLS, Doors, Rows, Tools, key_sets, protected, sockets
from gateway.edge.cors import Cors
from gateway.edge.finish import Finish
from gateway.edge.media import INSPECTED
from gateway.edge.model import Validate
from gateway.edge.security_headers import SecurityHeaders
from gateway.edge.validation import NO_VALIDATION, Validation, read
from gateway.facts import facts, methods_of
from gateway.kept import secret_sources
from gateway.noting import Noting
from gateway.portals import Portal, connections, portals, tokens
from gateway.ratelimit.limiter import Limiter
from gateway.ratelimit.stated import Stated
from gateway.resources import Resources
from gateway.routing import Entry, Parameters, Pattern, parse
from gateway.scrub.scrubbing import Scrubbing
from gateway.settings import Loaded, RouteModel, Settings, credentials_of
from gateway.snapshot import Route, Service, Snapshot
from gateway.stores import ONE
from gateway.upstream.fields import UNSETTABLE_BY_RULES, RequestFields
from gateway.upstream.model import Scrub
from gateway.upstream.owned import HANDSHAKE, OWNED, Names

NOTHING: Final = Validate()


def build(loaded: Loaded, resources: Resources) -> Snapshot:
    """The snapshot of a configuration. Raises ConfigError with every problem; the caller then abandons the resources."""
    if loaded.settings is None or loaded.errors:
        raise ConfigError(loaded.problems)
    builder = Builder(loaded, loaded.settings, resources)
    snapshot = builder.snapshot()
    errors = [problem for problem in builder.problems if problem.severity == "error"]
    if snapshot is None or errors:
        raise ConfigError(builder.problems)
    return snapshot


class Builder(Noting):
    """One build. Each part notes its problems and goes on, so that all are told at once."""

    def __init__(self, loaded: Loaded, settings: Settings, resources: Resources) -> None:
        super().__init__(loaded)
        self._settings = settings
        self._resources = resources
        self.policies: Policies | None = None
        self.documents = PolicyDocuments()
        self.compiled: Compiled | None = None
        self.redaction_key: StrongSecret | None = None

    def snapshot(self) -> Snapshot | None:
        settings = self._settings
        self._at(("state", "store"), lambda: self._resources.guarding.share(settings.state, self._loaded.secrets))
        self._once = self._at(("state", "store"), lambda: self._resources.stores.once(settings.state, self._loaded.secrets))
        database = self._at(("database",), lambda: self._resources.stores.database(settings.database, self._loaded.secrets))
        self._issuing = self._resources.issuing(settings, self._loaded.secrets)
        authentication = self._authentication(database)
        if (operators := settings.admin.operators) is not None:
            judged = partial(strong_secret, self._loaded.secrets, operators.key, "admin.operators.key", SHORTEST)
            self._at(("admin", "operators", "key"), judged)
        headers = self._at(("security_headers",), lambda: SecurityHeaders(settings.security_headers))
        self._connections = Connections(settings, self._resources, self._loaded.secrets, self._at)
        self._workshop = self._resources.workshop(self._loaded, self._resources.grants(self._loaded, database))
        self._credentials = {name: self._injector(name) for name in settings.credentials}
        self.redaction_key = self._at(("redaction", "key"), self._redaction_key)
        self.policies = policies = self._policies(authentication)
        limiter = self._limiter(policies)
        self._cors = {name: self._at(("cors", name), partial(Cors, model)) for name, model in settings.cors.items()}
        if policies is None or authentication is None or limiter is None or headers is None:
            return None
        self._routes_policies, self._authn, self._limits, self._headers = policies.route, authentication, limiter, headers
        self._at(("state", "store"), lambda: self._resources.stores.listen(settings.bell(), self._loaded.secrets))
        key = self.redaction_key
        self._shaping = self._resources.shaping(policies.rules, key.current if key is not None else None)
        self._grant, self._stated = policies.grant, Stated(limiter)
        self._protected = protected(settings)
        rows = [row for index, route in enumerate(settings.routes) if (row := self._route(index, route)) is not None]
        made = Doors(settings, self._resources, limiter, finish_of=self._finish, attempt=self._at, note=self._note)
        tools = self._at(("portal", "tools"), lambda: self._tools(rows))
        connected = self._at(("providers",), lambda: self._connectable(authentication, database))
        own = portals(authentication.logins, connected, *tokens(*self._served(authentication)))
        doors = made.build(rows, key_sets(self._credentials.values(), authentication.own), tools, self._protected.values(), own)
        return Snapshot(self._loaded.generation, doors, [entry.route for entry, _ in rows], list(policies.rules))

    # Parts

    def _connectable(self, authentication: Authentication, database: Any) -> Portal | None:
        of = self._resources
        return connections(self._settings, authentication.logins, of, lambda: of.office(self._loaded, database))

    def _redaction_key(self) -> StrongSecret | None:
        redaction = self._settings.redaction
        return None if redaction is None else strong_secret(self._loaded.secrets, redaction.key, "redaction.key", SHORTEST)

    def _policies(self, authentication: Authentication | None) -> Policies | None:
        issuers = OWN_ISSUERS.union(self._settings.authentication.issuers)
        credentials = [authentication.credential_headers()] if authentication is not None else []
        credentials += [injector.sets for injector in self._credentials.values() if injector is not None]
        routes, reserved = facts(self._loaded, self._settings), UNSETTABLE_BY_RULES.union(*credentials)
        self.compiled = self._compiled(routes, issuers, reserved)
        self.problems += [problem for problem in self.compiled.problems if problem not in self._loaded.problems]
        return None if self.compiled.parts is None else assemble(self.compiled.parts, routes, self._resources.clock.now)

    def _compiled(self, routes: list[RouteFact], issuers: frozenset[str], reserved: frozenset[bytes]) -> Compiled:
        """What another process has compiled already, else what this one compiles."""
        ahead, has_key = self._loaded.compiled, self._settings.redaction is not None
        asked_for = terms(routes, sorted(issuers), sorted(reserved), has_key)
        if ahead is not None and ahead.terms != asked_for:
            changed = self._loaded.problem(("policies",), "something changed while the configuration was read", "reload once more")
            return Compiled(asked_for, None, [changed])
        if ahead is not None:
            return ahead
        self.documents = from_documents(self._loaded.policies)
        parts, problems = compile_parts(
            self.documents,
            routes=routes,
            issuers=issuers,
            reserved=Names(reserved).__contains__,
            has_key=has_key,
            now=self._resources.clock.now(),
        )
        return Compiled(asked_for, parts, problems)

    def _authentication(self, database: Any) -> Authentication | None:
        model, secrets, of, once = self._settings.authentication, self._loaded.secrets, self._resources, self._once

        def make() -> Authentication:
            keys = of.stores.key_table(model.api_keys, database, secrets)
            backing = of.stores.backing(self._settings, secrets, of.guarding.guard.signal)
            own = self._at(("tokens",), self._issuing.own)
            key = (model, secret_sources(model, secrets), id(keys), backing, id(once), self._issuing.key(own))
            return of.authentication.take(
                ONE,
                key,
                lambda: Authentication(model, of.fetch, of.clock, of.metrics, secrets, once, keys=keys, backing=backing, own=own),
            )

        made: Authentication | None = self._at(("authentication",), make) if self._once is not None else None
        return made

    def _served(self, authentication: Authentication) -> tuple[Any, Any, Any]:
        """What answers for tokens of our own, what people allow clients, and what all of it is described by."""
        of, once, issuing = self._resources, self._once, self._issuing
        signal, proved = of.guarding.guard.signal, of.guarding.guard.succeeded
        consents = self._at(("clients",), lambda: issuing.consents(authentication, of.tell, signal))
        service = self._at(("clients",), lambda: issuing.service(authentication, of.fetch, once, of.tell, proved, consents))
        return service, consents, issuing.metadata()

    def _limiter(self, policies: Policies | None) -> Limiter | None:
        stated = policies.limits if policies is not None else {}
        made: Limiter | None = self._at(
            ("rate_limits",), lambda: self._resources.limiter(self._settings.rate_limits, self._loaded.secrets, stated)
        )
        return made

    def _injector(self, name: str) -> Injector | None:
        made: Injector | None = self._at(
            ("credentials", name), lambda: injectors.build(name, self._settings.credentials[name], self._workshop)
        )
        return made

    # Routes

    def _route(self, index: int, model: RouteModel) -> tuple[Entry[Route], RouteModel] | None:
        at: Steps = ("routes", index)
        if not self._names_hold(model):
            return None
        pattern: Pattern | None = self._at((*at, "match", "path"), lambda: parse(model.match.path))
        service = self._service(at, model, pattern) if pattern is not None else None
        cors = self._cors[model.cors] if model.cors is not None else Cors(None)
        if pattern is None or service is None or cors is None:
            return None
        route = Route(
            name=model.name,
            pattern=model.match.path,
            methods=methods_of(model),
            finish=self._finish(cors),
            cors=cors,
            address_limits=self._limits.stage(model.rate_limits, route=model.name, subject=False),
            service=service,
            resource=self._protected.get(model.resource or ""),
        )
        return Entry(pattern, route.methods, model.match.host, route), model

    def _names_hold(self, model: RouteModel) -> bool:
        """Whether all this route refers to exists; what does not was told by the rules of the settings."""
        upstream = self._settings.upstreams.get(model.upstream)
        credentials = credentials_of(model, self._settings.upstreams)
        return (
            upstream is not None
            and self._credentials.keys() >= set(credentials)
            and (model.cors is None or model.cors in self._cors)
            and set(model.rate_limits) <= self._settings.rate_limits.rules.keys()
        )

    def _service(self, at: Steps, model: RouteModel, pattern: Pattern) -> Service | None:
        upstream_model, upstream = self._settings.upstreams[model.upstream], self._connections.of(model)
        injector = self._planned(credentials_of(model, self._settings.upstreams), model.requires_scopes)
        parameters = self._at((*at, "params"), lambda: Parameters(pattern, model.params, model.allow_encoded_slash))
        gate: Gate | None = self._at(at, lambda: self._gate(model))
        validation = self._at((*at, "validate"), lambda: self._validation(model))
        if upstream is None or injector is None or parameters is None or gate is None or validation is None:
            return None
        told = upstream_model.scrub
        unseen = injector.name is None or getattr(injector, "shown", False)
        scrub = None if unseen else told.of_signed() if getattr(injector, "once", False) else told
        fields = self._at(("upstreams", model.upstream, "headers"), lambda: self._fields(model, injector, scrub))
        drop = upstream_model.cookies == "drop" or (upstream_model.cookies is None and injector.name is not None)
        way = upstream.transport(model.timeouts, drop_cookies=drop, reserved_cookies=self._authn.credential_cookies())
        way = validation.watched(upstream.metered(way, credential=injector.name or "", route=model.name))
        transport = self._at(at, lambda: injectors.capturing(way, model.capture, model.name, model.upstream, self._workshop))
        if fields is None or transport is None:
            return None
        return Service(
            upstream=model.upstream,
            parameters=parameters,
            gate=gate,
            policy=self._routes_policies(model.name),
            principal_limits=self._limits.stage(model.rate_limits, route=model.name, subject=True),
            validation=validation,
            fields=fields,
            injector=injector,
            stated=self._stated,
            inspected=INSPECTED if model.validate_.body_limit is None else model.validate_.body_limit,
            metrics=self._resources.metrics,
            transport=transport,
            renew=getattr(injector, "renew", None),
            sockets=sockets(model.websocket, self._resources.places, partial(self._at, (*at, "websocket", "origins"))),
            shaping=self._shaping,
            scrubbing=None if scrub is None else Scrubbing(self._resources.metrics, scrub.bodies, scrub.encoded == "pass"),
        )

    def _planned(self, names: tuple[str, ...], scopes: list[str]) -> Injector | None:
        """The injector of a route; None where one of its credentials could not be built."""
        members = [member for name in names if (member := self._credentials[name]) is not None]
        return injectors.planned(members, scopes) if len(members) == len(names) else None

    def _tools(self, rows: Rows) -> Tools | None:
        chosen = self._settings.portal.tools
        if chosen is None:
            return None
        from gateway.listing import listing

        gate = self._authn.gate(tuple(chosen.authenticate or ()), anonymous=chosen.anonymous, grant=self._grant)
        limits = self._limits.stage(chosen.rate_limits, route=TOOLS, subject=True)
        return listing(rows, gate, limits, schemas=chosen.schemas)

    def _gate(self, model: RouteModel) -> Gate:
        resource = self._settings.resources.get(model.resource or "")
        pinned = resource.url if resource is not None and resource.own_tokens_only else None
        accepted, grant = tuple(model.authenticate or ()), self._grant
        return self._authn.gate(accepted, anonymous=model.anonymous, grant=grant, require=model.required, pinned=pinned)

    def _validation(self, model: RouteModel) -> Validation:
        chosen = model.validate_
        if chosen == NOTHING:
            return NO_VALIDATION
        tools = self._settings.portal.tools
        tell = tools is not None and tools.schemas and model.tool is not False
        described = None if chosen.openapi is None else self._resources.description(model.name, chosen.openapi, tell=tell)
        return Validation(chosen, read(chosen), described=described, skip=(model.rewrite.strip_prefix or "").count("/"))

    def _fields(self, model: RouteModel, injector: Injector, scrub: Scrub | None) -> RequestFields:
        prefix = model.rewrite.strip_prefix
        return RequestFields(
            upstream=self._settings.upstreams[model.upstream],
            credential_headers=self._authn.credential_headers(),
            credential_cookies=self._authn.credential_cookies(),
            strip=len(prefix.rstrip("/")) if prefix else 0,
            owned=OWNED | injector.sets | (HANDSHAKE if model.websocket else frozenset()),
            sets=self._routes_policies(model.name).sets,
            pseudonym=self._settings.telemetry.service_name.encode("ascii"),
            scrub=scrub if model.capture is None else Scrub(),
        )

    def _finish(self, cors: Cors) -> Finish:
        return Finish(cors=cors, headers=self._headers, limits=self._limits.fields)
