"""A secret in a cookie, beside the client's other cookies."""

import re
from typing import Final
from urllib.parse import unquote

from gateway.core.decision import Permit
from gateway.core.message import Field, Outbound
from gateway.core.ports import SecretSource
from gateway.credentials.placed import Placed

OCTETS: Final = re.compile(rb"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]+")


def cookie_value(raw: bytes) -> bytes:
    """RFC 6265 4.1.1 cookie-octets. Raises ValueError."""
    if OCTETS.fullmatch(raw) is None:
        raise ValueError("the secret is empty or holds characters that a cookie cannot carry")
    return raw


class CookieInjector:
    """Sets one cookie to the secret, after removing every cookie of that name, compared decoded."""

    def __init__(self, name: str, cookie: str, source: SecretSource) -> None:
        self.name: str | None = name
        self.sets: frozenset[bytes] = frozenset()
        self._cookie = cookie
        self._placed = Placed(source, cookie_value)

    def inject(self, outbound: Outbound, permit: Permit) -> None:
        value = self._placed.refresh()
        kept = [pair for name, line in outbound.headers if name == b"cookie" for pair in line.split(b";") if not self._names(pair)]
        kept.append(self._cookie.encode("ascii") + b"=" + value)
        headers: list[Field] = [field for field in outbound.headers if field[0] != b"cookie"]
        headers.append((b"cookie", b"; ".join(pair.strip() for pair in kept if pair.strip())))
        outbound.headers = headers
        outbound.secrets += self._placed.echoes

    def _names(self, pair: bytes) -> bool:
        name = pair.partition(b"=")[0].decode("latin-1").strip().strip('"')
        return unquote(name, errors="replace") == self._cookie
