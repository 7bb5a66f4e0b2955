"""Who takes the connections of a worker that is not there: the kernel goes on giving its sockets their share."""

from collections.abc import Sequence

from gateway.workers.equipment import Equipment
from gateway.workers.member import Member, State


class StandIns:
    """By place, the worker that takes from its sockets too."""

    def __init__(self) -> None:
        self._known: dict[int, Member] = {}

    def cover(self, places: Sequence[Member | None], equipment: Equipment) -> None:
        """See to it that somebody takes from every socket; called whenever a worker comes, goes or leaves."""
        serving = [member for member in places if member is not None and member.state is State.SERVING]
        served = {member.slot for member in serving}
        for slot, stand_in in list(self._known.items()):
            if slot in served or stand_in.state is not State.SERVING:
                stand_in.tell("return", worker=slot)
                del self._known[slot]
        for slot in set(range(len(places))) - served - set(self._known):
            if serving:
                self._lend(slot, serving[slot % len(serving)], equipment)

    def forget(self) -> None:
        """Workers have given everything back by themselves, as they do when their listeners change."""
        self._known.clear()

    def _lend(self, slot: int, member: Member, equipment: Equipment) -> None:
        keys, sockets = equipment.lendable(slot)
        if keys:
            member.tell("lend", sockets, worker=slot, keys=keys)
            self._known[slot] = member
