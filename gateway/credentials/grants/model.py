"""The configuration of providers (`providers:`) and of the injector that uses grants given there."""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from gateway.config.values import Model, Name
from gateway.credentials.oauth_model import Client, Endpoint, Scope, Url

Kind = Literal["github", "gitlab", "atlassian", "slack", "google", "microsoft", "oauth"]
PERSONAL: Final = frozenset({"github", "gitlab", "slack", "oauth"})
"""Kinds whose people can make bearer tokens themselves."""
URLS: Final = ("authorize_url", "revoke_url", "account_url")


class Connect(Model):
    """How people connect their accounts at a provider in the browser. URLs are those of the kind unless given."""

    title: Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,64}$")] | None = None
    scopes: Annotated[list[Scope], Field(max_length=64)] = []
    authorize_url: Url | None = None
    revoke_url: Url | None = None
    account_url: Url | None = None
    issuer: Url | None = None
    personal_tokens: bool = False
    same_people: dict[Name, Name] = {}


class Provider(Endpoint):
    """Where principals have authorised us. Without `client` their tokens are used until they end, and never refreshed."""

    kind: Kind
    client: Client | None = None
    token_url: Url | None = None
    tenant: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,255}$")] = "organizations"
    connect: Connect | None = None

    @model_validator(mode="after")
    def _has_endpoint(self) -> Self:
        if self.kind == "oauth" and self.client is not None and self.token_url is None:
            raise ValueError("`kind: oauth` needs `token_url`")
        return self

    @model_validator(mode="after")
    def _connects(self) -> Self:
        connect = self.connect
        if connect is None:
            return self
        if self.client is None:
            raise ValueError("`connect` needs `client`: codes are given to one")
        if self.token_url is not None and connect.authorize_url is None:
            raise ValueError("`token_url` is a server of your own: `connect` needs its `authorize_url`, too")
        if connect.personal_tokens and self.kind not in PERSONAL:
            raise ValueError(f"`personal_tokens`: people at `kind: {self.kind}` have none that are sent as bearer tokens")
        if connect.personal_tokens and self.token_url is not None and connect.account_url is None:
            raise ValueError("`personal_tokens` needs `account_url`: a token is kept once that says whose it is")
        for name in URLS:
            url = getattr(connect, name)
            if url is not None and not url.startswith("https:") and not self.dial.allow_plaintext:
                raise ValueError(f"`connect.{name}` must be https, or `dial: {{allow_plaintext: true}}` allows http")
        return self


class Grant(Model):
    """`Authorization: Bearer` with the token that the asking principal has at a provider."""

    inject: Literal["grant"]
    provider: Name
    requires_scopes: list[Scope] = []
