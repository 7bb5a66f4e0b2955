"""Whom is refused, and until when. Bounded: where it is full, the oldest leaves."""

import ipaddress
from collections import OrderedDict
from typing import Any, Final

from gateway.config.subscriber import network
from gateway.core.addresses import normalise

MOST: Final = 16_384


class Block:
    """One address: refused `until` (monotonic seconds). `delayed`: asked to come back rather than refused. `count` are the failures
    that led to it, 0 where another process told it."""

    __slots__ = ("count", "delayed", "until")

    def __init__(self, until: float, count: int, delayed: bool) -> None:
        self.until = until
        self.count = count
        self.delayed = delayed


class Blocks:
    """By network (`config.subscriber.network`). `standing` is the same dictionary for ever, empty where nobody is refused."""

    def __init__(self) -> None:
        self.standing: OrderedDict[str, Block] = OrderedDict()

    def put(self, key: str, block: Block, now: float) -> bool:
        """Refuse a network; whether another had to leave for it. What refuses it longer, or altogether, stays."""
        known = self.standing.get(key)
        if known is not None:
            if known.until <= now or known.delayed or (not block.delayed and known.until < block.until):
                self.standing[key] = block
            return False
        full = len(self.standing) >= MOST
        if full:
            self.standing.popitem(last=False)
        self.standing[key] = block
        return full

    def release(self, key: str) -> bool:
        """Refuse it no more; whether it was refused."""
        return self.standing.pop(key, None) is not None

    def sweep(self, now: float) -> list[tuple[str, Block]]:
        """Let everybody in again whose time is over; who that was."""
        over = [(key, block) for key, block in self.standing.items() if block.until <= now]
        for key, _ in over:
            del self.standing[key]
        return over


def shown(key: str) -> str:
    """A network as people write it: 192.0.2.1, 2001:db8:0:1::/64."""
    return key if len(key) != 16 or "." in key else str(ipaddress.IPv6Network((int(key, 16) << 64, 64)))


def key_of(written: str) -> str:
    """The network that an operator names by it or by any address in it. Raises ValueError."""
    text = written.strip()
    if text.endswith("/64") and ":" in text:
        text = text[:-3]
    return network(normalise(text))


def told(key: str, block: Block, now: float, time: float) -> dict[str, Any]:
    """A block for operators; `until` is Unix time in seconds."""
    kind = "delay" if block.delayed else "block_address"
    return {"network": shown(key), "action": kind, "until": round(time + block.until - now), "count": block.count}
