"""The configured limits, bound to routes: what is spent when, by whom, and what happens while the shared store is gone.

burst, by algorithm: a bucket holds `burst` (else `limit`) and refills at the rate of `limit`. sliding and fixed admit at most
`limit` in their window, and where `burst` is given at most that many at once: beyond it requests keep the rate's pace.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from gateway.core.errors import DependencyDown, LimitExceeded
from gateway.core.exchange import Allowance, Spent
from gateway.core.message import Field, Request
from gateway.core.ports import Clock, Limits, Metrics
from gateway.core.principal import Principal
from gateway.ratelimit import keys
from gateway.ratelimit.headers import MICRO, LimitFields, seconds
from gateway.ratelimit.model import RateLimits, Rule
from gateway.store import memory
from gateway.store.memory import Counter, Paced, tighter
from gateway.store.quota import REFUSED, Quota, SharedCounters, Taken

NOTHING: Final[Spent] = ((), ())
STORE_FAILURES: Final = "gateway.ratelimit.store_failures"


class NoLimits:
    """A stage without any limit."""

    __slots__ = ()

    def take(self, request: Request, principal: Principal | None) -> Spent:
        return NOTHING

    async def spend(self, request: Request, principal: Principal | None) -> Spent:
        return NOTHING


NO_LIMITS: Final = NoLimits()


class Limit:
    """One rule: what is counted, the counters of this process, and how the client is told."""

    __slots__ = ("counter", "methods", "name", "parts", "quota", "quotas", "rule", "window")

    def __init__(self, name: str, rule: Rule) -> None:
        self.name = name
        self.rule = rule
        self.parts: frozenset[str] = frozenset([rule.key] if isinstance(rule.key, str) else rule.key)
        self.methods = None if rule.methods is None else including_head(rule.methods)
        self.quotas = quotas(name, rule)
        self.counter: Counter = memory.build(self.quotas[0])
        if len(self.quotas) > 1:
            self.counter = Paced(self.counter, memory.build(self.quotas[1]))
        first = self.quotas[0]
        self.quota = first.count
        self.window = (first.window * first.count if first.algorithm == "bucket" else first.window) / MICRO


def including_head(methods: Sequence[str]) -> frozenset[str]:
    """A limit on GET counts HEAD too: the upstream does the same work for it."""
    return frozenset(methods) | ({"HEAD"} if "GET" in methods else set())


def quotas(name: str, rule: Rule) -> tuple[Quota, ...]:
    """What a rule has counted: its window or bucket, and the pace where a burst bounds a window."""
    window = round(rule.limit.seconds * MICRO)
    interval = -(-window // rule.limit.count)  # rounded up: rather a little slower than a little too fast
    if rule.algorithm == "bucket":
        return (Quota(name, "bucket", rule.burst or rule.limit.count, interval),)
    counted = Quota(name, rule.algorithm, rule.limit.count, window)
    if rule.burst is None:
        return (counted,)
    return (counted, Quota(f"{name}/pace", "bucket", rule.burst, interval))


class Bound(NamedTuple):
    """A limit on one route: the limit, its counter, and under which key a request counts there."""

    limit: Limit
    take: Callable[[str, int], Taken]
    key: keys.KeyOf


def bound(limit: Limit, route: str) -> Bound:
    """A limit for the requests of one route."""
    return Bound(limit, limit.counter.take, keys.build(limit.parts, route))


class Together:
    """Limits that are spent together; `policies` are their names."""

    __slots__ = ("bounds", "policies")

    def __init__(self, bounds: Iterable[Bound]) -> None:
        self.bounds = tuple(bounds)
        self.policies = tuple(bound.limit.name for bound in self.bounds)


class ByMethod:
    """The limits of a stage, by the method they apply to; `rest` is for methods that no rule names."""

    __slots__ = ("named", "rest")

    def __init__(self, limits: Sequence[Bound]) -> None:
        methods: set[str] = set().union(*(bound.limit.methods or () for bound in limits))
        self.rest = Together(bound for bound in limits if bound.limit.methods is None)
        self.named = {
            method: Together(bound for bound in limits if bound.limit.methods is None or method in bound.limit.methods)
            for method in methods
        }


class LocalLimits:
    """A stage whose counters live in this process. No awaits between check and count: nobody else spends in between."""

    __slots__ = ("_fields", "_monotonic", "_named", "_rest")

    def __init__(self, limits: ByMethod, *, clock: Clock, fields: LimitFields) -> None:
        self._named = limits.named
        self._rest = limits.rest
        self._monotonic = clock.monotonic
        self._fields = fields

    async def spend(self, request: Request, principal: Principal | None) -> Spent:
        """`take`, for whoever waits."""
        return self.take(request, principal)

    def take(self, request: Request, principal: Principal | None) -> Spent:
        """Raises LimitExceeded, and then nothing was spent."""
        monotonic = self._monotonic
        now = int(monotonic() * MICRO)
        limits = self._named.get(request.method, self._rest)
        if len(limits.bounds) == 1:
            _, take, key = limits.bounds[0]
            left = take(key(request, principal), now)
            if left[0] == REFUSED:
                raise refusal(limits.policies, (left,), self._fields)
            return limits.policies, (left,)
        taken: list[Taken] = []
        for _, take, key in limits.bounds:
            left = take(key(request, principal), now)
            if left[0] == REFUSED:
                return self._refuse(limits, [bound.key(request, principal) for bound in limits.bounds], len(taken), now)
            taken.append(left)
        return limits.policies, tuple(taken)

    def _refuse(self, limits: Together, counted: Sequence[str], spent: int, now: int) -> Spent:
        """Give back what the first `spent` limits counted, and raise LimitExceeded with the standing of all of them."""
        for bound, key in zip(limits.bounds[:spent], counted, strict=False):
            bound.limit.counter.give_back(key)
        taken = []
        for bound, key in zip(limits.bounds, counted, strict=True):
            remaining, wait = bound.take(key, now)
            if remaining != REFUSED:
                bound.limit.counter.give_back(key)
                remaining += 1
            taken.append((remaining, wait))
        return settle(limits, taken, self._fields)


class SharedLimits:
    """A stage whose counters all replicas share, with the configured answer to their store's absence.

    local: counters of this process take over; they have counted along what it admitted, so that a store's failure gives
    nobody all of his quota back. closed: nobody passes (503). open: everybody does. Each failure is counted, and the store's
    return ends it.
    """

    __slots__ = ("_fields", "_limits", "_local", "_metrics", "_mode", "_store")

    def __init__(
        self, limits: ByMethod, *, local: LocalLimits, store: SharedCounters, mode: str, metrics: Metrics, fields: LimitFields
    ) -> None:
        self._limits = limits
        self._local = local
        self._store = store
        self._mode = mode
        self._metrics = metrics
        self._fields = fields

    def take(self, request: Request, principal: Principal | None) -> None:
        """None: the store has to be asked."""

    async def spend(self, request: Request, principal: Principal | None) -> Spent:
        """Raises LimitExceeded, and then nothing was spent; DependencyDown where the store is gone and the mode is `closed`."""
        limits = self._limits.named.get(request.method, self._limits.rest)
        counted = [bound.key(request, principal) for bound in limits.bounds]
        try:
            taken = await self._ask(limits.bounds, counted)
        except DependencyDown:
            self._metrics.count(STORE_FAILURES, mode=self._mode)
            if self._mode == "closed":
                raise
            if self._mode == "open":
                return NOTHING
            return self._local.take(request, principal)
        spent = settle(limits, taken, self._fields)
        if self._mode == "local":
            self._count_along(request, principal)
        return spent

    def _count_along(self, request: Request, principal: Principal | None) -> None:
        # This process sees only its share, so its counters refuse later than the shared ones, but for edges of windows.
        with suppress(LimitExceeded):
            self._local.take(request, principal)

    async def _ask(self, limits: Sequence[Bound], counted: Sequence[str]) -> list[Taken]:
        asked = [quota for bound in limits for quota in bound.limit.quotas]
        whose = [key for bound, key in zip(limits, counted, strict=True) for _ in bound.limit.quotas]
        answers = iter(await self._store.spend(asked, whose))
        return [bind([next(answers) for _ in bound.limit.quotas]) for bound in limits]


def bind(answers: Sequence[Taken]) -> Taken:
    """A rule's answer from those of its window and its pace."""
    return answers[0] if len(answers) == 1 else tighter(answers[0], answers[1])


