"""The configuration of the vault (`vault:`), and of what is sealed in the configuration itself (`sealed:`)."""

from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from gateway.config.values import NAME, VARIABLE, Duration, FilePath, Model, Name, SealedSecret, SecretRef
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


class Transit(Model):
    """A key in the transit engine of HashiCorp Vault or OpenBao, which wraps data keys and never gives itself away."""

    url: Annotated[str, Field(pattern=r"^https?://[^/?#\s]+/?$")]
    key: Name
    mount: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")] = "transit"
    token: SecretRef
    namespace: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")] | None = None
    ca: FilePath | None = None
    allow_private: bool = False
    allow_plaintext: bool = False

    @model_validator(mode="after")
    def _safe(self) -> Self:
        if isinstance(self.token, SealedSecret):
            raise ValueError("the token that opens what is sealed cannot be sealed itself")
        if not self.allow_plaintext and not self.url.startswith("https:"):
            raise ValueError("the scheme must be https, or `allow_plaintext: true` says that nobody listens in between")
        return self


class Key(Model):
    """A key-encryption key: exactly one of `env` and `file`, which hold 32 random bytes in base64 or hexadecimal, and `transit`."""

    id: Annotated[str, Field(pattern=NAME)]
    env: Annotated[str, Field(pattern=VARIABLE)] | None = None
    file: FilePath | None = None
    transit: Transit | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if sum(place is not None for place in (self.env, self.file, self.transit)) != 1:
            raise ValueError("exactly one of `env`, `file` and `transit` says where the key is")
        return self


class Vault(Model):
    """The keys that seal: the first one writes, all read."""

    keys: Annotated[list[Key], Field(min_length=1, max_length=16)]
    rotate_after: Annotated[Duration, Field(ge=DAY)] = 90 * DAY


Sealed = dict[Name, SealedText]
