"""What every worker is given, the same to each: the configuration, listening sockets, the way to the trail and to the log."""

import os
import secrets
import socket
from collections.abc import Iterable
from typing import Final

from gateway.server import sockets
from gateway.settings import Loaded

Key = tuple[str, str]
PARCEL: Final = "gateway-configuration"


class Equipment:
    """One generation's: the configuration as a parcel, and for each listener as many sockets as there are workers."""

    def __init__(self, count: int, mask_key: str = "") -> None:
        self.count = count
        self.mask_key = mask_key or secrets.token_hex(32)
        self.parcel = -1
        self.loaded: Loaded
        self._sockets: dict[Key, list[socket.socket]] = {}

    def bind(self, keys: Iterable[Key], before: "Equipment | None" = None) -> None:
        """Sockets for these listeners, those of `before` where it has them. Raises ListenError, and then no new one is left."""
        kept = before._sockets if before is not None else {}
        try:
            for key in keys:
                self._sockets[key] = kept.get(key) or sockets.share(key[1], self.count)
        except sockets.ListenError:
            self.release(before)
            raise

    def pack(self, loaded: Loaded, parcel: bytes) -> None:
        """The configuration, in memory that has no name: it holds secrets."""
        self.loaded = loaded
        self.parcel = os.memfd_create(PARCEL)
        rest = memoryview(parcel)
        while rest:
            rest = rest[os.write(self.parcel, rest) :]

    @property
    def addresses(self) -> dict[str, str]:
        """Listener name to bound address."""
        return {name: sockets.bound_address(found[0]) for (name, _), found in self._sockets.items()}

    def sockets_of(self, slot: int, besides: "Equipment | None" = None) -> tuple[list[Key], list[int]]:
        """The listeners of one worker, and their sockets; without those that `besides` has."""
        known = besides._sockets if besides is not None else {}
        keys = [key for key in self._sockets if key not in known]
        return keys, [self._sockets[key][slot].fileno() for key in keys]

    def lendable(self, slot: int) -> tuple[list[Key], list[int]]:
        """The listeners whose connections wait for this worker alone: a unix socket is one for all."""
        keys, found = self.sockets_of(slot)
        pairs = [(key, sock) for key, sock in zip(keys, found, strict=True) if not key[1].startswith("unix:")]
        return [key for key, _ in pairs], [sock for _, sock in pairs]

    def hang_up(self, kept: "Equipment | None" = None) -> None:
        """Listen no more in this process, but where `kept` does too."""
        others = kept._sockets if kept is not None else {}
        for key, found in self._sockets.items():
            if key not in others and found[0].fileno() >= 0:
                sockets.unshare(found)
        self._sockets = {}

    def release(self, kept: "Equipment | None" = None) -> None:
        """Close everything, but for the sockets that `kept` has too."""
        self.hang_up(kept)
        if self.parcel >= 0:
            os.close(self.parcel)
            self.parcel = -1
