"""A listener's view of the guard: whom it refuses, and whom it never does."""

import ipaddress
from collections.abc import Iterable
from math import ceil
from typing import Final

from gateway.config.subscriber import network
from gateway.config.values import Network
from gateway.core.errors import Forbidden, GatewayError, LimitExceeded, Unauthenticated
from gateway.core.ports import Clock
from gateway.core.principal import Principal
from gateway.core.reason import Reason
from gateway.detection.guard import Guard

ABOUT: Final = frozenset({"api_key"})
"""Schemes whose failures say `about` whom they are: `SCHEME:` and the credential's id."""


class Watch:
    """`blocked` and `tried` are empty while nobody is refused and nobody failed: then nothing here is called."""

    __slots__ = ("_clock", "_exempt", "_guard", "blocked", "tried")

    def __init__(self, guard: Guard, clock: Clock, exempt: Iterable[Network]) -> None:
        """`exempt` are never refused: the listener's trusted proxies, and `never_block`."""
        self._guard = guard
        self._clock = clock
        self._exempt = tuple(exempt)
        self.blocked = guard.blocks.standing
        self.tried = guard.identities.entries

    def refuse(self, client: str) -> None:
        """Raises Forbidden (address-blocked) for a blocked address, LimitExceeded for one that is to wait."""
        block = self.blocked.get(client if ":" not in client else network(client))
        if block is None:
            return
        left = block.until - self._clock.monotonic()
        if left <= 0 or self.is_exempt(client):
            return
        if block.delayed:
            members = {"violated-policies": ["brute_force"]}
            raise LimitExceeded("detection: to wait", headers=((b"retry-after", b"%d" % ceil(left)),), members=members)
        raise Forbidden("detection: blocked", reason=Reason.ADDRESS_BLOCKED)

    def failed(self, client: str, error: GatewayError) -> None:
        """A request ended with an error. Counts where a credential was presented and failed, unless it is a genuine one; tells what
        is a sign of theft."""
        if isinstance(error, Unauthenticated) and error.reason is Reason.CREDENTIAL_INVALID and not error.genuine:
            self._guard.failed(client, error.about, exempt=self.is_exempt(client))
        if (theft := error.theft) is not None:
            self._guard.signal(theft.kind, client=client, issuer=theft.issuer, subject=theft.subject, detail=error.detail)

    def succeeded(self, client: str, principal: Principal) -> None:
        """A credential counted; asked while somebody failed for an identity. Of schemes whose failures are about one: elsewhere
        an issuer writes what the credential is called."""
        if principal.scheme in ABOUT and principal.credential_id is not None and not self.is_exempt(client):
            self._guard.succeeded(client, f"{principal.scheme}:{principal.credential_id}")

    def is_exempt(self, client: str) -> bool:
        """Whether an address is never refused, and not counted."""
        if not self._exempt:
            return False
        try:
            address = ipaddress.ip_address(client)
        except ValueError:
            return True  # a unix socket's peer has no address
        mapped = getattr(address, "ipv4_mapped", None)
        address = mapped or address
        return any(address.version == each.version and address in each for each in self._exempt)
