"""What mints and revokes: a program of the operator's, or a provider that is asked directly."""

from typing import Protocol

from gateway.core.secret import Secret
from gateway.credentials.rotation.record import Held


class NotDone(Exception):
    """What was asked for was not done, or nobody knows; the text tells why, nothing of what was said."""


class Minter(Protocol):
    """One way to new secrets."""

    @property
    def patience(self) -> float:
        """Seconds that one of its acts takes at most."""
        ...

    @property
    def replaces(self) -> bool:
        """Whether the old one ends when the new one is made: there is no overlap then, and no way back."""
        ...

    @property
    def cut_off(self) -> str:
        """What is true where a gateway ended while it minted."""
        ...

    async def mint(self, old: Held) -> Held:
        """A new secret in place of one. Raises NotDone; whether something was minted is then not known."""
        ...

    async def revoke(self, gone: Held, current: Secret | None) -> None:
        """End a secret; `current` is the one in force. One that is gone already is a success. Raises NotDone."""
        ...
