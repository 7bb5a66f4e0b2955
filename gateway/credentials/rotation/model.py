"""The configuration of rotation (`credentials.*.rotate`)."""

from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from gateway.config.values import Duration, Model, Name

HOUR: Final = 3600.0
DAY: Final = 24 * HOUR


class Hook(Model):
    """A program that mints and revokes, and how long it may take. No shell reads the command; `mint` or `revoke` is added to it."""

    command: Annotated[list[Annotated[str, Field(pattern=r"^[^\x00]{1,4096}$")]], Field(min_length=1, max_length=32)]
    timeout: Annotated[Duration, Field(ge=0.1, le=300)] = 30.0

    @model_validator(mode="after")
    def _named_whole(self) -> Self:
        if not self.command[0].startswith("/"):
            raise ValueError("the program is named by its whole path: nothing is searched for it")
        return self


class Verify(Model):
    """What the upstream is asked with a new secret, and what it answers where that counts. `upstream` is the one it is sent to,
    where there are several; `within` bounds when it is asked again: many providers take seconds to know what they minted."""

    path: Annotated[str, Field(pattern=r"^/[!-\"$-~]*$", max_length=1024)]
    status: Annotated[int, Field(ge=200, le=299)] = 200
    upstream: Name | None = None
    within: Annotated[Duration, Field(ge=0.1, le=300)] = 30.0


class Rotate(Model):
    """A new secret every so often. The one before is revoked `overlap` after the switch: until then requests with it may run."""

    every: Annotated[Duration, Field(ge=HOUR)]
    overlap: Annotated[Duration, Field(ge=1, le=30 * DAY)] = HOUR
    hook: Hook
    verify_: Annotated[Verify, Field(alias="verify")]

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.overlap >= self.every:
            raise ValueError("`overlap` must be shorter than `every`")
        return self