def settle(limits: Together, taken: Sequence[Taken], fields: LimitFields) -> Spent:
    """What the stage spent. Raises LimitExceeded naming every violated limit."""
    for remaining, _ in taken:
        if remaining == REFUSED:
            raise refusal(limits.policies, taken, fields)
    return limits.policies, tuple(taken)


def refusal(policies: tuple[str, ...], taken: Sequence[Taken], fields: LimitFields) -> LimitExceeded:
    """The error of a stage that refused. Retry-After is the longest wait of the violated limits, rounded as their `t` is."""
    violated = {name: wait for name, (remaining, wait) in zip(policies, taken, strict=True) if remaining == REFUSED}
    left: tuple[Allowance, ...] = tuple([(max(remaining, 0), wait) for remaining, wait in taken])
    longest = max(1, *(seconds(wait) for wait in violated.values()))
    headers: list[Field] = [(b"retry-after", b"%d" % longest), *fields.fields(policies, left)]
    return LimitExceeded("limits=" + ",".join(violated), headers=headers, members={"violated-policies": list(violated)})


class Limiter:
    """All configured limits; makes the stages of routes.

    `store` is the counters that replicas share, None for this process alone. `previous` is the limiter of the configuration
    before a reload: rules that did not change keep their counters. Raises ValueError for a default rule that does not exist.
    """

    def __init__(
        self,
        config: RateLimits,
        *,
        clock: Clock,
        metrics: Metrics,
        store: SharedCounters | None = None,
        previous: "Limiter | None" = None,
    ) -> None:
        self._clock = clock
        self._metrics = metrics
        self._store = store
        self._mode = config.on_store_failure
        self._limits = {name: inherited(name, rule, previous) for name, rule in config.rules.items()}
        self._default = tuple(config.default)
        self.fields = LimitFields(config.headers, self._limits)
        self._named(self._default)

    def stage(self, names: Sequence[str], *, route: str, subject: bool) -> Limits:
        """The limits of one stage of a route: those keyed by subject come after authentication, the others before it.

        The default rules join `names`. Raises ValueError for a rule that does not exist.
        """
        limits = [limit for limit in self._named((*self._default, *names)) if ("subject" in limit.parts) is subject]
        return self._build([bound(limit, route) for limit in limits])

    def stated(self, names: Sequence[str]) -> Limits:
        """The limits of these rules alone, wherever they are spent."""
        return self._build([bound(limit, "") for limit in self._named(names)])

    def unmatched(self) -> Limits:
        """What requests without a route, and the gateway's own endpoints, spend: the default rules that need no subject."""
        return self.stage((), route="", subject=False)

    def _named(self, names: Sequence[str]) -> list[Limit]:
        unknown = [name for name in names if name not in self._limits]
        if unknown:
            raise ValueError(f"no such rate limit: {', '.join(unknown)}")
        return [self._limits[name] for name in dict.fromkeys(names)]

    def _build(self, bounds: Sequence[Bound]) -> Limits:
        if not bounds:
            return NO_LIMITS
        limits = ByMethod(bounds)
        local = LocalLimits(limits, clock=self._clock, fields=self.fields)
        if self._store is None:
            return local
        return SharedLimits(limits, local=local, store=self._store, mode=self._mode, metrics=self._metrics, fields=self.fields)


def inherited(name: str, rule: Rule, previous: Limiter | None) -> Limit:
    """The limit of a rule: the previous configuration's, counters and all, where the rule is the same."""
    before = previous._limits.get(name) if previous is not None else None
    return before if before is not None and before.rule == rule else Limit(name, rule)
