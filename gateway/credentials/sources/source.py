"""One secret of a service as requests see it: the value that was last read, for as long as that counts."""

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, final

from gateway.core.errors import DependencyDown
from gateway.core.ports import Fetch, SecretSource
from gateway.core.secret import Secret
from gateway.credentials.sources.model import Ages

RETRY: Final = 5.0
LONGEST_RETRY: Final = 60.0


class Read(NamedTuple):
    """What a service gave, and which version it says that is."""

    secret: Secret
    version: str


class Gone(ValueError):
    """The service answered, and does not have the secret: it is not there, was deleted, or has no such field."""


Ask = Callable[[Fetch], Awaitable[Read]]
"""Asks the service. Raises Gone, and DependencyDown for everything else that is no value."""


@final
class RemoteSource:
    """Implements `core.ports.SecretSource`. `key` tells one secret of one service from all others; times are monotonic.

    `taken_back` is how often the service had it no more.
    """

    __slots__ = (
        "_ages",
        "_failures",
        "_secret",
        "_until",
        "ask",
        "due",
        "key",
        "name",
        "now",
        "read_at",
        "taken_back",
        "version",
        "why",
    )

    def __init__(self, name: str, key: object, ask: Ask, ages: Ages, now: Callable[[], float]) -> None:
        self.name = name
        self.key = key
        self.ask = ask
        self.why = "not read yet"
        self.version = ""
        self.read_at: float | None = None
        self.due = 0.0
        self.taken_back = 0
        self._ages = ages
        self.now = now
        self._secret: Secret | None = None
        self._until = 0.0
        self._failures = 0

    def current(self) -> Secret:
        """Raises DependencyDown where there is none, or the last one is too old."""
        if self._secret is None:
            raise DependencyDown(f"{self.name}: {self.why}")
        if self.now() >= self._until:
            raise DependencyDown(f"{self.name}: the last value is too old, and {self.why or 'not read since'}")
        return self._secret

    @property
    def revoked(self) -> bool:
        """Whether the service had it, and does not any more."""
        return self._secret is None and self.read_at is not None

    @property
    def age(self) -> float | None:
        """Seconds since the service last gave the value; None where it never did."""
        return None if self.read_at is None else self.now() - self.read_at

    def take(self, read: Read, began: float, jitter: float) -> bool:
        """From now on this is the value; whether it is another. An equal one stays the same object."""
        changed = read.secret != self._secret
        if changed:
            self._secret = read.secret
        self.version, self.why, self._failures, self.read_at = read.version, "", 0, began
        self._until = began + self._ages.stale_for
        self.due = began + self._ages.refresh * (0.8 + jitter / 5)
        return changed

    def failed(self, why: str, jitter: float) -> None:
        """The last value stays, as long as it counts; the next try comes later each time."""
        self.why = why
        wait = min(RETRY * 2 ** min(self._failures, 6), LONGEST_RETRY, self._ages.refresh)
        self._failures += 1
        self.due = self.now() + wait * (1 + jitter / 5)

    def refuse(self, why: str, jitter: float) -> None:
        """From now on there is none."""
        self.taken_back += self._secret is not None
        self._secret = None
        self.failed(why, jitter)

    def take_over(self, newer: SecretSource) -> bool:
        """Whether this one goes on in place of another that a reload has made of the same reference to the same service.

        It takes its value, where that is newer: a reload while the service is away costs nobody the last.
        """
        if not isinstance(newer, RemoteSource) or newer.key != self.key:
            return False
        secret, read_at = newer._secret, newer.read_at
        if secret is not None and read_at is not None and (self.read_at is None or read_at > self.read_at or self._secret is None):
            self.take(Read(secret, newer.version), read_at, 0.5)
        return True
