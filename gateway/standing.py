"""What a gateway makes of its settings and tells of itself, whether it is one process or several."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from gateway import __version__
from gateway.audit.record import Record
from gateway.core.errors import ConfigError, DependencyDown
from gateway.core.ports import Fetch, Metrics
from gateway.credentials.sources.following import Following, told
from gateway.credentials.sources.source import RemoteSource
from gateway.credentials.tokens import Tell
from gateway.edge.model import Drain
from gateway.resources import Resources
from gateway.settings import Loaded, Settings
from gateway.telemetry.names import Names

log = logging.getLogger(__name__)

FIXED: Final = ("audit", "telemetry")
"""Sections whose threads and files live as long as the process."""
ASKED_EVERY: Final = 1.0
"""Seconds between looks at which secrets of services are to be asked for again."""
SECRETS_EVERY: Final = 2.0
"""Seconds between looks at secret files."""


class Fixed:
    """What the FIXED sections said at the start."""

    def __init__(self, settings: Settings) -> None:
        self._values = {section: getattr(settings, section) for section in FIXED}

    def compare(self, settings: Settings) -> None:
        """Tell operators which of them changed and do not count yet."""
        for section, value in self._values.items():
            if getattr(settings, section) != value:
                log.warning("a changed section counts from the next start", extra={"section": section})


def warn(loaded: Loaded) -> None:
    """Tell operators what is doubtful about a configuration."""
    for problem in loaded.problems:
        log.warning("configuration", extra={"problem": str(problem)})


def started(trail: Record, generation: str, listeners: Mapping[str, str]) -> None:
    """The event that a gateway serves."""
    trail.event("gateway.started", version=__version__, generation=generation, listeners=listeners, pid=os.getpid())


def stopped(trail: Record, generation: str, *, cut_off: bool) -> None:
    """The event that it ends; `cut_off`: and requests with it."""
    trail.event("gateway.stopped", version=__version__, generation=generation, pid=os.getpid(), cut_off=cut_off)


def bounds(settings: Settings) -> Drain:
    """How long a drain takes: the longest of the listeners'."""
    drains = [listen.drain for listen in settings.served().values()]
    return Drain.model_construct(delay=max(d.delay for d in drains), timeout=max(d.timeout for d in drains))


def served(loaded: Loaded) -> Loaded:
    """What a process that serves has to keep of a configuration it has built: the policies are in its snapshot by now."""
    return replace(loaded, policies=[], compiled=None)


def usable(loaded: Loaded) -> Settings:
    """The settings of a configuration without errors. Raises ConfigError with all of them."""
    if loaded.settings is None or loaded.errors:
        raise ConfigError(loaded.problems)
    return loaded.settings


async def fit(loaded: Loaded, resources: Resources) -> None:
    """See that the database has the tables that we need. One that cannot be reached now keeps nobody from starting: what needs it
    is answered 503. Raises ConfigError."""
    model = usable(loaded).database
    if model is None:
        return
    from gateway.store.sql.schema import WrongSchema, ready

    try:
        await ready(resources.stores.database(model, loaded.secrets))
        for keys in resources.stores.followed(coming=True):
            await keys.look()  # no request is to find them empty
    except (WrongSchema, ValueError) as error:
        raise ConfigError([loaded.problem(("database",), str(error))]) from error
    except DependencyDown as error:
        log.warning("the database cannot be reached", extra={"cause": error.detail})


def alarm(loaded: Loaded, trail: Record, metrics: Metrics) -> None:
    """Tell of each sealed value that was altered, moved, or put under a key that is not there; the configuration is refused. And of
    what services were asked for it."""
    for name, fault in loaded.vault.refused.items():
        metrics.count("gateway.vault.refused", fault=fault)
        trail.event("secret.refused", entry=name, fault=fault)
    told(loaded.services.untold, metrics, trail.event)


async def keep_asked(live: Callable[[], Loaded], fetch: Fetch, metrics: Metrics, tell: Tell) -> None:
    """Ask services again for the secrets that lie with them, before these are too old. Runs until cancelled."""
    following = Following(fetch, metrics, tell)
    while True:
        loaded = live()
        await following.look(loaded.secrets.of(RemoteSource), loaded.services.untold)
        await asyncio.sleep(ASKED_EVERY)


async def keep_fresh(live: Callable[[], Loaded], metrics: Metrics) -> None:
    """Look at secrets' files again and again, and at the age of what is sealed. Runs until cancelled."""
    while True:
        loaded = live()
        await asyncio.to_thread(loaded.secrets.refresh)
        metrics.gauge("gateway.vault.overdue", loaded.vault.count_overdue(time.time()))
        await asyncio.sleep(SECRETS_EVERY)


def names_of(settings: Settings) -> Names:
    """What telemetry calls things."""
    routes = {route.name: route.match.path for route in settings.routes}
    upstreams = {name: (upstream.url or (upstream.targets or [""])[0]) for name, upstream in settings.upstreams.items()}
    hidden = [credential.name for credential in settings.credentials.values() if credential.inject == "query"]
    http2 = [name for name, upstream in settings.upstreams.items() if upstream.http2]
    return Names.of(routes, upstreams, hidden, http2)
