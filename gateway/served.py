"""Configured listeners -> what the server binds: addresses, TLS, peers, and what is served on each."""

from collections.abc import Callable, Sequence
from typing import Final

from gateway.config.address import parse_address
from gateway.config.values import Network
from gateway.core.errors import ConfigError
from gateway.core.ports import App, SecretSource
from gateway.doors import REDIRECT
from gateway.edge.model import Listen
from gateway.operations import Operating
from gateway.server.listener import Asgi, AsgiApp, Listener
from gateway.server.tls import ServerTls, TlsError
from gateway.settings import Loaded, Settings

ADMIN: Final = "admin"


class Served:
    """Makes listeners, again at each reload, their TLS from the files as they are then.

    TLS in use is never changed here: the server compares whom the old and the new one trust, and a reload may still fail.
    """

    def __init__(self, app_of: Callable[[str], App], operating: Operating | None) -> None:
        """`operating` None: somebody else serves the operators."""
        self._app_of = app_of
        self._operating = operating

    def listeners(self, loaded: Loaded) -> list[Listener]:
        """All listeners of a configuration. Raises ConfigError for TLS files that cannot be used."""
        settings = loaded.settings
        if settings is None:
            raise ConfigError(loaded.problems)
        made = []
        for name, listen in settings.served().items():
            made.append(self._listener(name, listen, tls_of(listen, place(settings, name), loaded)))
            if listen.redirect_http is not None:
                made.append(self._listener(f"{name}.{REDIRECT}", listen.model_copy(update={"address": listen.redirect_http}), None))
        if self._operating is not None:
            made.append(admin(loaded, settings, self._operating.app))
        return made

    def _listener(self, name: str, listen: Listen, tls: ServerTls | None) -> Listener:
        return Listener(
            name=name,
            address=listen.address,
            app=self._app_of(name),
            limits=listen.limits,
            tls=tls,
            allow_from=peers(listen, tls is not None or name.endswith(REDIRECT)),
            deny_from=listen.deny_from,
            proxies=None if listen.proxy_protocol is None else listen.proxy_protocol.from_,
            http2=listen.http2 and not name.endswith(REDIRECT),
        )


def admin(loaded: Loaded, settings: Settings, app: Callable[[Loaded, Settings, SecretSource | None], AsgiApp]) -> Listener:
    """The operators' listener."""
    token = loaded.secrets(settings.admin.token) if settings.admin.token is not None else None
    return Listener(name=ADMIN, address=settings.admin.address, app=Asgi(app(loaded, settings, token)))


def data_keys(settings: Settings) -> list[tuple[str, str]]:
    """The name and address of every listener that clients use."""
    keys = []
    for name, listen in settings.served().items():
        keys.append((name, listen.address))
        if listen.redirect_http is not None:
            keys.append((f"{name}.{REDIRECT}", listen.redirect_http))
    return keys


def tls_of(listen: Listen, at: tuple[str, ...], loaded: Loaded) -> ServerTls | None:
    """A listener's TLS. Raises ConfigError for files that cannot be used now (CVE-2026-27586)."""
    if listen.tls is None:
        return None
    try:
        return ServerTls(listen.tls, http2=listen.http2)
    except TlsError as error:
        raise ConfigError([loaded.problem((*at, "tls", error.key), error.problem)]) from error


def place(settings: Settings, listener: str) -> tuple[str, ...]:
    """Where a listener stands in the configuration."""
    return ("listen",) if settings.listeners is None else ("listeners", listener)


def peers(listen: Listen, protected: bool) -> Sequence[Network] | None:
    """Who is let in. Plaintext beyond this machine is for the proxies it trusts only (CONTRACT 2, `tls`).

    Where load balancers speak first nobody else may connect, and who is let in are their clients.
    """
    if protected or listen.proxy_protocol is not None or parse_address(listen.address).is_local:
        return listen.allow_from
    if listen.allow_from is None:
        return listen.trusted_proxies
    return [both for one in listen.allow_from for other in listen.trusted_proxies if (both := overlap(one, other)) is not None]


def overlap(one: Network, other: Network) -> Network | None:
    """The addresses in both: one of two networks contains the other, or they are apart."""
    if one.version != other.version or not one.overlaps(other):
        return None
    return one if one.prefixlen >= other.prefixlen else other
