"""What is configured and used by nothing: a leftover, or a route that forgot it."""

from collections.abc import Iterable, Iterator

from gateway.core.errors import Problem
from gateway.settings.rules.draft import Draft
from gateway.settings.rules.references import schemes
from gateway.tokens.model import Client


def check(draft: Draft) -> Iterator[Problem]:
    routes = [route for _, route in draft.routes()]
    if not routes:
        yield draft.warning(("routes",), "no routes: every request is answered 404", key=True)
        return
    if not draft.items("policies"):
        yield draft.warning(("policies",), "no policies: every request is denied", "name a folder or files", key=True)
    inherited = [name for each in draft.names("upstreams") for name in draft.items("upstreams", each, "credential")]
    own = [name for number, _ in enumerate(routes) for name in draft.items("routes", number, "credential")]
    limits = [name for number, _ in enumerate(routes) for name in draft.items("routes", number, "rate_limits")]
    accepted = [name for number, _ in enumerate(routes) for name in draft.items("routes", number, "authenticate")]
    limits += draft.items("portal", "tools", "rate_limits")
    accepted += draft.items("portal", "tools", "authenticate")
    yield from _leftovers(draft, ("upstreams",), "upstream", [route.get("upstream") for route in routes])
    yield from _leftovers(draft, ("credentials",), "credential", [*inherited, *own])
    yield from _leftovers(draft, ("cors",), "CORS policy", [route.get("cors") for route in routes])
    yield from _leftovers(draft, ("resources",), "resource", [route.get("resource") for route in routes])
    yield from _leftovers(draft, ("rate_limits", "rules"), "rate limit", [*limits, *draft.items("rate_limits", "default")])
    yield from _schemes(draft, [*accepted, *_led_to(draft)])


def _led_to(draft: Draft) -> Iterator[str]:
    """Logins that clients of the gateway's own tokens send people to."""
    for path, client in draft.parts(Client, "clients"):
        if client.redirect_uris:
            names = draft.names("authentication", "login") if draft.value(*path, "login") is None else [client.login]
            yield from (f"login.{name}" for name in names)


def _leftovers(draft: Draft, section: tuple[str, ...], kind: str, used: Iterable[object]) -> Iterator[Problem]:
    names = {name for name in used if isinstance(name, str)}
    for name in draft.names(*section):
        if name not in names:
            yield draft.warning((*section, name), f"{kind} '{name[:80]}' is used by nothing", key=True)


def _schemes(draft: Draft, used: Iterable[object]) -> Iterator[Problem]:
    names = {name for name in used if isinstance(name, str)}
    for scheme in schemes(draft):
        if scheme not in names:
            path = (scheme,) if scheme == "tokens" else ("authentication", *scheme.split(".", 1))
            yield draft.warning(path, f"no route accepts '{scheme[:80]}'", key=True)
