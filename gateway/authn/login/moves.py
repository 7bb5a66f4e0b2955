"""Sessions that are used from another network than they were opened in: the sign that a stolen cookie gives.

It is a sign and no proof, for people move: it is told, and more only where the configuration wants it.
"""

import ipaddress
from collections.abc import Awaitable, Callable
from typing import Final, final

from gateway.authn.bound import INVALID
from gateway.authn.login.model import Networks, Sessions
from gateway.authn.login.session import Live
from gateway.core.errors import Unauthenticated
from gateway.core.reason import Reason

MOST: Final = 32
"""Addresses of one session that are remembered as settled. Where it is full, they are judged anew."""


@final
class Moves:
    """Judges where sessions are used. `signal` tells of theft (detection), `end` ends a session."""

    def __init__(self, model: Sessions, signal: Callable[..., None], end: Callable[..., Awaitable[bool]]) -> None:
        self._on_move = model.on_move
        self._networks = model.networks
        self._signal = signal
        self._end = end

    def home(self, client: str) -> str:
        """The network in which a login happens; empty where its client has no address."""
        return network(client, self._networks)

    async def check(self, live: Live, client: str) -> None:
        """A session is used by an address that is not among its settled ones. Raises Unauthenticated where it shall not be."""
        home, here = live.session.network, network(client, self._networks)
        if self._on_move != "ignore" and home and here and home != here:
            session = live.session
            who = {"issuer": session.provider, "subject": session.subject, "credential_id": live.identity.credential_id}
            self._signal("session.moved", client=client, detail=f"{home} to {here}", **who)
            if self._on_move == "end":
                await self._end(live.id, "used from another network", live, client=client)
                raise Unauthenticated("session: used from another network", reason=Reason.CREDENTIAL_EXPIRED, headers=INVALID)
            if self._on_move == "step_up":
                raise again()
        if len(live.clients) >= MOST:
            live.clients.clear()
        live.clients.add(client)


def again() -> Unauthenticated:
    """A new login is asked for, at which the person shows at once who he is (RFC 9470 3)."""
    return Unauthenticated(
        "session: used from another network, a new login is needed there",
        reason=Reason.STEP_UP_REQUIRED,
        headers=((b"www-authenticate", b'Bearer realm="gateway", error="insufficient_user_authentication", max_age=0'),),
        members={"max_age": 0},
    )


def network(client: str, model: Networks) -> str:
    """Which network an address belongs to: 192.0.2.0/24, 2001:db8:1::/48. IPv4 in IPv6 is IPv4."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return ""  # a unix socket's peer has none
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    if mapped is not None or isinstance(address, ipaddress.IPv4Address):
        return str(ipaddress.IPv4Network((int(mapped or address), model.ipv4), strict=False))
    return str(ipaddress.IPv6Network((int(address), model.ipv6), strict=False))
