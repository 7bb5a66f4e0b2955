"""How the gateway proves to a token endpoint who it is (RFC 6749 2.3, RFC 7523 2.2, RFC 8705 2)."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, NamedTuple, assert_never

from gateway.config.regular import content
from gateway.config.values import SecretRef
from gateway.core.errors import DependencyDown
from gateway.core.form import basic
from gateway.core.ports import Clock, SecretSource
from gateway.credentials.assertion import Signer, about_itself, thumbprint
from gateway.credentials.oauth_model import Client

ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
Sources = Callable[[SecretRef], SecretSource]


class Proof(NamedTuple):
    """What goes with one request: header fields, parameters, and the files of a client certificate."""

    headers: Mapping[str, str]
    parameters: tuple[tuple[str, str], ...]
    identity: tuple[str, str] | None = None


Prove = Callable[[], Proof]
"""Raises DependencyDown where a secret cannot be had."""


def nobody() -> Proof:
    return Proof({}, ())


def proving(client: Client, audience: str, clock: Clock, secrets: Sources) -> Prove:
    """The way of proof that a configuration chose. Raises ValueError for a key that cannot be used."""
    match client.auth:
        case "client_secret_basic":
            return partial(_by_basic, client.id, _source(client, secrets))
        case "client_secret_post":
            return partial(_by_post, client.id, _source(client, secrets))
        case "private_key_jwt":
            return _signed(client, client.audience or audience, clock, secrets)
        case "tls_client_auth":
            return partial(Proof, {}, (("client_id", client.id),), _identity(client))
        case "none":
            return partial(Proof, {}, (("client_id", client.id),))
        case _ as never:
            assert_never(never)


def _by_basic(id: str, source: SecretSource) -> Proof:
    return Proof({"authorization": basic(id, text(source))}, ())


def _by_post(id: str, source: SecretSource) -> Proof:
    return Proof({}, (("client_id", id), ("client_secret", text(source))))


def text(source: SecretSource) -> str:
    """A secret as text. Raises DependencyDown, without its bytes."""
    try:
        return source.current().reveal().decode("utf-8")
    except UnicodeDecodeError:
        raise DependencyDown(f"{source.name}: the secret is not UTF-8") from None


def _source(client: Client, secrets: Sources) -> SecretSource:
    if client.secret is None:
        raise ValueError(f"`auth: {client.auth}` needs `secret`")
    return secrets(client.secret)


def _signed(client: Client, audience: str, clock: Clock, secrets: Sources) -> Prove:
    if client.private_key is None:
        raise ValueError("`auth: private_key_jwt` needs `private_key`")
    header = {} if client.key_id is None else {"kid": client.key_id}
    if client.certificate is not None:
        header["x5t#S256"] = thumbprint(content(client.certificate))
    signer = Signer(secrets(client.private_key), client.algorithm, header)

    def prove() -> Proof:
        said = signer(about_itself(clock, client.id, audience))
        return Proof({}, (("client_id", client.id), ("client_assertion_type", ASSERTION), ("client_assertion", said)))

    return prove


def _identity(client: Client) -> tuple[str, str]:
    if client.certificate is None or client.certificate_key is None:
        raise ValueError("`auth: tls_client_auth` needs `certificate` and `certificate_key`")
    return str(client.certificate), str(client.certificate_key.file)
