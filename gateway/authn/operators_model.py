"""The configuration of operators (`admin.operators`): who may use the admin listener by name, beside its token."""

import ipaddress
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from gateway.authn.login.model import Claim, LoginProvider
from gateway.authn.urls import check_url
from gateway.config.values import Duration, Model, SecretRef


class LocalOperators(Model):
    """Accounts of the gateway's own, in its database. Rules of composition and age are off: decision 35. With `key_verification`
    security keys ask for a PIN or a finger, not for a touch alone."""

    history: Annotated[int, Field(ge=0, le=24)] = 5
    classes: Annotated[int, Field(ge=1, le=4)] = 1
    max_age: Annotated[Duration, Field(ge=86400)] | None = None
    key_verification: bool = True


class OidcOperators(Model):
    """An OpenID provider that knows operators: whose `groups` hold one of these has the role, who has none is refused.

    What it says is asked once, at the login: `absolute` is how long that may count."""

    provider: LoginProvider
    viewers: Annotated[list[Claim], Field(max_length=64)] = []
    operators: Annotated[list[Claim], Field(max_length=64)] = []
    absolute: Annotated[Duration, Field(ge=300, le=86400)] = 3600.0

    @model_validator(mode="after")
    def _lets_somebody_in(self) -> Self:
        if not (self.viewers or self.operators):
            raise ValueError("`viewers` and `operators` name the groups that may come in")
        return self


class Operators(Model):
    """`origin` is where browsers reach the admin listener; `key` seals and binds what is stored."""

    origin: str
    key: SecretRef
    idle: Annotated[Duration, Field(ge=60, le=86400)] = 900.0
    absolute: Annotated[Duration, Field(ge=300, le=86400)] = 28800.0
    local: LocalOperators | None = None
    oidc: OidcOperators | None = None

    @model_validator(mode="after")
    def _holds(self) -> Self:
        if self.local is None and self.oidc is None:
            raise ValueError("say `local: {}` for accounts of the gateway's own, or `oidc`")
        parts = urlsplit(self.origin)
        check_url(self.origin, allow_plaintext=is_local(parts.hostname or ""))
        if parts.path not in {"", "/"} or parts.query:
            raise ValueError("`origin` is an origin, like https://ops.example.com or http://localhost:9901")
        if self.idle > self.absolute:
            raise ValueError("`idle` is at most `absolute`")
        return self

    @property
    def canonical(self) -> str:
        """The origin as browsers write it (RFC 6454 6.2): lower case, without the default port."""
        parts = urlsplit(self.origin)
        port = {"https": ":443", "http": ":80"}[parts.scheme]
        return f"{parts.scheme}://{parts.netloc.lower().removesuffix(port)}"

    @property
    def names_host(self) -> bool:
        """Whether the origin has a name, which security keys are bound to (WebAuthn, RP ID), and not an address."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return True
        return False

    @property
    def host(self) -> str:
        """The name in it."""
        return urlsplit(self.origin).hostname or ""


def is_local(host: str) -> bool:
    """Whether browsers hold a name to be this machine, and its plain http to be safe (Secure Contexts 3.1)."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
