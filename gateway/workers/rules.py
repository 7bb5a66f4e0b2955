"""What a configuration must not say where several workers serve it."""

from gateway.core.errors import ConfigError, Problem
from gateway.settings import Loaded, Settings

WHY = "each worker would count by itself, and a client get its limit once from each"
FIXES = "share the counters (`store: {redis: …}`), or accept limits by worker (`per_worker: true`)"


def problems(loaded: Loaded, settings: Settings) -> list[Problem]:
    """Limits that would silently be multiplied."""
    limits = settings.rate_limits
    if limits.store != "memory" or limits.per_worker:
        return []
    return [loaded.problem(("rate_limits", "store"), f"memory with --workers above 1: {WHY}", FIXES)]


def check(loaded: Loaded, settings: Settings) -> None:
    """Raises ConfigError where there are problems."""
    found = problems(loaded, settings)
    if found:
        raise ConfigError([*loaded.errors, *found])
