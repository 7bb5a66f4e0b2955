"""One secret of the database as requests see it: the value that was last read, or why there is none."""

from collections.abc import Iterator
from typing import Final, final

from gateway.core.errors import DependencyDown
from gateway.core.ports import SecretSource
from gateway.core.secret import Secret

UNREAD: Final = -1
"""The version of what could not be read yet. That of a row which is not there is 0."""
REVOKED: Final = "revoked"


@final
class StoredSource:
    """Implements `core.ports.SecretSource`. Who follows the database tells it what is there; it asks nobody.

    `home` says which database: one of another is another secret. `confirmed` is the monotonic time at which the row was last seen
    to be as it is known here, `ends` the Unix time at which the value ends by what was said of it, None where nothing was.
    `taken_back` is how often it was revoked, deleted or altered, or may have been: versions were left out, which nobody saw here.
    """

    __slots__ = ("_secret", "_seen", "_why", "confirmed", "ends", "home", "name", "taken_back", "version")

    def __init__(self, name: str, home: object, why: str = "not read yet") -> None:
        self.name = f"sealed:{name}"
        self.home = home
        self.version = UNREAD
        self.confirmed = 0.0
        self.taken_back = 0
        self._seen = UNREAD
        self.ends: float | None = None
        self._secret: Secret | None = None
        self._why = why

    def current(self) -> Secret:
        """Raises DependencyDown where there is none."""
        if self._secret is None:
            raise DependencyDown(f"{self.name}: {self._why}")
        return self._secret

    @property
    def revoked(self) -> bool:
        """Whether it was taken back, deleted or altered: not where the database is only away."""
        return self._secret is None and self.version != UNREAD

    @property
    def usable(self) -> bool:
        return self._secret is not None

    def take(self, secret: Secret, version: int, at: float, ends: float | None = None) -> None:
        """From now on this is the value. An equal one stays the same object: what was made of it need not be made again."""
        if secret != self._secret:
            self._secret = secret
        self.taken_back += self._seen not in (UNREAD, version, version - 1)
        self._seen = version
        self._why, self.version, self.confirmed, self.ends = "", version, at, ends

    def levels(self, now: float) -> Iterator[tuple[str, float, dict[str, str]]]:
        """Gauges for whoever looks: metric, value, labels. May be called from any thread."""
        ends = self.ends
        if ends is not None:
            yield "gateway.secret.expiry", ends - now, {"source": self.name}

    def refuse(self, why: str, version: int) -> None:
        """From now on there is none."""
        was_revoked = self.revoked
        self._secret, self._why, self.version, self.ends = None, why, version, None
        self.taken_back += self.revoked and not was_revoked
        if version != UNREAD:
            self._seen = version

    def take_over(self, newer: SecretSource) -> bool:
        """Whether this one goes on in place of another that a reload has made of the same reference; with its value, where it has
        one: a reload while the database is away costs nobody the last."""
        if not isinstance(newer, StoredSource) or newer.home != self.home:
            return False
        if newer._secret is not None:
            self.take(newer._secret, newer.version, newer.confirmed, newer.ends)
        elif newer.version != UNREAD:
            self.refuse(newer._why, newer.version)
            self.confirmed = newer.confirmed
        return True
