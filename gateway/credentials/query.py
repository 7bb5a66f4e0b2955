"""A secret in the query: the last resort, for APIs that take it nowhere else."""

import re
from typing import Final
from urllib.parse import quote, unquote_plus

from gateway.core.decision import Permit
from gateway.core.message import Outbound
from gateway.core.ports import SecretSource
from gateway.credentials.placed import Placed

# Some servers still split at ";" (HTML 4.01 B.2.2): a parameter hidden behind one must not shadow ours.
SEPARATOR: Final = re.compile(rb"[&;]")


def escaped(raw: bytes) -> bytes:
    if not raw:
        raise ValueError("the secret is empty")
    return quote(raw, safe="").encode("ascii")


class QueryInjector:
    """Sets one query parameter to the secret, after removing every parameter of that name, compared decoded."""

    def __init__(self, name: str, parameter: str, source: SecretSource) -> None:
        self.name: str | None = name
        self.sets: frozenset[bytes] = frozenset()
        self._parameter = parameter
        self._written = quote(parameter, safe="").encode("ascii")
        self._placed = Placed(source, escaped)

    def inject(self, outbound: Outbound, permit: Permit) -> None:
        value = self._placed.refresh()
        path, _, query = outbound.target.partition(b"?")
        kept = [piece for piece in query.split(b"&") if piece and not self._names(piece)]
        kept.append(self._written + b"=" + value)
        outbound.retarget(path + b"?" + b"&".join(kept))
        outbound.secrets += self._placed.echoes

    def _names(self, piece: bytes) -> bool:
        return any(
            unquote_plus(part.partition(b"=")[0].decode("latin-1"), encoding="utf-8", errors="replace") == self._parameter
            for part in SEPARATOR.split(piece)
        )
