"""Where a credential is used, and who may reach it: read off the configuration and the compiled policies, without a request.

What only a request, a token's issuer or a condition decides is told as such. Deciding is the policies' own: the methods that a
route serves are asked of the same cells as a request would be.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.authn import key_entry, key_file
from gateway.authn.model import issuer_of
from gateway.authn.own.verifier import SCHEME as TOKENS
from gateway.authz.cases import imagined
from gateway.authz.cel.limits import MAX_SPENT
from gateway.authz.document import PolicyDocuments
from gateway.authz.holders import Holder, holders
from gateway.authz.model import METHODS
from gateway.authz.policy import Policies, RoutePolicy
from gateway.authz.prospect import PLACED, Prospect, Prospects
from gateway.authz.residual import Residuals
from gateway.authz.rule import Rule
from gateway.catalogue import NOBODY
from gateway.config.document import Steps
from gateway.config.node import dotted
from gateway.config.values import Reference, SealedSecret
from gateway.core.decision import AccessRequest
from gateway.core.principal import ANONYMOUS, OWN_ISSUERS, Identity, Principal
from gateway.core.route_scope import RouteScope
from gateway.credentials.grants.model import Grant
from gateway.settings import Loaded, RouteModel, Settings, credentials_of
from gateway.settings.secrets import references

KEYS: Final = "api_keys"
KEY_SCHEME: Final = "api_key"


@dataclass(frozen=True, slots=True)
class Source:
    """A secret that a credential is made of. `name` is written as kind:name; `state` says how it is sealed, or what is wrong."""

    name: str
    key: str
    place: str
    state: str = ""


@dataclass(frozen=True, slots=True)
class Use:
    """A route that has a credential, as the `position`th of `of` in its order; `given_by` is route or upstream. `methods` is None
    for any."""

    route: str
    place: str
    path: str
    host: str | None
    methods: tuple[str, ...] | None
    listeners: tuple[str, ...]
    upstream: str
    position: int
    of: int
    given_by: str


@dataclass(frozen=True, slots=True)
class Spoken:
    """A rule that speaks about a route: `methods` are those of them that it is about, `conditions` what it reads as written."""

    rule: str
    place: str
    methods: tuple[str, ...]
    permission: str | None
    conditions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """An API key that may use a route. `conditional` where rules ask what only a request tells."""

    id: str
    name: str
    subject: str
    methods: tuple[str, ...]
    conditional: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Way:
    """Who may come by a route: `asked` are the authenticators, none where it is anonymous. `closed` are methods that a rule denies
    to everybody. `allows` are told with who holds their permission. `capped` are issuers whose tokens' scopes bound what roles
    give."""

    use: Use
    asked: tuple[str, ...]
    closed: tuple[str, ...]
    allows: tuple[tuple[Spoken, tuple[Holder, ...]], ...]
    denies: tuple[Spoken, ...]
    keys: tuple[KeyHolder, ...]
    capped: tuple[str, ...]


def named(loaded: Loaded, settings: Settings, text: str) -> list[str]:
    """The credentials that a name means: its own, or those made of a secret written `sealed:NAME`, `env:NAME` or `file:PATH`."""
    if text in settings.credentials:
        return [text]
    made = {name: [each.name for each in sources(loaded, settings, name)] for name in settings.credentials}
    return [name for name, secrets in made.items() if text in secrets or f"sealed:{text}" in secrets]


def sources(loaded: Loaded, settings: Settings, credential: str) -> list[Source]:
    """The secrets a credential is made of, those of its provider's client among them."""
    model = settings.credentials[credential]
    beneath: list[Steps] = [("credentials", credential)]
    if isinstance(model, Grant):
        beneath.append(("providers", model.provider))
    found = [(path, each) for path, each in references(loaded.source) if path[:2] in beneath]
    return [Source(_written(each), dotted(path), _place(loaded, path), _state(loaded, each)) for path, each in found]


def uses(loaded: Loaded, settings: Settings, credential: str) -> list[Use]:
    """Every route that has the credential."""
    found = []
    for index, route in enumerate(settings.routes):
        order = credentials_of(route, settings.upstreams)
        if credential in order:
            found.append(_use(loaded, settings, index, route, order.index(credential) + 1, len(order)))
    return found


def ways(loaded: Loaded, policies: Policies, documents: PolicyDocuments, credential: str, now: float) -> list[Way]:
    """Who may reach the credential, by each route that has it; `now` is Unix time."""
    settings = loaded.settings
    if settings is None:
        return []
    keys = list(_keys(settings, policies, now))
    routes = {route.name: route for route in settings.routes}
    capped = frozenset(name for name, issuer in settings.authentication.named().items() if issuer.scope_ceiling)
    asked = _Asked(policies, documents, keys, capped, OWN_ISSUERS.union(settings.authentication.issuers), now)
    return [_way(use, routes[use.route], asked) for use in uses(loaded, settings, credential)]


