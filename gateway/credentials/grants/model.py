"""The configuration of providers (`providers:`) and of the injector that uses grants given there."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gateway.config.values import Model, Name
from gateway.credentials.oauth_model import Client, Endpoint, Scope, Url

Kind = Literal["github", "gitlab", "atlassian", "slack", "google", "microsoft", "oauth"]


class Provider(Endpoint):
    """Where principals have authorised us. Without `client` their tokens are used until they end, and never refreshed."""

    kind: Kind
    client: Client | None = None
    token_url: Url | None = None
    tenant: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,255}$")] = "organizations"

    @model_validator(mode="after")
    def _has_endpoint(self) -> Self:
        if self.kind == "oauth" and self.client is not None and self.token_url is None:
            raise ValueError("`kind: oauth` needs `token_url`")
        return self


class Grant(Model):
    """`Authorization: Bearer` with the token that the asking principal has at a provider."""

    inject: Literal["grant"]
    provider: Name
    requires_scopes: list[Scope] = []
