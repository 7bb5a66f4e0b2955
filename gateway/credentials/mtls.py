"""A client certificate as a credential: shown when a connection is made, and no part of any request."""

from typing import final

from gateway.core.decision import Permit
from gateway.core.message import Outbound
from gateway.core.ports import SecretSource


@final
class MtlsInjector:
    """Sees that there is a key still: one that was taken back serves nobody, whatever connections there are."""

    shown = True
    """It is in the connection, and an answer has nothing that could be searched for."""

    def __init__(self, name: str, key: SecretSource) -> None:
        self.name: str | None = name
        self.sets: frozenset[bytes] = frozenset()
        self._key = key

    def inject(self, outbound: Outbound, permit: Permit) -> None:
        self._key.current()
