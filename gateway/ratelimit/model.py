"""The configuration of rate limits (CONTRACT 2, `rate_limits:`)."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.config.values import Method, Model, Name, RateText
from gateway.store.model import RedisStore

Key = Literal["client.address", "subject", "route"]


class Rule(Model):
    """One limit. `burst` is how many may come at once (bucket: its capacity; others: admitted above the rate's pace)."""

    key: Key | Annotated[list[Key], Field(min_length=1)]
    limit: RateText
    burst: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    methods: list[Method] | None = None
    algorithm: Literal["sliding", "fixed", "bucket"] = "sliding"


class RateLimits(Model):
    """All limits and where their counters live."""

    store: Literal["memory"] | RedisStore = "memory"
    per_worker: bool = False
    on_store_failure: Literal["local", "closed", "open"] = "local"
    headers: Literal["draft-11", "legacy", "both", "none"] = "draft-11"
    default: list[Name] = []
    rules: dict[Name, Rule] = {}
