"""Secrets in header fields: bearer (RFC 6750 2.1), basic (RFC 7617), and any named field."""

import base64
from typing import Final

from gateway.core.decision import Permit
from gateway.core.message import Outbound
from gateway.core.ports import SecretSource
from gateway.credentials.placed import Form, Placed, field_value

KEPT: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789")


def folded(name: bytes) -> bytes:
    """A field name as lax servers compare it: letters and digits only."""
    return bytes(octet for octet in name.lower() if octet in KEPT)


class HeaderInjector:
    """Sets one header field to the secret; whatever the client sent under that name is gone."""

    def __init__(self, name: str, field: str, source: SecretSource, form: Form = field_value) -> None:
        self.name: str | None = name
        self._field = field.lower().encode("ascii")
        self._folded = folded(self._field)
        self._placed = Placed(source, form)

    async def inject(self, outbound: Outbound, permit: Permit) -> None:
        value = self._placed.refresh()
        headers = outbound.headers
        for field, _ in headers:
            if field == self._field or (len(field) >= len(self._folded) and folded(field) == self._folded):
                outbound.headers = headers = [other for other in headers if folded(other[0]) != self._folded]
                break
        headers.append((self._field, value))
        outbound.secrets += self._placed.echoes


def bearer(raw: bytes) -> bytes:
    return b"Bearer " + field_value(raw)


class Basic:
    """The form `Basic base64(username:password)`."""

    def __init__(self, username: str) -> None:
        self._username = username.encode()

    def __call__(self, raw: bytes) -> bytes:
        if not raw or any(octet < 0x20 or octet == 0x7F for octet in raw):
            raise ValueError("the password is empty or holds control characters")
        return b"Basic " + base64.b64encode(self._username + b":" + raw)
