"""What a configuration must not say where several workers serve it."""

from gateway.core.errors import ConfigError, Problem
from gateway.settings import Loaded, Settings

WHY = "each worker would count by itself, and a client get its limit once from each"
APART = "a login at one worker would be none at the others"
SHARES = "share sessions (`state: {store: {redis: …}}`)"
FIXES = "share the counters (`store: {redis: …}`), or accept limits by worker (`per_worker: true`)"


def problems(loaded: Loaded, settings: Settings) -> list[Problem]:
    """Limits that would silently be multiplied, and sessions that half of the requests would not find."""
    sessions = settings.authentication.sessions is not None and settings.state.store == "memory"
    found = [loaded.problem(("state", "store"), f"memory with --workers above 1: {APART}", SHARES)] if sessions else []
    limits = settings.rate_limits
    if limits.store != "memory" or limits.per_worker:
        return found
    return [*found, loaded.problem(("rate_limits", "store"), f"memory with --workers above 1: {WHY}", FIXES)]


def check(loaded: Loaded, settings: Settings) -> None:
    """Raises ConfigError where there are problems."""
    found = problems(loaded, settings)
    if found:
        raise ConfigError([*loaded.errors, *found])
