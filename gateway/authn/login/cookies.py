"""The gateway's own cookies, as they are set and taken back: always the same attributes (CVE-2025-55162).

`__Host-` (RFC 6265bis 4.1.3.2): only this very host can have set it, over TLS, for all of its paths.
"""

import re
from collections.abc import Iterable
from typing import Final

from gateway.core.message import Field, Request

ID: Final = re.compile(rb"[A-Za-z0-9_-]{43}")
"""256 bits in base64url."""
LONGEST: Final = 3500
"""Bytes of a value. A browser keeps 4096 of name, value and attributes (RFC 6265bis 5.6)."""


class Cookie:
    """One cookie by its full name."""

    def __init__(self, suffix: str, same_site: str) -> None:
        self.name = f"__Host-{suffix}".encode("ascii")
        self._attributes = f"; Path=/; Secure; HttpOnly; SameSite={same_site.capitalize()}".encode("ascii")

    def set(self, value: str, seconds: int) -> Field:
        """The field that has it kept for so long."""
        return b"set-cookie", self.name + b"=" + value.encode("ascii") + self._attributes + b"; Max-Age=%d" % seconds

    def clear(self) -> Field:
        """The field that takes it back."""
        return b"set-cookie", self.name + b"=" + self._attributes + b"; Max-Age=0"

    def of(self, request: Request) -> list[bytes]:
        """Every value of it that a request carries: an honest browser sends at most one."""
        return self.values(value for field, value in request.head.headers if field == b"cookie")

    def values(self, fields: Iterable[bytes]) -> list[bytes]:
        """The same of the Cookie fields alone."""
        found = []
        for value in fields:
            for pair in value.split(b";"):
                name, _, content = pair.strip(b" \t").partition(b"=")
                if name.strip(b" \t") == self.name:
                    found.append(content.strip(b" \t"))
        return found
