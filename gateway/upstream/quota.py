"""An upstream's own limits, heeded before they are exhausted: a credential pauses, and what is left is shared fairly.

Everybody behind the gateway spends from the same credential's quota; without this, one busy client has the others refused by the
upstream. What the upstream says is the truth (`told`); between two of its answers we count ourselves. The state is this process's:
several gateways with one credential hear the same numbers, each from its own answers.
"""

from collections.abc import Callable, Coroutine, Hashable, Iterator
from math import ceil
from time import time
from typing import Any, Final

from gateway.core.errors import LimitExceeded
from gateway.core.message import Outbound, Response
from gateway.core.ports import Transport
from gateway.upstream.model import Per
from gateway.upstream.model import Quota as QuotaModel
from gateway.upstream.told import Told, read

MOST_STANDINGS: Final = 1024
MOST_PRINCIPALS: Final = 1024
"""Paths and subjects come from strangers: what is kept about them is bounded, the oldest goes first."""
ANY: Final = "/"
"""No part of a path."""


class Standing:
    """One quota of a credential as its upstream last told it, and who spent from it since it was last refilled.

    `flying` are requests on their way: the last answer does not count them yet.
    """

    __slots__ = ("flying", "limit", "refilled", "remaining", "spent", "total", "until")

    def __init__(self) -> None:
        self.limit: int | None = None
        self.remaining: int | None = None
        self.refilled = 0.0
        self.until = 0.0
        self.flying = 0
        self.spent: dict[Hashable, int] = {}
        self.total = 0

    def left(self, reserve_percent: int) -> int | None:
        """Requests that may still be sent; None where the upstream never said."""
        if self.remaining is None:
            return None
        reserve = 0 if self.limit is None else ceil(self.limit * reserve_percent / 100)
        return self.remaining - self.flying - reserve

    def refill(self, now: float) -> None:
        """Forget what was, once the time has come that the upstream named."""
        if self.refilled and now >= self.refilled:
            self.remaining, self.refilled, self.total = self.limit, 0.0, 0
            self.spent.clear()

    def exceeds_share(self, principal: Hashable, left: int) -> bool:
        """Whether this one had its equal part, of what all had and may have, while others ask too."""
        had = self.spent.get(principal, 0)
        askers = len(self.spent) + (principal not in self.spent)
        return askers > 1 and had * askers >= self.total + left


class Metered:
    """A route's way to an upstream whose quota is heeded."""

    def __init__(self, transport: Transport, quota: "Quota", route: str, per: Per) -> None:
        self._transport = transport
        self._quota = quota
        self._route = route
        self._per = per

    async def send(self, outbound: Outbound) -> Response:
        """The upstream's answer. Raises LimitExceeded, and what the transport raises."""
        return await self._metered(outbound, self._transport.send(outbound))

    async def upgrade(self, outbound: Outbound, protocols: tuple[bytes, ...]) -> Response:
        """The same for the handshake of a WebSocket."""
        return await self._metered(outbound, self._transport.upgrade(outbound, protocols))

    async def _metered(self, outbound: Outbound, sending: Coroutine[Any, Any, Response]) -> Response:
        key = "" if self._per == "credential" else self._route if self._per == "route" else outbound.request.path
        part = outbound.target.partition(b"?")[0].split(b"/", 2)[1].decode("latin-1")
        try:
            standing = self._quota.spend(key, part, outbound.principal, time())
        except LimitExceeded:
            sending.close()
            raise
        response = None
        try:
            response = await sending
        finally:
            self._quota.done(key, part, standing, response, time())
        return response


