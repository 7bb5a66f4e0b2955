"""Listeners: what is reachable from where, whom they believe, and what would be served in the clear."""

from collections.abc import Iterator
from typing import Final

from gateway.authn.operators_model import Operators, is_local
from gateway.config.address import Address, parse_address
from gateway.config.document import Steps
from gateway.config.values import Network
from gateway.core.errors import Problem
from gateway.edge.model import Listen, Tls
from gateway.settings.model import ONLY_LISTENER, Admin
from gateway.settings.rules.draft import Draft
from gateway.settings.rules.hosts import judged_host
from gateway.settings.rules.urls import private_target

ADMIN: Final[Steps] = ("admin", "address")
WIDE: Final[dict[int, int]] = {4: 8, 6: 32}
"""Networks wider than these prefixes are hardly a proxy."""


def check(draft: Draft) -> Iterator[Problem]:
    if draft.value("listen") is not None and draft.value("listeners") is not None:
        yield draft.error(("listeners",), "`listen` and `listeners` exclude each other", "move `listen` into `listeners`", key=True)
    if draft.value("listeners") == {}:
        yield draft.error(("listeners",), "no listener is named", key=True)
    for path, listen in served(draft):
        yield from _listener(draft, path, listen)
    yield from _taken_twice(draft)
    yield from _admin(draft)


def served(draft: Draft) -> Iterator[tuple[Steps, Listen]]:
    """Every sound listener with its place; the default one where none is configured."""
    yield from draft.parts(Listen, "listeners")
    if draft.value("listeners") is None:
        listen = Listen() if draft.value("listen") is None else draft.part(Listen, (ONLY_LISTENER,))
        if listen is not None:
            yield (ONLY_LISTENER,), listen


def _listener(draft: Draft, path: Steps, listen: Listen) -> Iterator[Problem]:
    yield from _tls(draft, path, listen)
    yield from _limits(draft, path, listen)
    yield from _hosts(draft, path, listen)
    try:
        address = parse_address(listen.address)
    except ValueError as error:
        yield draft.error((*path, "address"), str(error))
        return
    yield from _reach(draft, path, listen, address)
    yield from _balancers(draft, path, listen, address)
    yield from _proxies(draft, path, listen, address)


def _reach(draft: Draft, path: Steps, listen: Listen, address: Address) -> Iterator[Problem]:
    named = listen.trusted_proxies or listen.proxy_protocol is not None
    if not address.is_local and listen.tls is None and not named:
        yield draft.error(
            (*path, "address"),
            "plaintext on an address that is not loopback",
            "add `tls`, or name the proxy in front in `trusted_proxies` or `proxy_protocol`",
        )
    if not address.is_local and listen.hosts == "any":
        yield draft.warning((*path, "address"), "any Host is accepted off loopback", "list the names in `hosts`")
    if listen.allow_from == []:
        yield draft.error((*path, "allow_from"), "nobody may connect: the list is empty")
    if listen.redirect_http is not None and listen.tls is None:
        yield draft.error((*path, "redirect_http"), "a redirect to https needs `tls`")


def _balancers(draft: Draft, path: Steps, listen: Listen, address: Address) -> Iterator[Problem]:
    if listen.proxy_protocol is None:
        return
    at = (*path, "proxy_protocol", "from")
    if not (listen.proxy_protocol.from_ or address.is_unix):
        yield draft.error(at, "nobody may connect: no load balancer is named", "name its own addresses")
    yield from _networks(draft, at, listen.proxy_protocol.from_)


def _networks(draft: Draft, path: Steps, networks: list[Network]) -> Iterator[Problem]:
    for number, network in enumerate(networks):
        if network.prefixlen == 0:
            yield draft.error((*path, number), "trusts everybody", "name the proxy's own addresses")
        elif network.prefixlen < WIDE[network.version]:
            yield draft.warning((*path, number), "trusts a very wide network")


def _proxies(draft: Draft, path: Steps, listen: Listen, address: Address) -> Iterator[Problem]:
    on_unix = address.is_unix and listen.proxy_protocol is None
    trusted = bool(listen.trusted_proxies) or on_unix
    yield from _networks(draft, (*path, "trusted_proxies"), listen.trusted_proxies)
    if listen.client_address != "none" and not trusted:
        yield draft.error((*path, "client_address"), "is believed from nobody: `trusted_proxies` is empty")
    if listen.trusted_proxies and listen.client_address == "none":
        yield draft.warning((*path, "trusted_proxies"), "all clients have the proxy's address", "set `client_address`", key=True)
    if listen.client_certificate == "none":
        return
    if not trusted:
        yield draft.error((*path, "client_certificate"), "is believed from nobody: `trusted_proxies` is empty")
    mutual = listen.tls is not None and listen.tls.client_auth == "require"
    if not mutual and not on_unix:
        hint = "set `tls.client_auth: require`, or listen on a unix socket"
        yield draft.error((*path, "client_certificate"), "needs a proxy that proves who it is", hint)


