"""CORS policies: origins as browsers write them (RFC 6454 6.2), and no credentials for everybody."""

from collections.abc import Iterator

from gateway.config.document import Steps
from gateway.core.errors import Problem
from gateway.edge.cors import DEFAULT_PORTS, ORIGIN
from gateway.edge.model import Cors
from gateway.settings.rules.draft import Draft


def check(draft: Draft) -> Iterator[Problem]:
    for path, cors in draft.parts(Cors, "cors"):
        if "*" in cors.origins and cors.credentials:
            hint = "every site could act as the visitor: list the origins"
            yield draft.error((*path, "origins", cors.origins.index("*")), '"*" is refused together with `credentials: true`', hint)
        if cors.methods == []:
            yield draft.error((*path, "methods"), "allows nothing: the list is empty")
        if cors.credentials and "*" in cors.headers:
            yield draft.error((*path, "headers"), '"*" is refused together with `credentials: true`')
        for number, origin in enumerate(cors.origins):
            yield from _origin(draft, (*path, "origins", number), origin, cors.credentials)
    for path, route in draft.routes():
        yield from _sockets(draft, (*path, "websocket", "origins"), anonymous=route.get("anonymous") is True)


def _sockets(draft: Draft, path: Steps, *, anonymous: bool) -> Iterator[Problem]:
    """Which pages may open WebSockets: a browser adds cookies and certificates to every handshake."""
    for number, origin in enumerate(draft.items(*path)):
        if origin == "*" and not anonymous:
            hint = "every site could act as the visitor: list the origins"
            yield draft.error((*path, number), '"*" is refused on a route that asks who is there', hint)
        elif isinstance(origin, str):
            yield from _origin(draft, (*path, number), origin, credentials=not anonymous)


def _origin(draft: Draft, path: Steps, origin: str, credentials: bool) -> Iterator[Problem]:
    if origin == "*":
        return
    if origin == "null":
        yield draft.error(path, "the origin null is that of every sandboxed page", "name the page's real origin")
        return
    found = ORIGIN.fullmatch(origin)
    if found is None:
        yield draft.error(path, "not an origin", _hint(origin))
        return
    if found["any"] and (found["scheme"] != "https" or "." not in found["host"].rstrip(".")):
        yield draft.error(path, "a wildcard stands for the first label of a name under a domain", "like https://*.example.com")
    elif found["port"] and found["port"] == DEFAULT_PORTS.get(found["scheme"]):
        yield draft.error(path, "browsers leave out the default port: this never matches", "leave out the port")
    elif found["scheme"] == "http" and credentials and found["host"] not in {"localhost", "127.0.0.1", "[::1]"}:
        yield draft.warning(path, "credentials for an http origin: whoever is on its network can read them")


def _hint(origin: str) -> str:
    if origin != origin.lower() and ORIGIN.fullmatch(origin.lower()):
        return "browsers write it in lower case"
    if ORIGIN.match(origin):
        return "an origin is scheme, host and port only, without a path or final slash"
    return "written like https://app.example.com or https://*.example.com"