class Quota:
    """What one credential may still ask of one upstream. `count` counts refusals by metric and labels."""

    def __init__(self, name: str, model: QuotaModel, count: Callable[..., None]) -> None:
        self._name = name
        self._model = model
        self._count = count
        self._standings: dict[str, Standing] = {}
        self._resources: dict[tuple[str, str], str] = {}

    def spend(self, key: str, part: str, principal: Hashable, now: float) -> Standing:
        """Take one request; `done` must follow, with what this gives. `now` is Unix seconds.

        `key` is what shares a quota, `part` the first part of the path, by which an upstream's resources are told apart. Raises
        LimitExceeded with Retry-After.
        """
        resources = self._resources
        standing = self._standing(resources.get((key, part)) or resources.get((key, ANY)) or key)
        standing.refill(now)
        if now < standing.until:
            raise self._refusal("paused", standing.until - now)
        left = standing.left(self._model.reserve_percent)
        if left is not None:
            if left <= 0:
                raise self._refusal("exhausted", standing.refilled - now)
            if self._is_scarce(standing) and standing.exceeds_share(principal, left):
                raise self._refusal("share", standing.refilled - now)
        standing.flying += 1
        standing.total += 1
        spent = standing.spent
        if principal not in spent and len(spent) >= MOST_PRINCIPALS:
            del spent[next(iter(spent))]
        spent[principal] = spent.get(principal, 0) + 1
        return standing

    def done(self, key: str, part: str, standing: Standing, response: Response | None, now: float) -> None:
        """The request was answered, or came to nothing."""
        standing.flying -= 1
        told = None if response is None else read(response, now)
        if told is not None:
            self._heed(self._named(key, part, told) if told.resource else standing, told, now)

    def status(self) -> dict[str, Any]:
        """For the operators' port: what is nearest to its end, of all that is known."""
        known = [standing for standing in self._standings.values() if standing.remaining is not None]
        nearest = min(known, key=lambda standing: standing.remaining or 0, default=None)
        return {
            "limit": None if nearest is None else nearest.limit,
            "remaining": None if nearest is None else nearest.remaining,
            "principals": 0 if nearest is None else len(nearest.spent),
        }

    def levels(self, credential: str, now: float) -> Iterator[tuple[str, float, dict[str, str]]]:
        """Gauges for whoever looks: metric, value, labels."""
        standings = list(self._standings.values())
        known = [standing.remaining for standing in standings if standing.remaining is not None]
        if known:
            yield "gateway.upstream.quota_remaining", min(known), {"credential": credential}
        yield "gateway.upstream.quota_paused", sum(standing.until > now for standing in standings), {"credential": credential}

    # Inside

    def _standing(self, at: str) -> Standing:
        standing = self._standings.get(at)
        if standing is None:
            if len(self._standings) >= MOST_STANDINGS:
                del self._standings[next(iter(self._standings))]
            standing = self._standings[at] = Standing()
        return standing

    def _named(self, key: str, part: str, told: Told) -> Standing:
        """The standing an answer is about. GitHub has one for each of its resources, and says which only afterwards.

        What was never asked for is judged by the resource named last.
        """
        at = f"{key} {told.resource}"
        for place in ((key, part), (key, ANY)):
            if place not in self._resources and len(self._resources) >= MOST_STANDINGS:
                del self._resources[next(iter(self._resources))]
            self._resources[place] = at
        return self._standing(at)

    def _heed(self, standing: Standing, told: Told, now: float) -> None:
        latest = now + self._model.max_pause
        if told.until is not None:
            standing.until = max(standing.until, min(told.until, latest))
        if told.remaining is not None:
            standing.remaining, standing.limit = told.remaining, told.limit
            if told.resets is not None and not now < standing.refilled:
                standing.refilled = min(told.resets, latest)
            elif not now < standing.refilled:
                standing.refilled = now + 1.0

    def _is_scarce(self, standing: Standing) -> bool:
        if standing.limit is None or standing.remaining is None:
            return True
        return standing.remaining * 100 <= standing.limit * self._model.fair_below_percent

    def _refusal(self, why: str, seconds: float) -> LimitExceeded:
        self._count("gateway.upstream.quota_refused", why=why)
        wait = max(1, ceil(seconds))
        headers = ((b"retry-after", b"%d" % wait),)
        return LimitExceeded(f"{self._name}: {why}", headers=headers, members={"violated-policies": [self._name]})
