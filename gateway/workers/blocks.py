"""What one worker blocks, all workers block: told on, and to those that come later."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

from gateway.detection.blocks import MOST, key_of
from gateway.workers.channel import GoneError
from gateway.workers.member import Member

PATIENCE: Final = 30.0
"""Seconds: a worker that says nothing for so long is passed over."""


class Crew(Protocol):
    """Of a fleet, who is told."""

    @property
    def alive(self) -> list[Member]: ...
    @property
    def serving(self) -> list[Member]: ...


class Spread:
    """Knows the networks that some worker blocks, and until when. Bounded as a worker's own table is."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._until: OrderedDict[str, float] = OrderedDict()

    def note(self, member: Member, network: str, seconds: float) -> None:
        """A worker blocks a network for so many seconds, or releases it (0): the others do the same."""
        self._until.pop(network, None)
        if seconds > 0:
            self._until[network] = asyncio.get_running_loop().time() + seconds
            if len(self._until) > MOST:
                self._until.popitem(last=False)
        for other in self._crew.alive:
            if other is not member:
                other.tell("block", networks={network: seconds})

    def greet(self, member: Member) -> None:
        """Tell one that is new."""
        now = asyncio.get_running_loop().time()
        standing = {network: until - now for network, until in self._until.items() if until > now}
        if standing:
            member.tell("block", networks=standing)

    async def release(self, address: str) -> bool:
        """An operator's word: the first worker that refuses the address tells the others. Raises ValueError."""
        self._until.pop(key_of(address), None)
        for member in self._crew.serving:
            try:
                answer = await member.ask("release", timeout=PATIENCE, address=address)
            except GoneError:
                continue
            if answer["released"]:
                return True
        return False


def together(told: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What all workers list as one list; of one network what the worker says that blocked it."""
    addresses: dict[str, Any] = {}
    identities: dict[str, Any] = {}
    for each in told:
        for row in each["addresses"]:
            known = addresses.get(row["network"])
            if known is None or known["count"] < row["count"]:
                addresses[row["network"]] = row
        for row in each["identities"]:
            known = identities.get(row["identity"])
            if known is None or known["failures"] < row["failures"]:
                identities[row["identity"]] = row
    return {"addresses": list(addresses.values()), "identities": list(identities.values())}
