"""Who is asked whether client certificates were revoked (CONTRACT 2, `authentication.mtls.ocsp`)."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from gateway.authn.urls import check_url
from gateway.config.values import Duration, FilePath, Model


class Ocsp(Model):
    """A responder, and the authorities whose certificates it speaks about."""

    responder: str
    authorities: FilePath
    required: bool = True
    cache: Annotated[Duration, Field(ge=1, le=86400)] = 3600.0
    timeout: Annotated[Duration, Field(gt=0, le=30)] = 5.0
    allow_plaintext: bool = False
    allow_private: bool = False
    ca: FilePath | None = None

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        check_url(self.responder, self.allow_plaintext)
        return self