def _use(loaded: Loaded, settings: Settings, index: int, route: RouteModel, position: int, of: int) -> Use:
    return Use(
        route=route.name,
        place=_place(loaded, ("routes", index)),
        path=route.match.path,
        host=route.match.host,
        methods=None if route.match.methods == "any" else tuple(route.match.methods),
        listeners=tuple(route.match.listeners or settings.served()),
        upstream=route.upstream,
        position=position,
        of=of,
        given_by="route" if route.credential else "upstream",
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """What all ways are asked of, at a time."""

    policies: Policies
    documents: PolicyDocuments
    keys: Sequence[tuple[key_entry.KeyEntry, Principal]]
    capped: frozenset[str]
    issuers: frozenset[str]
    now: float


def _way(use: Use, route: RouteModel, of: _Asked) -> Way:
    policy, served = of.policies.route(use.route), _served(use.methods)
    asked = tuple(route.authenticate or ())
    speaking = _rules(policy, served)
    closed = tuple(method for method in served if any(_closes(rule, method) for rule in speaking))
    issuers = of.issuers if TOKENS in asked else frozenset(issuer_of(name) for name in asked)  # they stand for anybody's principals
    possible = tuple(method for method in served if method not in closed)
    allows = [(told, rule) for rule in speaking if rule.allows and (told := _spoken(rule, use, possible, of.now)).methods]
    held = [(each, holders(of.documents, rule.permission, issuers, of.now)) for each, rule in allows if not _unheld(rule, route)]
    return Way(
        use=use,
        asked=asked,
        closed=closed,
        allows=tuple((each, tuple(whom)) for each, whom in held),
        denies=tuple(told for rule in speaking if not rule.allows and (told := _spoken(rule, use, served, of.now)).methods),
        keys=tuple(_held(of, use, policy, served)) if {KEYS, TOKENS} & {*asked} else (),
        capped=tuple(sorted(issuers & of.capped)),
    )


def _served(methods: tuple[str, ...] | None) -> tuple[str, ...]:
    """What a route takes; GET brings HEAD."""
    if methods is None:
        return METHODS
    return tuple(dict.fromkeys([*methods, "HEAD"])) if "GET" in methods else methods


def _rules(policy: RoutePolicy, served: Sequence[str]) -> list[Rule]:
    """The enforced rules about any of these methods, each once."""
    cells = [policy.cell(method) for method in served]
    return list(dict.fromkeys(row[2] for cell in cells for row in (*cell.denies, *cell.allows)))


def _closes(rule: Rule, method: str) -> bool:
    """Whether a rule denies a method to everybody, whatever the request."""
    return not rule.allows and rule.need == 0 and rule.condition is None and rule.applies_to(method)


def _unheld(rule: Rule, route: RouteModel) -> bool:
    """Whether nobody can match a rule: a route that asks nobody who he is gives no permissions."""
    return route.anonymous and rule.need != 0


def _spoken(rule: Rule, use: Use, methods: Sequence[str], now: float) -> Spoken:
    """A rule with those of the methods that it is about, as far as the route and the method tell."""
    clauses = rule.condition.clauses if rule.condition is not None else ()
    written = tuple(f"unless {text}" if each.negated else text for each in clauses for text in (" ".join(each.source.split()),))
    about = tuple(method for method in methods if rule.applies_to(method) and _may_hold(rule, _question(use, method, now)))
    return Spoken(rule.name, rule.place, about, rule.permission, written)


def _may_hold(rule: Rule, access: AccessRequest) -> bool:
    if rule.condition is None:
        return True
    nobody = Principal(Identity(id=ANONYMOUS, issuer=ANONYMOUS, scheme=ANONYMOUS))
    return Residuals().of(rule.condition.tree, (nobody, access), PLACED) is not False


def _question(use: Use, method: str, now: float) -> AccessRequest:
    """A request that nobody sent, of which the route and the method are known."""
    return AccessRequest(imagined(method, "/", client=NOBODY), use.route, use.upstream, {}, now)


def _keys(settings: Settings, policies: Policies, now: float) -> Iterator[tuple[key_entry.KeyEntry, Principal]]:
    """Every API key that counts at a time, with its principal. Raises ConfigError for a malformed file."""
    model = settings.authentication.api_keys
    for entry in key_file.of(model.file) if model is not None else ():
        if entry.revoked_at or (entry.expires_at and key_entry.moment(entry.expires_at) <= now):
            continue
        identity = Identity(
            id=entry.subject,
            issuer=KEYS,
            scheme=KEY_SCHEME,
            roles=None if entry.roles is None else tuple(entry.roles),
            permissions=None if entry.permissions is None else tuple(entry.permissions),
            routes=None if entry.routes is None else RouteScope(entry.routes),
        )
        yield entry, policies.grant.at(identity, now)


def _held(of: _Asked, use: Use, policy: RoutePolicy, served: Sequence[str]) -> Iterator[KeyHolder]:
    for entry, principal in of.keys:
        expected = Prospects(principal, Residuals([MAX_SPENT]))
        found = {method: expected.of(policy, _question(use, method, of.now)) for method in served}
        sure = tuple(method for method, each in found.items() if each is Prospect.ALLOWED)
        maybe = tuple(method for method, each in found.items() if each is Prospect.CONDITIONAL)
        if sure or maybe:
            yield KeyHolder(entry.id, entry.name, entry.subject, sure, maybe)


def everybody(way: Way) -> str:
    """Who stands before a rule that asks for no permission."""
    return ANONYMOUS if not way.asked else f"everybody whom {', '.join(way.asked)} lets in"


def _written(reference: Reference) -> str:
    """`kind:name`, as the commands take it."""
    kind, value = next(iter(reference.model_dump(mode="json", exclude_none=True).items()))
    return f"{kind}:{value}"


def _state(loaded: Loaded, reference: Reference) -> str:
    if not isinstance(reference, SealedSecret):
        return "readable by everybody" if loaded.secrets.exposed(reference) else ""
    entry, stored = loaded.vault.entries.get(reference.sealed), loaded.vault.stored
    if entry is None and stored is not None and (row := stored.sources.get(reference.sealed)) is not None:
        return "revoked" if row.revoked else "in the database" if row.usable else "cannot be read now"
    if entry is None or entry.source is None:
        return "does not open"
    return "revoked" if entry.source.revoked else f"key {entry.key_id}"


def _place(loaded: Loaded, path: Steps) -> str:
    file, line, _ = loaded.place(path)
    return f"{file}:{line}"
