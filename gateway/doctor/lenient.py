"""Settings that are allowed and let through more than they need to. What `gateway check` warns about is not told again."""

import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.authz.lint import named
from gateway.authz.policy import Policies
from gateway.config.address import parse_address
from gateway.config.document import Steps
from gateway.core.errors import Problem
from gateway.credentials.model import SigV4
from gateway.credentials.oauth_model import GithubApp
from gateway.edge.model import OpenApi
from gateway.settings import Loaded, Settings, credentials_of
from gateway.store.model import RedisStore
from gateway.upstream.model import Scrub

LONG_TOKEN: Final = 3600.0
LOCAL: Final = re.compile(r"localhost|::1|127(\.[0-9]+){3}")


def lenient(loaded: Loaded, settings: Settings, policies: Policies) -> list[Problem]:
    """All of them, in the order of the sections."""
    found = _Found(loaded)
    return [
        *_services(found, settings),
        *_identity(found, settings),
        *_clients(found, settings),
        *_proofs(found, settings),
        *_plaintext(found, loaded.source.value, ()),
        *_credentials(found, settings),
        *_upstreams(found, settings),
        *_routes(found, settings),
        *_shadows(policies),
    ]


class _Found:
    """Makes findings at places of a configuration."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded

    def __call__(self, rule: str, path: Steps, message: str, hint: str, *, severity: str = "warning") -> Problem:
        return named(rule, self._loaded.problem(path, message, hint, severity=severity))


def _services(found: _Found, settings: Settings) -> Iterator[Problem]:
    """The sections that stand for themselves."""
    limits = settings.rate_limits
    if isinstance(limits.store, RedisStore) and limits.on_store_failure == "open":
        message = "nothing is limited while the store is gone"
        yield found("limits-fail-open", ("rate_limits", "on_store_failure"), message, "use `local` or `closed`")
    if not limits.default:
        message = "nothing bounds requests before they are authenticated"
        yield found("no-default-limit", ("rate_limits", "default"), message, "name a rule keyed by client.address", severity="info")
    if settings.audit.on_full == "drop":
        message = "requests go on where the trail cannot be written: their events are lost"
        yield found("audit-drops", ("audit", "on_full"), message, "use `refuse`")
    if (settings.admin.token or settings.admin.operators) and not parse_address(settings.admin.address).is_local:
        message = "the operators' tokens and passwords go over this network in the clear"
        yield found(
            "admin-in-clear", ("admin", "address"), message, "use loopback or a unix socket, and a proxy with TLS before it"
        )
    if settings.admin.operators is not None and not settings.detection.rules:
        message = "nobody is stopped who guesses operators' passwords"
        yield found("operators-guessed", ("detection", "rules"), message, "leave `rules` out")
    for name, cors in settings.cors.items():
        if cors.credentials and any("*" in origin for origin in cors.origins):
            message = "every host of the domain may act as a visitor who is logged in, one that was taken over too"
            yield found("cors-wildcard", ("cors", name, "origins"), message, "list the origins")
        elif "*" in cors.origins:
            message = "every site may read what these routes answer"
            yield found("cors-anybody", ("cors", name, "origins"), message, "list the origins", severity="info")


def _identity(found: _Found, settings: Settings) -> Iterator[Problem]:
    """What a stolen proof is worth. Of waived audiences `gateway check` warns."""
    for name, sender in settings.authentication.hmac.items():
        if sender.replay == 0:
            message = "a signed request counts as often as it is sent" + (", for ever" if sender.timestamp is None else "")
            yield found("replays-taken", ("authentication", "hmac", name, "replay"), message, "leave `replay` out")
        elif sender.timestamp is None and sender.replay is not None:
            message = f"a signed request that says no time counts again after {sender.replay:.0f} seconds, for ever"
            yield found(
                "replays-taken", ("authentication", "hmac", name, "replay"), message, "leave `replay` out, or sign a `timestamp`"
            )
        elif sender.timestamp is None:
            message = "a signed request that says no time counts again every day, for ever: who saw one may send it then"
            hint = "have the sender sign a time (`timestamp`), or tell deliveries apart by their id at the upstream"
            yield found("replays-later", ("authentication", "hmac", name), message, hint, severity="info")
    for name, resource in settings.resources.items():
        if not resource.own_tokens_only:
            message = "tokens for other resources of the same issuer are taken here: who is sent one may use it here"
            hint = "have the issuer name this resource in `aud`, and leave `own_tokens_only` out"
            yield found("shared-tokens", ("resources", name, "own_tokens_only"), message, hint)


def _proofs(found: _Found, settings: Settings) -> Iterator[Problem]:
    """What callers prove with keys of their own."""
    for name, entry in settings.authentication.signatures.items():
        if entry.replay == "allow":
            message = f"a signed request counts as often as it is sent, for {entry.max_age:.0f} seconds"
            yield found("replays-taken", ("authentication", "signatures", name, "replay"), message, "leave `replay` out")
        if "rsa-v1_5-sha256" in {*entry.algorithms, *(key.algorithm for key in entry.keys.values())}:
            message = "signatures by rsa-v1_5-sha256 are taken: RFC 9421 has it for old keys and hardware only"
            yield found("weak-signatures", ("authentication", "signatures", name), message, "use ed25519 or rsa-pss-sha512")
    mtls = settings.authentication.mtls
    if mtls is not None and mtls.ocsp is not None and not mtls.ocsp.required:
        message = "whoever keeps the responder's answers away lets revoked certificates in"
        yield found("revocations-waived", ("authentication", "mtls", "ocsp", "required"), message, "leave `required` out")


def _clients(found: _Found, settings: Settings) -> Iterator[Problem]:
    """What programs may do when nobody looks."""
    tokens, sessions = settings.tokens, settings.authentication.sessions
    if tokens is not None and sessions is not None and sessions.key in tokens.keys:
        message = "one secret is the key of sessions and of tokens: who learns it has both"
        yield found("shared-key", ("tokens", "key"), message, "give each its own: `openssl rand -base64 48`")
    if tokens is not None and settings.state.store == "memory":
        message = "what was revoked, counted or used is known to this process alone, and until it ends"
        hint = "`state: {store: {redis: …}}` for replicas, and to outlive a restart"
        yield found("tokens-in-memory", ("state", "store"), message, hint, severity="info")
    if tokens is not None and tokens.lifetime > LONG_TOKEN:
        message = f"a stolen token counts for {tokens.lifetime / 3600:.0f} hours"
        yield found("long-tokens", ("tokens", "lifetime"), message, "15m is usual", severity="info")
    for name, client in settings.clients.items():
        if "offline_access" in client.scopes:
            message = "what people allow it goes on after they are logged out, with the groups that were seen last"
            hint = "leave `offline_access` out, or keep `tokens.refresh.lifetime` short"
            yield found("outlives-logins", ("clients", name, "scopes"), message, hint, severity="info")


def _plaintext(found: _Found, value: Any, at: Steps, around: Any = None) -> Iterator[Problem]:
    """Everything that says `allow_plaintext: true` and leads off this machine. What `dial` is about stands `around` it."""
    place = around if at and at[-1] == "dial" else value
    if isinstance(value, dict) and value.get("allow_plaintext") is True and not _stays(place):
        message = "what goes there is neither encrypted nor known to arrive where it should"
        yield found("plaintext", (*at, "allow_plaintext"), message, "use TLS, with `ca` for an authority of your own")
    steps: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, child in steps:
        yield from _plaintext(found, child, (*at, step), value)


def _stays(value: dict[str, Any]) -> bool:
    """Whether all URLs beside it are of this machine; without one nobody knows."""
    texts = [each for key in ("url", "targets", "token_url", "api") for each in _listed(value.get(key))]
    return bool(texts) and all(LOCAL.fullmatch(urlsplit(text).hostname or "") for text in texts)


def _listed(value: Any) -> list[str]:
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str)]


def _credentials(found: _Found, settings: Settings) -> Iterator[Problem]:
    for name, model in settings.credentials.items():
        if isinstance(model, SigV4) and model.unsigned_payload:
            message = "long bodies are sent unsigned: whoever reads or alters the connection may change them"
            yield found(
                "unsigned-payload", ("credentials", name, "unsigned_payload"), message, "leave it out: Amazon S3 takes chunks"
            )
        if isinstance(model, GithubApp) and model.everywhere:
            message = "its tokens are good for every repository of the installation"
            yield found("wide-token", ("credentials", name, "everywhere"), message, "list `repositories`, or route by {repo}")


def _upstreams(found: _Found, settings: Settings) -> Iterator[Problem]:
    """What matters where a credential is injected."""
    injecting = {route.upstream for route in settings.routes if credentials_of(route, settings.upstreams)}
    for name in sorted(injecting & settings.upstreams.keys()):
        model, at = settings.upstreams[name], ("upstreams", name)
        if not model.scrub.bodies:
            message = "a credential that comes back in a body reaches the client"
            yield found("scrub-off", (*at, "scrub", "bodies"), message, "leave `bodies: false` out")
        for key, what in (("ranges", "parts of answers"), ("encoded", "answers in a coding")):
            if getattr(model.scrub, key) != getattr(Scrub(), key):
                message = f"{what} are passed on, in which a credential is not found"
                yield found("scrub-partial", (*at, "scrub", key), message, f"leave `{key}` out", severity="info")
        if model.cookies == "pass":
            message = "the upstream's cookies reach clients that share its credential: one client's session may become another's"
            yield found("shared-cookies", (*at, "cookies"), message, "leave `cookies` out")


def _routes(found: _Found, settings: Settings) -> Iterator[Problem]:
    for index, route in enumerate(settings.routes):
        chosen, at = route.validate_.openapi, ("routes", index, "validate", "openapi")
        if isinstance(chosen, OpenApi) and chosen.mode == "report":
            message = f"requests of route '{route.name}' that do not fit the description are reported and let through"
            yield found("validation-reports", (*at, "mode"), message, "use `enforce` once nothing is reported any more")


def _shadows(policies: Policies) -> Iterator[Problem]:
    """Denies that nobody is denied by."""
    for rule in policies.rules:
        if rule.shadow and not rule.allows:
            file, _, line = rule.place.rpartition(":")
            message, hint = f"the deny {rule.name} is in shadow mode: it refuses nothing", "`gateway policy promote` says if it may"
            yield named("shadow-deny", Problem(file, int(line), 1, "", message, hint, "warning"))
