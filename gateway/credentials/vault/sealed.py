"""Sealed values of the configuration as secrets: opened once, at load."""

from dataclasses import dataclass

from gateway.core.errors import DependencyDown
from gateway.core.secret import Secret
from gateway.credentials.vault.fault import Fault


class SealedSource:
    """Implements `core.ports.SecretSource` for one sealed value. A revoked one has no secret; a reload makes another."""

    taken_back = 0

    def __init__(self, name: str, secret: Secret | None) -> None:
        self.name = f"sealed:{name}"
        self._secret = secret

    @property
    def revoked(self) -> bool:
        """Whether it was taken back."""
        return self._secret is None

    def current(self) -> Secret:
        """Raises DependencyDown for a revoked one."""
        if self._secret is None:
            raise DependencyDown(f"{self.name}: revoked")
        return self._secret


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of `sealed:`. `source` is None where it does not open, `fault` says why, where the text itself is to blame."""

    name: str
    key_id: str
    sealed_at: int
    source: SealedSource | None = None
    fault: Fault | None = None

    def overdue(self, now: float, after: float) -> bool:
        """Whether it was sealed more than `after` seconds ago."""
        return bool(self.sealed_at) and now - self.sealed_at > after
