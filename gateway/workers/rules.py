"""What a configuration must not say where several workers serve it."""

from gateway.core.errors import ConfigError, Problem
from gateway.settings import Loaded, Settings

WHY = "each worker would count by itself, and a client get its limit once from each"
APART = "a login at one worker would be none at the others"
FIXES = "share the counters (`store: {redis: …}`), or accept limits by worker (`per_worker: true`)"
AGAIN = "what was used at one worker could be used once more at each other"
SHARES = "share what is remembered (`state: {store: {redis: …}}`)"


def problems(loaded: Loaded, settings: Settings) -> list[Problem]:
    """Limits that would silently be multiplied, and what workers must remember together and cannot."""
    authentication, limits, found = settings.authentication, settings.rate_limits, []
    signed = any(sender.replay != 0 for sender in authentication.hmac.values())
    signed = signed or any(entry.replay == "refuse" for entry in authentication.signatures.values())
    shared = (authentication.sessions, authentication.dpop, settings.tokens)
    if settings.state.store == "memory" and (signed or any(each is not None for each in shared)):
        why = APART if authentication.sessions is not None else AGAIN
        found.append(loaded.problem(("state", "store"), f"memory with --workers above 1: {why}", SHARES))
    nonce = authentication.dpop.nonce if authentication.dpop is not None else None
    if nonce is not None and nonce.key is None:
        why = "without a key each worker knows only the nonces that it gave out itself"
        found.append(loaded.problem(("authentication", "dpop", "nonce", "key"), why, "give all the same: `key: {env: …}`"))
    if limits.store == "memory" and not limits.per_worker:
        found.append(loaded.problem(("rate_limits", "store"), f"memory with --workers above 1: {WHY}", FIXES))
    return found


def check(loaded: Loaded, settings: Settings) -> None:
    """Raises ConfigError where there are problems."""
    found = problems(loaded, settings)
    if found:
        raise ConfigError([*loaded.errors, *found])
