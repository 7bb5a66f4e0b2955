"""The configuration of the vault (`vault:`), and of what is sealed in the configuration itself (`sealed:`)."""

from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, WithJsonSchema, model_validator

from gateway.config.values import NAME, VARIABLE, Duration, FilePath, Model, Name, SealedSecret
from gateway.credentials.cloud.model import PATH, Aws, Google, VaultServer
from gateway.credentials.oauth_model import Word
from gateway.credentials.vault import text

REVOKED: Final = "revoked"
"""What stands in place of a sealed value that was taken back."""
DAY: Final = 86400.0


def _one_spelling(written: str) -> str:
    """Raises ValueError for what is neither sealed nor revoked."""
    if written != REVOKED:
        text.value(written)
    return written


SealedText = Annotated[
    str,
    AfterValidator(_one_spelling),
    WithJsonSchema({"type": "string", "pattern": f"^({REVOKED}|{text.VALUE}:[A-Za-z0-9._:-]+)$"}),
]
"""A sealed value as `gateway secrets seal` writes it, or the word `revoked`."""


class Transit(VaultServer):
    """A key in the transit engine of HashiCorp Vault or OpenBao, which wraps data keys and never gives itself away."""

    key: Name
    mount: Annotated[str, Field(pattern=PATH)] = "transit"

    @model_validator(mode="after")
    def _safe(self) -> Self:
        unsealed(self)
        return self


class AwsKms(Aws):
    """A symmetric key of AWS KMS, by its id or ARN: an alias could be pointed at another key, under which nothing would open."""

    key: Annotated[
        str,
        Field(
            pattern=r"^(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/)?([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32})$"
        ),
    ]
    encryption_context: Annotated[dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9._:/-]{1,128}$")], Word], Field(max_length=8)] = {}

    @model_validator(mode="after")
    def _safe(self) -> Self:
        unsealed(self)
        if "latchgate" in self.encryption_context:
            raise ValueError("the name `latchgate` in the encryption context is the gateway's own")
        return self


class GcpKms(Google):
    """A symmetric key of Google Cloud KMS, by its resource name without a version."""

    name: Annotated[
        str,
        Field(
            pattern=r"^projects/[a-z][a-z0-9-]{1,62}(:[a-z][a-z0-9-]{1,62})?/locations/[a-z0-9-]{1,64}/keyRings/[A-Za-z0-9_-]{1,63}/cryptoKeys/[A-Za-z0-9_-]{1,63}$"
        ),
    ]

    @model_validator(mode="after")
    def _safe(self) -> Self:
        unsealed(self)
        return self


def unsealed(model: BaseModel) -> None:
    """Raises ValueError where what opens the sealed values is sealed itself."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, SealedSecret):
            raise ValueError(f"the {name} that opens what is sealed cannot be sealed itself")
        if isinstance(value, BaseModel):
            unsealed(value)


PLACES: Final = ("env", "file", "transit", "aws_kms", "gcp_kms")


class Key(Model):
    """A key-encryption key: `env` or `file`, which hold 32 random bytes in base64 or hexadecimal, or one that stays where it is."""

    id: Annotated[str, Field(pattern=NAME)]
    env: Annotated[str, Field(pattern=VARIABLE)] | None = None
    file: FilePath | None = None
    transit: Transit | None = None
    aws_kms: AwsKms | None = None
    gcp_kms: GcpKms | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if sum(getattr(self, place) is not None for place in PLACES) != 1:
            raise ValueError("exactly one of `env`, `file`, `transit`, `aws_kms` and `gcp_kms` says where the key is")
        return self


class Vault(Model):
    """The keys that seal: the first one writes, all read."""

    keys: Annotated[list[Key], Field(min_length=1, max_length=16)]
    rotate_after: Annotated[Duration, Field(ge=DAY)] = 90 * DAY
    rotate: Literal["remind", "auto"] = "remind"
    stale_for: Annotated[Duration, Field(ge=1, le=DAY)] = 300.0

    @model_validator(mode="after")
    def _honest(self) -> Self:
        if self.rotate == "auto" and (self.keys[0].env is not None or self.keys[0].file is not None):
            raise ValueError(
                "`rotate: auto` needs a first key of a service that renews it; put a new key in front of one of your own"
            )
        return self


Sealed = dict[Name, SealedText]