def _fetched(draft: Draft, path: Steps, tls: Tls) -> Iterator[Problem]:
    """A revocation list that is fetched needs a file to be kept in, and a place that may be asked."""
    crl = tls.client_crl_url
    if crl is None:
        return
    if tls.client_crl is None:
        yield draft.error(path, "needs `client_crl`, the file in which the list is kept")
    if crl.url.startswith("http:") and not crl.allow_plaintext:
        yield draft.error((*path, "url"), "http: is refused", "https, or `allow_plaintext: true`: lists are signed")
    if not crl.allow_private and (wrong := private_target(crl.url)):
        yield draft.error((*path, "url"), wrong, "set `allow_private: true` if it is meant")


def _tls(draft: Draft, path: Steps, listen: Listen) -> Iterator[Problem]:
    if listen.tls is None:
        return
    yield from _fetched(draft, (*path, "tls", "client_crl_url"), listen.tls)
    if listen.tls.client_auth != "none" and listen.tls.client_ca is None:
        yield draft.error((*path, "tls", "client_auth"), "needs `client_ca`")
    if listen.tls.client_auth == "none" and listen.tls.client_ca is not None:
        yield draft.warning((*path, "tls", "client_ca"), "has no effect", "set `client_auth: require` or `optional`")
    if listen.tls.client_crl is not None and listen.tls.client_ca is None:
        yield draft.error((*path, "tls", "client_crl"), "needs `client_ca`")


def _limits(draft: Draft, path: Steps, listen: Listen) -> Iterator[Problem]:
    for name in ("request_line", "headers", "header_timeout", "body_idle", "rate_grace", "idle_timeout"):
        if not getattr(listen.limits, name):
            yield draft.error((*path, "limits", name), "must be more than 0")


def _hosts(draft: Draft, path: Steps, listen: Listen) -> Iterator[Problem]:
    if listen.hosts == []:
        yield draft.error((*path, "hosts"), "no host is accepted: the list is empty", "use `hosts: any`")
    for number, host in enumerate(listen.hosts if isinstance(listen.hosts, list) else []):
        if wrong := judged_host(host):
            yield draft.error((*path, "hosts", number), *wrong)


def _addresses(draft: Draft) -> Iterator[tuple[Steps, object]]:
    for path, listen in served(draft):
        yield (*path, "address"), listen.address
        if listen.redirect_http is not None:
            yield (*path, "redirect_http"), listen.redirect_http
    yield ADMIN, draft.value(*ADMIN) or Admin().address


def _taken_twice(draft: Draft) -> Iterator[Problem]:
    taken: list[Address] = []
    for path, text in _addresses(draft):
        try:
            address = parse_address(str(text))
        except ValueError as error:
            if path[-1] == "redirect_http" or path[0] == "admin":
                yield draft.error(path, str(error))
            continue
        if any(_collide(address, other) for other in taken):
            yield draft.error(path, f"{address} is taken by another listener")
        taken.append(address)


def _collide(one: Address, other: Address) -> bool:
    if one.is_unix or other.is_unix:
        return one == other
    everywhere = {"0.0.0.0", "::"}
    same_host = one.host == other.host or bool({one.host, other.host} & everywhere)
    return one.port == other.port != 0 and same_host


def _operators(draft: Draft, address: Address) -> Iterator[Problem]:
    at: Steps = ("admin", "operators")
    model = draft.part(Operators, at)
    if model is None:
        return
    if model.local is not None and draft.value("database") is None:
        yield draft.error(at, "accounts are kept in a database", "add `database: {file: latchgate.db}`", key=True)
    if not address.is_local and is_local(model.host):
        hint = "name the https origin of the proxy before it, or keep the address on loopback"
        yield draft.error((*at, "origin"), "passwords would cross the network in the clear", hint)


def _admin(draft: Draft) -> Iterator[Problem]:
    try:
        address = parse_address(str(draft.value(*ADMIN) or Admin().address))
    except ValueError:
        return
    yield from _operators(draft, address)
    if not address.is_local:
        yield draft.warning(ADMIN, "health and metrics are open to the network", "keep it on loopback or a private one")
