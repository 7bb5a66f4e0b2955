"""Under which key a request is counted: the client's address, the subject, the route, or several of them together."""

from collections.abc import Callable, Collection
from hashlib import blake2b
from typing import Final

from gateway.config import subscriber
from gateway.core.message import Request
from gateway.core.principal import ANONYMOUS, Principal

KeyOf = Callable[[Request, Principal | None], str]

MAX_KEY: Final = 128


def address(request: Request, _: Principal | None = None) -> str:
    """The client's IPv4 address, or the /64 of its IPv6 address: one subscriber commands a whole /64."""
    client = request.head.client
    return client if ":" not in client else network(client)


def network(client: str) -> str:
    """The /64 of an IPv6 address as 16 hex digits; an IPv4-mapped address counts as the IPv4 one."""
    try:
        return subscriber.network(client)
    except ValueError:
        return bounded(client)


def subject(request: Request, principal: Principal | None) -> str:
    """The principal, as issuer and id; nobody in particular is counted by address, else one client could lock out all others."""
    if principal is None or principal.scheme == ANONYMOUS:
        return address(request)
    key = principal.key
    return key if len(key) <= MAX_KEY else bounded(key)


def bounded(text: str) -> str:
    """`text`, or its digest where it is long: a subject of kilobytes must not become a key of kilobytes."""
    if len(text) <= MAX_KEY:
        return text
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def build(parts: Collection[str], route: str) -> KeyOf:
    """The key function of a rule on one route. Parts are joined with their lengths, so that no two combinations are equal."""
    by_address, by_subject, by_route = "client.address" in parts, "subject" in parts, "route" in parts
    place = f"{len(route)}:{route}" if by_route else ""

    def joined(request: Request, principal: Principal | None) -> str:
        one, other = address(request), subject(request, principal)
        return f"{len(one)}:{one}{len(other)}:{other}{place}"

    def addressed(request: Request, _: Principal | None) -> str:
        one = address(request)
        return f"{len(one)}:{one}{place}"

    def personal(request: Request, principal: Principal | None) -> str:
        return place + subject(request, principal)

    def placed(*_: object) -> str:
        return route

    match by_address, by_subject:
        case True, True:
            return joined
        case True, False:
            return addressed if by_route else address
        case False, True:
            return personal if by_route else subject
        case _:
            return placed
