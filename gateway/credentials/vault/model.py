"""The configuration of the vault (`vault:`), and of what is sealed in the configuration itself (`sealed:`)."""

from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from gateway.config.values import NAME, VARIABLE, Duration, FilePath, Model, Name
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


class Key(Model):
    """A key-encryption key, 32 random bytes in base64 or hexadecimal: exactly one of `env` and `file`."""

    id: Annotated[str, Field(pattern=NAME)]
    env: Annotated[str, Field(pattern=VARIABLE)] | None = None
    file: FilePath | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise ValueError("exactly one of `env` and `file` says where the key is")
        return self


class Vault(Model):
    """The keys that seal: the first one writes, all read."""

    keys: Annotated[list[Key], Field(min_length=1, max_length=16)]
    rotate_after: Annotated[Duration, Field(ge=DAY)] = 90 * DAY


Sealed = dict[Name, SealedText]
