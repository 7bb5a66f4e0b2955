"""Routes: what each must say, and what its path promises to its other keys."""

import re
from collections.abc import Iterator
from typing import Any, Final

from gateway.config.document import Steps
from gateway.config.validation import suggest
from gateway.core.errors import Problem
from gateway.edge.protected_resource import PREFIX as RESOURCES
from gateway.edge.security_txt import PATH as SECURITY_TXT
from gateway.settings.model import Portal
from gateway.settings.rules.draft import Draft
from gateway.settings.rules.expressions import judged_expression
from gateway.settings.rules.hosts import judged_host

PARAMETER: Final = re.compile(r"\{([^{}/]*)\}")
WELL_KNOWN: Final = (RESOURCES, SECURITY_TXT)
MEDIA_TYPE: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+/(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+)", re.ASCII)
Route = dict[str, Any]


def check(draft: Draft) -> Iterator[Problem]:
    yield from _names(draft)
    for path, route in draft.routes():
        yield from _access(draft, path, route)
        yield from _parameters(draft, path)
        yield from _prefix(draft, path)
        yield from _reserved(draft, path)
        yield from _match(draft, path)
        yield from _content_types(draft, path)


def _names(draft: Draft) -> Iterator[Problem]:
    first: dict[object, Steps] = {}
    for path, route in draft.routes():
        name = route.get("name")
        if isinstance(name, str) and name in first:
            _, line, _ = draft.source.where((*first[name], "name"))
            yield draft.error((*path, "name"), f"route name '{name[:80]}' is used twice", f"first on line {line}")
        elif isinstance(name, str):
            first[name] = path


def _access(draft: Draft, path: Steps, route: Route) -> Iterator[Problem]:
    authenticated, anonymous = route.get("authenticate") is not None, route.get("anonymous") is True
    if authenticated and anonymous:
        yield draft.error((*path, "anonymous"), "`authenticate` and `anonymous: true` exclude each other", key=True)
    elif not authenticated and not anonymous:
        hint = "say who is accepted, or that everybody is"
        yield draft.error(path, "exactly one of `authenticate` and `anonymous: true` is required", hint)
    elif anonymous and _injects(draft, route):
        yield draft.warning((*path, "anonymous"), "everybody may use the upstream's credential through this route", key=True)


def _injects(draft: Draft, route: Route) -> bool:
    upstream = route.get("upstream")
    inherited = draft.value("upstreams", upstream, "credential") if isinstance(upstream, str) else None
    return bool(route.get("credential") or inherited)


def _parameters(draft: Draft, path: Steps) -> Iterator[Problem]:
    pattern = draft.value(*path, "match", "path")
    if not isinstance(pattern, str):
        return
    known = PARAMETER.findall(pattern)
    for name in draft.names(*path, "params"):
        if name not in known:
            hint = suggest(name, known) or "the path has no parameters"
            yield draft.error((*path, "params", name), f"the path has no parameter '{name[:80]}'", hint, key=True)
        expression = draft.value(*path, "params", name)
        if isinstance(expression, str) and (wrong := judged_expression(expression)):
            yield draft.error((*path, "params", name), *wrong)
    for number, name in enumerate(draft.items(*path, "allow_encoded_slash")):
        if isinstance(name, str) and name not in known:
            hint = suggest(name, known) or "the path has no parameters"
            yield draft.error((*path, "allow_encoded_slash", number), f"the path has no parameter '{name[:80]}'", hint)


def _prefix(draft: Draft, path: Steps) -> Iterator[Problem]:
    prefix, pattern = draft.value(*path, "rewrite", "strip_prefix"), draft.value(*path, "match", "path")
    if not isinstance(prefix, str) or not isinstance(pattern, str):
        return
    place = (*path, "rewrite", "strip_prefix")
    if not prefix.startswith("/") or prefix.endswith("/") or "{" in prefix or "*" in prefix:
        yield draft.error(place, "a prefix is literal segments, like /github", "it begins with / and does not end with one")
    elif pattern != prefix and not pattern.startswith(prefix + "/"):
        # A prefix that ends inside a segment would serve another path than was decided on (CVE-2026-48020).
        yield draft.error(place, "is not a prefix of the route's path, segment by segment")


def _reserved(draft: Draft, path: Steps) -> Iterator[Problem]:
    pattern, portal = draft.value(*path, "match", "path"), draft.value("portal", "prefix") or Portal().prefix
    if not isinstance(pattern, str):
        return
    for prefix in (str(portal), *WELL_KNOWN):
        if pattern == prefix or pattern.startswith(prefix + "/"):
            yield draft.error((*path, "match", "path"), f"{prefix} is reserved for the gateway itself")


def _match(draft: Draft, path: Steps) -> Iterator[Problem]:
    host, methods = draft.value(*path, "match", "host"), draft.value(*path, "match", "methods")
    if isinstance(host, str) and (wrong := judged_host(host)):
        yield draft.error((*path, "match", "host"), *wrong)
    if draft.value(*path, "websocket") and isinstance(methods, list) and "GET" not in methods:
        yield draft.error((*path, "match", "methods"), "a WebSocket begins with a GET", "add GET, or leave `websocket` out")
    if draft.value(*path, "websocket") and draft.value("upstreams", str(draft.value(*path, "upstream")), "http2"):
        yield draft.error(
            (*path, "websocket"), "the upstream speaks HTTP/2, which carries no WebSockets here", "leave one of them out"
        )
    if methods == []:
        yield draft.error((*path, "match", "methods"), "matches nothing: the list is empty", "leave it out for any method")


def _content_types(draft: Draft, path: Steps) -> Iterator[Problem]:
    types = draft.value(*path, "validate", "content_types")
    if types == []:
        yield draft.error((*path, "validate", "content_types"), "accepts no body at all: the list is empty")
    for number, text in enumerate(types if isinstance(types, list) else []):
        if isinstance(text, str) and not MEDIA_TYPE.fullmatch(text):
            yield draft.error((*path, "validate", "content_types", number), "a media type is written like application/json")
