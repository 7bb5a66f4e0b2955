"""Who a client is (RFC 6749 2.3, RFC 7523 2.2, RFC 8705 2.1): one way each, and one answer for whoever cannot prove it.

Secrets are compared for a client nobody knows, too, and the answer is the same: it does not tell which of them there are. An
assertion of nobody's costs no signature: an id is no secret, and clients that sign may be told by that.
"""

import base64
import binascii
import hashlib
import hmac
import secrets as random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, final
from urllib.parse import unquote_plus

from gateway.authn.issuers import Secrets, strong_secret
from gateway.authn.presented import AUTHORIZATION
from gateway.authn.strength import SHORTEST, StrongSecret
from gateway.core.errors import GatewayError, Unauthenticated
from gateway.core.message import Request
from gateway.tokens import errors
from gateway.tokens.assertion import TYPE, Assertions
from gateway.tokens.certificate import matches
from gateway.tokens.model import Client as Model

MOST_SECRETS: Final = 2
BASIC: Final = b"basic"
LONGEST_ID: Final = 256


@dataclass(frozen=True, slots=True)
class Client:
    """A configured client; its id is its name in `clients:`."""

    id: str
    model: Model


class Parameters(Protocol):
    """The parameters of a request."""

    def get(self, name: str) -> str | None: ...

    def __contains__(self, name: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Presented:
    """What somebody says to be a client: `method` is how, None where only an id came."""

    method: str | None
    id: str | None
    secret: bytes = b""


@final
class Clients:
    """The clients of one configuration, and how each proves who it is."""

    def __init__(
        self, models: Mapping[str, Model], secrets: Secrets, assertions: Assertions, proved: Callable[[str, str], None]
    ) -> None:
        """`proved` takes the address from which an identity was proved, and the identity. Raises ConfigError for a secret that is
        missing or weak."""
        self._clients = {name: Client(name, model) for name, model in models.items()}
        self._secrets = {name: _secrets(name, model, secrets) for name, model in models.items()}
        self._assertions = assertions
        self._proved = proved
        self._decoy = random.token_bytes(SHORTEST)

    def get(self, id: str) -> Client | None:
        """A client by its id, which is no secret."""
        return self._clients.get(id)

    def __iter__(self) -> Any:
        return iter(self._clients.values())

    async def authenticate(self, form: Parameters, request: Request) -> Client:
        """Which client asks. Raises Unauthenticated invalid_client, BadRequest for several ways at once, and DependencyDown.

        Detection is told who proved itself: else who fails in a client's name, from wherever, made its own first error a block."""
        client = await self._found(form, request)
        if client.model.auth != "none":
            self._proved(request.head.client, about(client))
        return client

    async def _found(self, form: Parameters, request: Request) -> Client:
        shown = presented(form, request)
        if shown.method is None and shown.id is None:
            raise errors.missing("no client says who it is")
        client = self._clients.get(shown.id) if shown.id is not None else None
        if shown.method == "private_key_jwt":
            return await self._by_assertion(form, client, shown.id)
        secret_holds = self._secret_holds(client, shown.secret) if shown.method else False
        method = shown.method or ("none" if client is None else client.model.auth)
        if client is None or client.model.auth != method:
            raise self._refused(client, "no such client, or not known in this way")
        if method == "tls_client_auth":
            if not matches(client.model.certificate, request.head.certificate):
                raise self._refused(client, "no certificate, or another one")
        elif method != "none" and not secret_holds:
            raise self._refused(client, "wrong secret")
        return client

    async def _by_assertion(self, form: Parameters, named: Client | None, id: str | None) -> Client:
        if form.get("client_assertion_type") != TYPE:
            raise errors.bad("invalid_request", "client_assertion_type is not known")
        try:
            signer = await self._assertions.signer((form.get("client_assertion") or "").encode("ascii", "replace"))
        except Unauthenticated as error:
            raise errors.told(error, "invalid_client", "client authentication failed", 401) from error
        client = self._clients[signer]
        if id is not None and client is not named:
            raise self._refused(client, "the assertion is another client's")
        return client

    def _secret_holds(self, client: Client | None, secret: bytes) -> bool:
        """As many digests and comparisons for every client, known or not. Raises DependencyDown where a secret is gone."""
        expected = [each.current() for each in self._secrets[client.id]] if client is not None else []
        decoys = [self._decoy] * (MOST_SECRETS - len(expected))
        found, shown = False, hashlib.sha256(secret).digest()
        for number, each in enumerate([*expected, *decoys]):
            same = hmac.compare_digest(shown, hashlib.sha256(each).digest())
            found |= same and number < len(expected)
        return found

    def _refused(self, client: Client | None, why: str) -> GatewayError:
        """One that proves nothing is nobody whom somebody could guess."""
        tried = client is not None and client.model.auth != "none"
        return errors.no_client(f"client: {why}", about(client) if client is not None and tried else None)


def about(client: Client) -> str:
    """As failures are counted."""
    return f"client:{client.id}"


def presented(form: Parameters, request: Request) -> Presented:
    """How a client says who it is. Raises BadRequest invalid_request for several ways, Unauthenticated for a malformed one."""
    basic = _basic(request)
    ways = [basic is not None, "client_assertion" in form, "client_secret" in form]
    if sum(ways) > 1:
        raise errors.bad("invalid_request", "a client proves who it is in one way")
    id = form.get("client_id")
    if id is not None and len(id) > LONGEST_ID:
        raise errors.no_client("client: an id that is too long")
    if basic is not None:
        if id is not None and id != basic.id:
            raise errors.bad("invalid_request", "client_id and the Authorization header name different clients")
        return basic
    if "client_assertion" in form:
        return Presented("private_key_jwt", id)
    if "client_secret" in form:
        return Presented("client_secret_post", id, (form.get("client_secret") or "").encode("utf-8", "replace"))
    return Presented(None, id)


def _basic(request: Request) -> Presented | None:
    value = request.head.fields.get(AUTHORIZATION)
    if value is None:
        return None
    word, _, rest = value.partition(b" ")
    if word.lower() != BASIC or AUTHORIZATION in request.head.repeated:
        raise errors.no_client("client: Authorization is not Basic, or came twice")
    try:
        id, separator, secret = base64.b64decode(rest.strip(b" "), validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise errors.no_client("client: malformed Basic credentials") from error
    if not separator or len(id) > LONGEST_ID:
        raise errors.no_client("client: malformed Basic credentials")
    return Presented("client_secret_basic", unquote_plus(id), unquote_plus(secret).encode("utf-8", "replace"))


def _secrets(name: str, model: Model, secrets: Secrets) -> Sequence[StrongSecret]:
    return [strong_secret(secrets, each, f"clients.{name}.secret", SHORTEST) for each in model.secrets]
