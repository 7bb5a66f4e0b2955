"""The configuration of services that keep secrets (`secret_sources:`): where they are, who we are there, how old a value may be."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from gateway.config.values import Duration, EnvSecret, FileSecret, Model, SealedSecret
from gateway.credentials.cloud.model import PATH, Aws, Google, VaultServer


class Ages(Model):
    """How often a value is asked for again, and how long the last one is used while the service does not answer."""

    refresh: Annotated[Duration, Field(ge=1, le=86400)] = 300.0
    stale_for: Annotated[Duration, Field(ge=1, le=7 * 86400)] = 3600.0

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.stale_for < self.refresh:
            raise ValueError("`stale_for` cannot be shorter than `refresh`: a value would end before it is asked for again")
        here(self)
        return self


class VaultSource(Ages, VaultServer):
    """A key-value engine of HashiCorp Vault or OpenBao, version 1 or 2."""

    kind: Literal["vault"]
    mount: Annotated[str, Field(pattern=PATH)] = "secret"
    version: Literal[1, 2] = 2


class AwsSource(Ages, Aws):
    """AWS Secrets Manager in one region."""

    kind: Literal["aws"]


class GcpSource(Ages, Google):
    """Google Secret Manager of one project."""

    kind: Literal["gcp"]
    project: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,62}(:[a-z][a-z0-9-]{1,62})?$")]


Source = Annotated[VaultSource | AwsSource | GcpSource, Field(discriminator="kind")]


def here(model: BaseModel) -> None:
    """Raises ValueError where what opens a source lies with a source itself."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel) and not isinstance(value, EnvSecret | FileSecret | SealedSecret):
            if set(type(value).model_fields) & {"vault", "aws_secret", "gcp_secret"}:
                raise ValueError(f"the {name} that opens a source of secrets cannot lie with one: {{env}}, {{file}} or {{sealed}}")
            here(value)
