"""Secrets in header fields: bearer (RFC 6750 2.1), basic (RFC 7617), and any named field."""

import base64

from gateway.core.decision import Permit
from gateway.core.message import Outbound, lines
from gateway.core.ports import SecretSource
from gateway.credentials.placed import Form, Placed, field_value


class HeaderInjector:
    """Sets one header field to the secret. Whatever a client sends under that name, in any spelling, is already gone:
    `sets` is part of the list of fields that `upstream.fields` never lets through."""

    def __init__(self, name: str, field: str, source: SecretSource, form: Form = field_value) -> None:
        self.name: str | None = name
        self._field = field.lower().encode("ascii")
        self.sets: frozenset[bytes] = frozenset((self._field,))
        self._placed = Placed(source, form)
        self._value = b""
        self._line = b""

    def inject(self, outbound: Outbound, permit: Permit) -> None:
        value = self._placed.refresh()
        if value is not self._value:
            self._line, self._value = lines([(self._field, value)]), value
        outbound.lines.append(self._line)
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
