"""Several credentials in one order: the first that there is for whoever asks.

Only `Ungranted`, there being none for this principal, leads on to the next. An outage never does: whoever had a credential of
his own a minute ago must not act with another's because a token endpoint is down.
"""

from collections.abc import Awaitable, Callable, Sequence

from gateway.core.decision import Permit
from gateway.core.errors import Forbidden, Ungranted
from gateway.core.message import Outbound
from gateway.core.ports import Injector


async def check_stands(injector: Injector, permit: Permit, used: str | None) -> None:
    """Whether what went out with the credential `used` may go on. Raises Forbidden where this injector has none of that name, and
    as the credential itself does where it ended."""
    for member in getattr(injector, "members", (injector,)):
        if member.name == used:
            check: Callable[[Permit], Awaitable[None]] | None = getattr(member, "check_stands", None)
            if check is not None:
                await check(permit)
            return
    raise Forbidden("the route goes with another credential now")


class Plan:
    """Tries its members in order. At the end of them the request is refused."""

    def __init__(self, members: Sequence[Injector]) -> None:
        self.name: str | None = ",".join(member.name or "" for member in members)
        self.sets: frozenset[bytes] = frozenset().union(*(member.sets for member in members))
        self.members = members

    def inject(self, outbound: Outbound, permit: Permit) -> Awaitable[str | None] | None:
        return self._first(outbound, permit)

    async def renew(self, outbound: Outbound, permit: Permit) -> bool:
        """As the member does whose token went out. One that has none for this principal has none to renew."""
        for member in self.members:
            renew = getattr(member, "renew", None)
            try:
                if renew is not None and await renew(outbound, permit):
                    return True
            except Ungranted:
                continue
        return False

    async def _first(self, outbound: Outbound, permit: Permit) -> str | None:
        reasons = []
        for member in self.members:
            try:
                if (coming := member.inject(outbound, permit)) is not None:
                    await coming
            except Ungranted as error:
                reasons.append(error.detail)
                continue
            return member.name
        raise Ungranted("; ".join(reasons))
