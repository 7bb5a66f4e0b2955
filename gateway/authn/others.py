"""Whether a credential that a route does not accept is good at others: who presents one of those guesses nothing."""

from typing import final

from gateway.authn.api_keys import KeyRing
from gateway.authn.login.sessions import Sessions
from gateway.core.errors import DependencyDown, Unauthenticated


@final
class Others:
    """What of all that is configured can be asked without using anything up. Where that cannot be told, nothing is genuine."""

    def __init__(self, keys: KeyRing | None = None, sessions: Sessions | None = None) -> None:
        self._keys = keys
        self._sessions = sessions

    def knows_key(self, key: bytes, client: str) -> bool:
        """Whether it is an API key, good from this client's address."""
        if self._keys is None:
            return False
        try:
            self._keys.verify(key, client)
        except (Unauthenticated, DependencyDown):
            return False
        return True

    async def knows_cookie(self, name: bytes, value: bytes) -> bool:
        """Whether it is the cookie of a session that lives."""
        if self._sessions is None or name != self._sessions.cookie.name:
            return False
        try:
            await self._sessions.find(value)
        except (Unauthenticated, DependencyDown):
            return False
        return True
