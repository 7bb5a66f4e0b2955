"""The injector `grant`: the token that the asking principal has at a provider, or a refusal that says what to do."""

from collections.abc import Awaitable
from typing import final

from gateway.core.decision import Permit
from gateway.core.errors import Ungranted
from gateway.core.message import Outbound
from gateway.core.principal import ANONYMOUS
from gateway.credentials.grants.grant import Key
from gateway.credentials.grants.held import Held, Slot, lacking


@final
class GrantInjector:
    """Sets Authorization to the principal's own token. It never goes out without one, nor with another principal's."""

    def __init__(self, name: str, held: Held, required: frozenset[str] = frozenset()) -> None:
        self.name: str | None = name
        self.sets: frozenset[bytes] = frozenset((b"authorization",))
        self._held = held
        self._people = held.link.people
        self._required = required

    def requiring(self, scopes: frozenset[str]) -> "GrantInjector":
        """The same for a route that needs these scopes beside those of the credential."""
        return GrantInjector(self.name or "", self._held, self._required | scopes)

    def inject(self, outbound: Outbound, permit: Permit) -> Awaitable[str | None] | None:
        key = self._key(permit)
        slot = self._held.ready(key)
        if slot is None:
            return self._later(outbound, key)
        self._place(outbound, slot, key)
        return None

    async def renew(self, outbound: Outbound, permit: Permit) -> bool:
        """Whether `outbound`, whose token an upstream refused, has got another one now."""
        key = self._key(permit)
        found = await self._held.renewed(key, outbound.lines)
        if found is None:
            return False
        refused, slot = found
        outbound.lines.remove(refused)
        self._place(outbound, slot, key)
        return True

    async def check_stands(self, permit: Permit) -> None:
        """Raises Ungranted, Forbidden and DependencyDown where what was opened with this principal's token must not go on: the
        grant is gone, broken or too narrow now."""
        key = self._key(permit)
        slot = await self._held.standing(key)
        if self._required:
            lacking(slot, self._required, self._held.provider, self._held.link, key[1])

    async def _later(self, outbound: Outbound, key: Key) -> str | None:
        try:
            slot = await self._held.get(key)
        except Ungranted as error:
            error.members = self._held.link.told(error.members, key[1], self._required)
            raise
        self._place(outbound, slot, key)
        return self.name

    def _place(self, outbound: Outbound, slot: Slot, key: Key) -> None:
        if self._required:
            lacking(slot, self._required, self._held.provider, self._held.link, key[1])
        outbound.lines.append(slot.line)
        outbound.secrets += slot.echoes

    def _key(self, permit: Permit) -> Key:
        principal = permit.principal
        if principal.scheme == ANONYMOUS:
            raise Ungranted(
                f"no grant at {self._held.provider}: anonymous", members={"provider": self._held.provider, "action": "sign in"}
            )
        issuer = principal.issuer
        return self._held.provider, self._people.get(issuer, issuer), principal.id
