"""Where published keys are found (CONTRACT 2)."""

from typing import Self

from pydantic import model_validator

from gateway.authn.urls import check_url
from gateway.config.values import FilePath, Model, SecretRef


class Jwks(Model):
    """Where an issuer's public keys are: exactly one of `url`, `file`, `discovery`."""

    url: str | None = None
    file: FilePath | None = None
    discovery: bool = False
    allow_plaintext: bool = False
    allow_private: bool = False
    ca: FilePath | None = None
    bearer: SecretRef | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if sum((self.url is not None, self.file is not None, self.discovery)) != 1:
            raise ValueError("exactly one of `url`, `file` and `discovery: true` says where the keys are")
        if self.url is not None:
            check_url(self.url, self.allow_plaintext)
        return self
