"""What a configuration must not say where several workers serve it."""

from gateway.core.errors import ConfigError
from gateway.settings import Loaded, Settings

WHY = "each worker would count by itself, and a client get its limit once from each"
FIXES = "share the counters (`store: {redis: …}`), or accept limits by worker (`per_worker: true`)"


def check(loaded: Loaded, settings: Settings) -> None:
    """Raises ConfigError for limits that would silently be multiplied."""
    limits = settings.rate_limits
    if limits.store == "memory" and not limits.per_worker:
        raise ConfigError(
            [*loaded.errors, loaded.problem(("rate_limits", "store"), f"memory with --workers above 1: {WHY}", FIXES)]
        )
