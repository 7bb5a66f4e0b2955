"""Secrets that were chosen, not generated, are refused: too short ones and placeholders (CONTRACT 2)."""

from typing import Final, final

from gateway.core.errors import DependencyDown
from gateway.core.ports import SecretSource
from gateway.core.secret import Secret

SHORTEST: Final = 32
HMAC_BYTES: Final = {"HS256": 32, "HS384": 48, "HS512": 64}
"""RFC 7518 3.2: a key is at least as long as the hash."""
PLACEHOLDERS: Final = (
    b"changeme",
    b"change-me",
    b"change_me",
    b"placeholder",
    b"replace-me",
    b"replaceme",
    b"password",
    b"example",
    b"your-secret",
    b"yoursecret",
    b"insecure",
    b"supersecret",
    b"donotuse",
)
VARIETY: Final = 8
"""Fewer different bytes than this in 32 are no random ones."""


def weakness(value: bytes, shortest: int = SHORTEST) -> str:
    """Why a secret is refused, "" when it is not. Never tells the value."""
    if len(value) < shortest:
        return f"has {len(value)} bytes, {shortest} are needed"
    lower = value.lower()
    if any(word in lower for word in PLACEHOLDERS):
        return "is a placeholder, not a secret"
    if len(set(value)) < VARIETY:
        return "repeats too few characters to be random"
    return ""


@final
class StrongSecret:
    """A referenced secret that is judged whenever it changes."""

    def __init__(self, source: SecretSource, shortest: int = SHORTEST) -> None:
        self._source = source
        self._shortest = shortest
        self._last: Secret | None = None
        self._value = b""
        self._revision = 0

    @property
    def name(self) -> str:
        return self._source.name

    @property
    def revision(self) -> int:
        """Changes whenever the value does."""
        self._look()
        return self._revision

    def current(self) -> bytes:
        """The value now. Raises DependencyDown when there is none or it is too weak to be used."""
        self._look()
        if not self._value:
            raise DependencyDown(f"{self._source.name}: the secret is missing or too weak")
        return self._value

    def weakness(self) -> str:
        """Why the value would be refused now, "" when it is fine. Raises DependencyDown when there is none."""
        return weakness(self._source.current().reveal(), self._shortest)

    def _look(self) -> None:
        """Take notice of a new value; a secret that cannot be had counts as one."""
        try:
            secret: Secret | None = self._source.current()
        except DependencyDown:
            secret = None
        if secret is self._last:
            return
        if secret is None or secret != self._last:
            value = secret.reveal() if secret is not None else b""
            self._value = b"" if weakness(value, self._shortest) else value
            self._revision += 1
        self._last = secret
