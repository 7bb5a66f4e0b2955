"""A secret in the form it takes on the wire, made once and again only when the secret changes."""

import logging
from collections.abc import Callable

from gateway.core.errors import DependencyDown
from gateway.core.ports import SecretSource
from gateway.core.secret import Secret
from gateway.scrub.needles import Needles

log = logging.getLogger(__name__)

Form = Callable[[bytes], bytes]


class Placed:
    """`secret` in the form an injector needs, and what finds it in an answer."""

    __slots__ = ("_current", "_form", "_name", "_secret", "echoes", "value")

    def __init__(self, source: SecretSource, form: Form) -> None:
        self._current = source.current
        self._name = source.name
        self._form = form
        self._secret: Secret | None = None
        self.value = b""
        self.echoes: tuple[Needles, ...] = ()

    def refresh(self) -> bytes:
        """The wire form now. Raises DependencyDown when there is no usable secret."""
        current = self._current
        secret = current()
        if secret is not self._secret:
            raw = secret.reveal()
            try:
                self.value = self._form(raw)
            except ValueError as error:
                raise DependencyDown(f"{self._name}: {error}") from error
            needles = Needles(raw, self.value)
            if needles.short:
                log.warning("a secret of less than 8 bytes is not searched for in answers' bodies", extra={"source": self._name})
            self.echoes = (needles,)
            self._secret = secret
        return self.value


def field_value(raw: bytes) -> bytes:
    """A secret fit for a header field (RFC 9110 5.5). Raises ValueError without naming its bytes."""
    if not raw or raw != raw.strip() or any((octet < 0x21 and octet != 0x20) or octet >= 0x7F for octet in raw):
        raise ValueError("the secret is empty or holds characters that a header field cannot carry")
    return raw
