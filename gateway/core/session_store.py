"""Where sessions are kept, as those see it who know what a session is. The store knows digests, sealed texts and times only."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol


class Stored(NamedTuple):
    """A record as it was read. `version` grows by one with each replacement, from 1."""

    version: int
    sealed: str


class SessionStore(Protocol):
    """Records by name. Each ends by itself `seconds` after it was last added or kept. Everything raises DependencyDown."""

    async def add(self, id: str, sealed: str, seconds: float, tags: Sequence[str]) -> None:
        """A new record, found by its tags as well. Raises DependencyDown, too, where there is no room."""
        ...

    async def get(self, id: str) -> Stored | None: ...

    async def keep(self, id: str, seconds: float) -> None:
        """It ends so many seconds from now; nothing where there is none."""
        ...

    async def claim(self, id: str, version: int, seconds: float) -> bool:
        """Whether this caller, of all replicas, may replace that version. Nobody else may for `seconds`."""
        ...

    async def replace(self, id: str, version: int, sealed: str) -> bool:
        """Put the next version in the place of that one, its end the same, and give the claim back; False where it is another."""
        ...

    async def release(self, id: str, version: int) -> None:
        """Give a claim back with nothing changed."""
        ...

    async def remove(self, id: str) -> bool:
        """Whether it was there."""
        ...

    async def tagged(self, tag: str) -> list[str]:
        """The names of records with a tag, oldest first, at most 1000."""
        ...

    def start(self) -> None: ...
    def status(self) -> dict[str, Any]: ...
    async def close(self) -> None: ...
