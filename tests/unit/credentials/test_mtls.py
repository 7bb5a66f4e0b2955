"""A client certificate puts nothing into a request, and needs its key all the same."""

import pytest
from pydantic import TypeAdapter

from gateway.core.errors import DependencyDown
from gateway.core.secret import Secret
from gateway.credentials.injectors import build
from gateway.credentials.model import Credential
from gateway.credentials.mtls import MtlsInjector
from tests.minting import workshop
from tests.scripted import outbound
from tests.unit.credentials.test_injectors import PERMIT


class Key:
    name = "sealed:key"
    secret: Secret | None = Secret(b"key")

    def current(self) -> Secret:
        if self.secret is None:
            raise DependencyDown("sealed:key: revoked")
        return self.secret


def test_a_key_that_was_taken_back_serves_no_request_whatever_connections_there_are() -> None:
    key = Key()
    model = TypeAdapter(Credential).validate_python({"inject": "mtls", "certificate": "c.pem", "key": {"env": "K"}})
    injector = build("ci", model, workshop(lambda reference: key))
    assert isinstance(injector, MtlsInjector)
    assert (injector.name, injector.sets) == ("ci", frozenset())
    message = outbound()
    injector.inject(message, PERMIT)
    assert (message.lines, message.secrets) == (outbound().lines, ())
    key.secret = None
    with pytest.raises(DependencyDown, match="revoked"):
        injector.inject(message, PERMIT)
